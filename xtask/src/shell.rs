//! Runs other programs: finds them, shows or hides their output, and names the one that failed.
//!
//! Never changes the environment of this process: a variable is set only for the command that needs it, so that `RUSTC_BOOTSTRAP`
//! reaches no other step (it changes every fingerprint and would compile the tree twice).

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};

/// Prints what is about to happen.
pub(crate) fn announce(what: &str) {
    println!("==> {what}");
}

/// `cargo <subcommand>`, of the toolchain that runs this program.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand);
    command
}

/// Runs `command` and shows its output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = start(command)?.wait()?;
    succeeded(command, status)
}

pub(crate) fn start(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start `{}`", line_of(command)))
}

/// An error if `command` failed.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", line_of(command));
    }
    Ok(())
}

/// Runs `command` and shows its output only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line_of(command)))?;
    if !output.status.success() {
        io::stderr().write_all(&output.stdout)?;
        io::stderr().write_all(&output.stderr)?;
        bail!("`{}` failed ({})", line_of(command), output.status);
    }
    Ok(())
}

/// The output of `command`, if it can be run and succeeds.
pub(crate) fn read(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// A program that the system's packages installed.
pub(crate) fn find_of_system(program: &str) -> Option<PathBuf> {
    let dirs = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/lib/systemd"].map(PathBuf::from);
    dirs.into_iter().map(|dir| dir.join(program)).find(|file| file.is_file())
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // Debian keeps /usr/sbin, which has `tc`, out of a user's PATH, and systemd's own programs out of everybody's.
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/lib/systemd"].map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The target directory of this workspace, however the user has configured it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    // Cargo put this program into `<target directory>/debug`.
    let exe = env::current_exe().context("cannot tell where this program lies")?;
    exe.ancestors().nth(2).map(PathBuf::from).context("this program lies in no target directory")
}

/// The directory of builds without `--release`, which tests use.
pub(crate) fn dev_dir() -> Result<PathBuf> {
    target_dir().map(|dir| dir.join("debug"))
}

/// The directory of builds with `--release`.
pub(crate) fn release_dir() -> Result<PathBuf> {
    target_dir().map(|dir| dir.join("release"))
}

/// The command as a user would type it.
fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words: Vec<&OsStr> = std::iter::once(program).chain(command.get_args()).collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}
