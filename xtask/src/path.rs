//! The `PATH` of demonstration, tests and benchmarks: a directory with a link to each declared program and nothing else.
//!
//! Every program that they or their scripts start by name is in the table of `programs`, or is not found: a program that just
//! happens to be installed here fails here. Owns the directories below `path` in the target directory.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    prerequisite::Stage,
    programs::{ALL, Programs, Proof, Source},
    shell,
};

/// Creates the directory of the programs of `stages`, called `name`, and returns its path.
pub(crate) fn of(stages: &[Stage], name: &str) -> Result<PathBuf> {
    let directory = shell::target_dir()?.join("path").join(name);
    fill(&directory, stages).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// The `PATH` assignment for `env`.
pub(crate) fn variable(directory: &Path) -> String {
    format!("PATH={}", directory.display())
}

fn fill(directory: &Path, stages: &[Stage]) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(directory)?,
    }
    let is_of = |programs: &&Programs| programs.stages.iter().any(|stage| stages.contains(stage));
    let named =
        ALL.iter().filter(is_of).flat_map(|programs| programs.names.iter().map(move |name| (programs, name)));
    for (programs, name) in named {
        // What Debian has comes from where Debian puts it: a shim in front of it, as of pyenv, needs programs that are not declared.
        // The version of some is proven of the one that is found first.
        let is_any = matches!((programs.source, programs.proof), (Source::Debian(_), Proof::Found));
        let of_debian = is_any.then(|| shell::find_of_system(name)).flatten();
        // Two lines of the table may have the same one.
        match of_debian.or_else(|| shell::find(name)).map(|program| symlink(program, directory.join(name))) {
            Some(Err(error)) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{fill, variable};
    use crate::prerequisite::Stage;

    #[test]
    fn what_is_not_declared_is_not_found() {
        let directory = std::env::temp_dir().join(format!("xtask-path-{}", std::process::id()));
        fill(&directory, &[Stage::Run]).unwrap();
        let ends = |program: &str| {
            Command::new("env").args([&variable(&directory), program]).output().unwrap().status.code()
        };
        assert_eq!(ends("true"), Some(0));
        // Every system has it, and nothing of ours starts it.
        assert_eq!(ends("uname"), Some(127));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
