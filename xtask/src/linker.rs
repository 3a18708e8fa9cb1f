//! bpf-linker, and the LLVM that it is built against.
//!
//! The compiler in `rust-toolchain.toml` and the version here are the two halves of one pin. bpf-linker reads the bitcode that
//! rustc writes, so it must be linked with the LLVM major version of that rustc; built against another one it fails later, with a
//! message that does not say so.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    shell,
    toolchain::Rustc,
    version::Version,
};

const VERSION: Version = Version(0, 13, 0);

pub(crate) fn prerequisites(rustc: &Rustc) -> [Prerequisite; 2] {
    let llvm = rustc.llvm;
    let linker = linker_state(llvm);
    [
        Prerequisite {
            name: "LLVM development files",
            stage: Stage::Build,
            state: llvm_state(llvm, &linker),
            remedy: Remedy::Packages(vec![format!("llvm-{llvm}-dev"), "libzstd-dev".into()]),
        },
        Prerequisite {
            name: "bpf-linker",
            stage: Stage::Build,
            state: linker,
            remedy: Remedy::BpfLinker { llvm },
        },
    ]
}

/// Builds and installs the linker; takes a minute or two.
pub(crate) fn install(llvm: u32) -> Result<()> {
    shell::announce(&format!("installing bpf-linker {VERSION} for LLVM {llvm} (a minute or two)"));
    let prefix = llvm_prefix(llvm).with_context(|| {
        format!("no LLVM {llvm} with its headers is here: install it and set LLVM_PREFIX to where it lies")
    })?;
    // Without LLVM_PREFIX the link fails with "unable to find library -lLLVM". --force replaces a linker of this version that was
    // built for another LLVM.
    shell::run_quietly(
        shell::cargo("install").args(install_arguments(llvm)).arg("--force").env("LLVM_PREFIX", prefix),
    )
}

/// The command of `install`, as typed by a user.
pub(crate) fn install_line(llvm: u32) -> String {
    let prefix = llvm_prefix(llvm).unwrap_or_else(|| format!("/usr/lib/llvm-{llvm}").into());
    format!("LLVM_PREFIX={} cargo install {}", prefix.display(), install_arguments(llvm).join(" "))
}

fn install_arguments(llvm: u32) -> Vec<String> {
    let feature = format!("llvm-{llvm}");
    let version = VERSION.to_string();
    ["bpf-linker", "--version", &version, "--locked", "--no-default-features", "--features", &feature]
        .map(String::from)
        .into()
}

/// The directory of this LLVM major version with its headers and `llvm-config`: Debian's, or the system's.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let places = [format!("/usr/lib/llvm-{llvm}"), format!("/usr/lib64/llvm{llvm}"), "/usr".into()];
    let told = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    told.into_iter().chain(places.map(PathBuf::from)).find(|prefix| {
        let version = shell::read(Command::new(prefix.join("bin/llvm-config")).arg("--version"));
        version.and_then(|version| Version::parse(&version)).is_some_and(|version| version.0 == llvm)
            && prefix.join("include/llvm-c/Core.h").exists()
    })
}

fn llvm_state(llvm: u32, linker: &State) -> State {
    match llvm_prefix(llvm) {
        Some(prefix) => State::Ok(prefix.display().to_string()),
        // They are needed to build the linker, and for nothing else.
        None if linker.is_ok() => State::Ok("not needed: bpf-linker is built".into()),
        None => State::Missing(format!("no LLVM {llvm} (the LLVM of this rustc)")),
    }
}

fn linker_state(llvm: u32) -> State {
    let Some(path) = shell::find("bpf-linker") else {
        return State::Missing("not in PATH".into());
    };
    let said = shell::read(Command::new(&path).arg("--version")).unwrap_or_default();
    let Some(version) = said.trim().strip_prefix("bpf-linker ").and_then(Version::parse) else {
        return State::Missing(format!("{} does not run (is its libLLVM there?)", path.display()));
    };
    if version < VERSION {
        return State::TooOld(format!("{version}; {VERSION} is pinned"));
    }
    match linked_llvm(&fs::read(&path).unwrap_or_default()) {
        Some(other) if other != llvm => {
            State::Missing(format!("{version}, but built for LLVM {other}; rustc has LLVM {llvm}"))
        }
        Some(_) => State::Ok(format!("{version} for LLVM {llvm}")),
        None => State::Ok(format!("{version} (holds its own LLVM; rustc has {llvm})")),
    }
}

/// The LLVM major version that a dynamically linked executable needs: it contains the text `libLLVM.so.22.1`.
fn linked_llvm(executable: &[u8]) -> Option<u32> {
    const NEEDED: &[u8] = b"libLLVM.so.";
    let at = executable.windows(NEEDED.len()).position(|bytes| bytes == NEEDED)? + NEEDED.len();
    let digits = executable.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| char::from(*digit)).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{install_line, linked_llvm};

    #[test]
    fn the_llvm_of_an_executable_is_read_from_its_needed_libraries() {
        assert_eq!(linked_llvm(b"\0libm.so.6\0libLLVM.so.22.1\0libc.so.6\0"), Some(22));
        assert_eq!(linked_llvm(b"\0libc.so.6\0"), None);
        assert_eq!(linked_llvm(b"libLLVM.so."), None);
    }

    #[test]
    fn the_remedy_names_version_and_feature() {
        let line = install_line(22);
        assert!(line.contains("bpf-linker --version 0.13.0 --locked"), "{line}");
        assert!(line.ends_with("--features llvm-22"), "{line}");
    }
}
