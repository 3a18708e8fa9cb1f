//! Takes the debug information of a built program into a file of its own, as distributions do: the program shrinks to a fifth, and
//! with `NAME.debug` beside it a backtrace has the same lines as before.
//!
//! Not by `split-debuginfo` of cargo: that leaves line tables and address ranges in the program. It must never write to
//! the program in place, which is a hard link to a file of cargo's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::shell;

/// Separates the debug information of `program`, and returns the file that has it.
pub(crate) fn separate(program: &Path) -> Result<PathBuf> {
    let debug = with_suffix(program, ".debug");
    let small = with_suffix(program, ".small");
    objcopy(&["--only-keep-debug", "--compress-debug-sections=zlib"], program, &debug)?;
    // The program has the other file's name and checksum, and keeps the names of its functions.
    let link = format!("--add-gnu-debuglink={}", debug.display());
    objcopy(&["--strip-debug", &link], program, &small)?;
    fs::rename(&small, program).with_context(|| format!("cannot replace {}", program.display()))?;
    Ok(debug)
}

fn with_suffix(program: &Path, suffix: &str) -> PathBuf {
    let mut name = program.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn objcopy(arguments: &[&str], from: &Path, to: &Path) -> Result<()> {
    shell::run_quietly(Command::new("objcopy").args(arguments).args([from, to]))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    const PANICS: &str = "SG_TEST_PANICS";

    /// Panics in a process that the other test starts.
    #[test]
    fn panics_when_asked() {
        assert!(env::var_os(PANICS).is_none(), "asked to");
    }

    #[test]
    fn a_backtrace_keeps_its_lines() {
        let this = env::current_exe().unwrap();
        let directory = with_suffix(&this, ".separated");
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(&directory).unwrap();
        let program = directory.join("program");
        fs::copy(&this, &program).unwrap();
        let lines = || {
            let mut run = Command::new(&program);
            run.args(["--exact", "debug_info::tests::panics_when_asked", "--nocapture"]);
            let output = run.env(PANICS, "1").env("RUST_BACKTRACE", "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let at = |line: &&str| line.trim_start().starts_with("at ") && line.contains("debug_info.rs:");
            (said.lines().filter(at).map(str::to_owned).collect::<Vec<_>>(), said)
        };
        let (before, said) = lines();
        assert!(!before.is_empty(), "{said}");
        let size = fs::metadata(&program).unwrap().len();

        let debug = separate(&program).unwrap();
        assert_eq!(lines().0, before);
        assert!(fs::metadata(&program).unwrap().len() < size / 2);

        // The lines come from the other file, and the names of functions do not need it.
        fs::remove_file(debug).unwrap();
        let (after, said) = lines();
        assert!(after.is_empty() && said.contains("panics_when_asked"), "{said}");
        fs::remove_dir_all(directory).unwrap();
    }
}
