//! Running other programs: finding them, showing or keeping quiet what they say, naming the one that failed.
//!
//! Never changes the environment of this process: a variable is set on the one command that needs it, so that
//! `RUSTC_BOOTSTRAP` reaches no other step (it changes every fingerprint and would compile the tree twice).

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};

/// Says what is about to happen, before it does.
pub(crate) fn announce(what: &str) {
    println!("==> {what}");
}

/// `cargo <subcommand>`, of the toolchain that runs us.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand);
    command
}

/// Runs `command` and shows what it says.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = start(command)?.wait()?;
    succeeded(command, status)
}

/// Starts `command`.
pub(crate) fn start(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start `{}`", line_of(command)))
}

/// An error where `command` ended as one that failed.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", line_of(command));
    }
    Ok(())
}

/// Runs `command` and shows what it says only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line_of(command)))?;
    if !output.status.success() {
        io::stderr().write_all(&output.stdout)?;
        io::stderr().write_all(&output.stderr)?;
        bail!("`{}` failed ({})", line_of(command), output.status);
    }
    Ok(())
}

/// What `command` prints, if it can be run and succeeds.
pub(crate) fn read(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Where `program` lies.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    // Debian keeps /usr/sbin out of a user's PATH, and `tc` lives there; and what systemd starts, out of everybody's.
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/lib/systemd"].map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The directory this workspace is built into, however the user has set it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    // Cargo put us into `<target directory>/debug`.
    let exe = env::current_exe().context("cannot tell where this program lies")?;
    exe.ancestors().nth(2).map(PathBuf::from).context("this program lies in no target directory")
}

/// The directory of what is built without `--release`, which is what tests are of.
pub(crate) fn dev_dir() -> Result<PathBuf> {
    target_dir().map(|dir| dir.join("debug"))
}

/// The directory of what is built with `--release`.
pub(crate) fn release_dir() -> Result<PathBuf> {
    target_dir().map(|dir| dir.join("release"))
}

/// The command as one would type it.
fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words: Vec<&OsStr> = std::iter::once(program).chain(command.get_args()).collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}
