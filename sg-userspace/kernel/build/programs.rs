//! Builds a package of eBPF programs into the crate whose build script asks, where that can be done.
//!
//! Without bpf-linker or rust-src the crate still builds, with an empty object in place of the programs: tests
//! that need no kernel run, everything else says what is missing. `cargo xtask setup` brings both.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

/// Builds `name`, which lies at `root`, to a file of its name in `OUT_DIR`. It is built again when something in `sources`
/// changed, which like `root` are seen from the crate that asks.
pub(crate) fn build(name: &str, root: &str, sources: &[&str]) -> Result<()> {
    let object = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?).join(name);
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?);
    for source in sources {
        println!("cargo:rerun-if-changed={}", here.join(source).display());
    }
    for name in ["PATH", "SG_WITHOUT_PROGRAMS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }

    // Clippy and the fuzz targets have a build of this script to themselves, and read no object.
    if ["CLIPPY_ARGS", "SG_WITHOUT_PROGRAMS"].into_iter().any(|name| env::var_os(name).is_some()) {
        return fs::write(&object, []).context("write an empty object");
    }
    if let Some(missing) = missing() {
        println!("cargo:warning=the eBPF programs are left out: {missing}; `cargo xtask setup` brings it");
        return fs::write(&object, []).context("write an empty object");
    }
    // The stable compiler builds `core` for the BPF target when it is told that this is a bootstrap.
    // SAFETY: a build script has one thread.
    #[expect(unsafe_code, reason = "aya-build reads the variable from the environment")]
    unsafe {
        env::set_var("RUSTC_BOOTSTRAP", "1");
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".to_owned());
    let package = Package { name, root_dir: root, ..Package::default() };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain))
}

/// What keeps the programs from being built.
fn missing() -> Option<&'static str> {
    let runs = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !runs(Command::new("bpf-linker").arg("--version")) {
        return Some("bpf-linker is not installed");
    }
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").exists() {
        return Some("the rust-src component is not installed");
    }
    None
}
