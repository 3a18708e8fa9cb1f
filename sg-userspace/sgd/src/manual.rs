//! `sgd man`: manual pages, generated from the definitions of the arguments, as `sgctl man` does. For packages; hidden in the help.
//! It must never touch anything but the directory that it is given. Called by `main`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use crate::{help, lines};

/// Write a manual page for each command.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Directory for the pages; created if missing.
    dir: PathBuf,
}

pub(crate) fn write(arguments: &Arguments, derived: clap::Command) -> anyhow::Result<()> {
    let dir = &arguments.dir;
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(help::of(derived), dir))
        .with_context(|| format!("cannot write manual pages to {}", dir.display()))?;
    lines::print(&format!("the pages are in {}", dir.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_page_for_every_command() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path().join("man1");
        write(&Arguments { dir: pages.clone() }, crate::Arguments::command()).unwrap();
        for page in ["sgd.1", "sgd-run.1", "sgd-serve.1"] {
            let text = fs::read_to_string(pages.join(page)).unwrap();
            assert!(text.contains("sgd run \\-f") || text.contains("sgd serve \\-\\-"), "{page}: {text}");
        }
    }
}
