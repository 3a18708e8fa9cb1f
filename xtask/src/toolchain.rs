//! The Rust toolchain: what `rustc` reports of itself, and the components that we need.
//!
//! The version is pinned in `rust-toolchain.toml` and nowhere else; bpf-linker follows the LLVM of that compiler (see `linker`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    shell,
    version::Version,
};

const PIN: &str = include_str!("../../rust-toolchain.toml");

/// What the active compiler reports of itself.
#[derive(Debug)]
pub(crate) struct Rustc {
    pub(crate) version: Version,
    /// The major version of the LLVM with which it emits bitcode.
    pub(crate) llvm: u32,
    /// The triple that it compiles for by default.
    pub(crate) host: String,
    sysroot: PathBuf,
}

impl Rustc {
    /// The directory of the compiler and its components.
    pub(crate) fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    pub(crate) fn ask() -> Result<Self> {
        let said = shell::read(Command::new("rustc").arg("-vV"))
            .context("`rustc` cannot be run: install Rust with rustup, see https://rustup.rs")?;
        let field = |name: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .with_context(|| format!("`rustc -vV` has no line `{name}`"))
        };
        let version = |name| {
            Version::parse(field(name)?).with_context(|| format!("`rustc -vV`: no version after `{name}`"))
        };
        let sysroot = shell::read(Command::new("rustc").args(["--print", "sysroot"]))
            .context("`rustc --print sysroot` failed")?;
        Ok(Self {
            version: version("release:")?,
            llvm: version("LLVM version:")?.0,
            host: field("host:")?.to_owned(),
            sysroot: sysroot.trim().into(),
        })
    }
}

/// The version in `rust-toolchain.toml`.
fn pinned() -> Option<Version> {
    PIN.lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .and_then(|value| Version::parse(value.trim_matches('"')))
}

pub(crate) fn prerequisites(rustc: &Rustc) -> Vec<Prerequisite> {
    let with_rustup = shell::find("rustup").is_some();
    let component = |name, stage, component, file: &str, debian: &str| {
        let path = rustc.sysroot.join(file);
        Prerequisite {
            name,
            stage,
            state: if path.exists() {
                State::Ok(path.display().to_string())
            } else {
                State::Missing(format!("no {}", path.display()))
            },
            remedy: if with_rustup {
                Remedy::Component(component)
            } else {
                Remedy::ByHand(format!(
                    "this Rust is not rustup's: install rustup (https://rustup.rs), or the package of your \
                     distribution that belongs to this rustc (Debian: {debian})"
                ))
            },
        }
    };
    vec![
        Prerequisite {
            name: "rustc",
            stage: Stage::Build,
            state: judge(rustc.version, pinned(), with_rustup),
            remedy: Remedy::ByHand("rustup toolchain install (in the repository: it reads the pin)".into()),
        },
        component(
            "rust-src",
            Stage::Build,
            "rust-src",
            "lib/rustlib/src/rust/library/core/src/lib.rs",
            "rust-src or rust-web-src",
        ),
        component("rustfmt", Stage::Check, "rustfmt", "bin/rustfmt", "rustfmt"),
        component("clippy", Stage::Check, "clippy", "bin/cargo-clippy", "rust-clippy"),
    ]
}

fn judge(version: Version, pinned: Option<Version>, with_rustup: bool) -> State {
    let whose = if with_rustup { "" } else { ", not rustup's" };
    match pinned {
        Some(pinned) if version < pinned => State::TooOld(format!("{version}{whose}; {pinned} is pinned")),
        Some(pinned) if version > pinned => {
            State::Ok(format!("{version}{whose}, newer than the pinned {pinned}"))
        }
        _ => State::Ok(format!("{version}{whose}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Version, judge, pinned};

    #[test]
    fn the_pin_is_a_version() {
        assert!(pinned().is_some_and(|pinned| pinned >= Version(1, 95, 0)));
    }

    #[test]
    fn an_older_compiler_is_too_old_and_a_newer_one_is_named() {
        let pin = Some(Version(1, 95, 0));
        assert!(matches!(judge(Version(1, 85, 1), pin, true), State::TooOld(_)));
        assert_eq!(judge(Version(1, 95, 0), pin, true), State::Ok("1.95.0".into()));
        assert!(judge(Version(1, 96, 0), pin, false).found().contains("newer than the pinned"));
    }
}
