//! `Unpacked`: the files of Debian packages in a directory of ours.
//!
//! Owns the use of apt without installation: the machine is not changed, and nothing here needs root. `apt` installs. Called by
//! `matrix`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{shell, stamp::Stamp};

/// Fetches `packages` and unpacks them into `directory`, unless it has exactly these.
pub(crate) fn bring(packages: &[String], directory: &Path) -> Result<()> {
    let stamp = Stamp::of(directory, &[], &packages.join("\n"))?;
    if stamp.is_there() {
        return Ok(());
    }
    shell::announce(&format!("fetching {}", packages.join(" ")));
    stamp.begin()?;
    shell::run_quietly(
        Command::new("apt-get").args(["-qq", "download"]).args(packages).current_dir(directory),
    )
    .context("could not fetch packages: `apt-get update` may help, where the lists are old")?;
    while let Some(deb) = find(directory, &|name| name.rsplit_once('.').is_some_and(|(_, end)| end == "deb"))
    {
        shell::run_quietly(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(directory))?;
        fs::remove_file(&deb)?;
    }
    stamp.end()
}

/// `package` and its dependencies, as far as this machine lacks them.
pub(crate) fn with_what_it_needs(package: &str) -> Result<Vec<String>> {
    let plan = ["-qq", "--simulate", "--no-install-recommends", "install", package];
    let plan = shell::read(Command::new("apt-get").args(plan))
        .with_context(|| format!("apt knows no {package}: `apt-get update` may help"))?;
    let named = |line: &str| line.strip_prefix("Inst ")?.split_whitespace().next().map(str::to_owned);
    Ok(plan.lines().filter_map(named).collect())
}

/// The names of the packages that match the regular expression `pattern`.
pub(crate) fn search(pattern: &str) -> Vec<String> {
    let found = shell::read(Command::new("apt-cache").args(["search", "--names-only", pattern]));
    let names = found.unwrap_or_default();
    names.lines().filter_map(|line| Some(line.split_once(" - ")?.0.to_owned())).collect()
}

/// The first file below `directory`, at any depth, for which `is_it` is true.
pub(crate) fn find(directory: &Path, is_it: &impl Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        // Not through symbolic links: they may lead out of the packages, or in circles.
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find(&path, is_it) {
                return Some(found);
            }
        } else if path.file_name().and_then(OsStr::to_str).is_some_and(is_it) {
            return Some(path);
        }
    }
    None
}
