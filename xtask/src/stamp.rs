//! `Stamp`: a directory that is created from lists, and again when a list changes.
//!
//! Owns one file in that directory, `made-from`. Called by what fetches things from elsewhere: `clients`, `unpacked`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// What a directory was created from. Written last, so that an interrupted creation is repeated.
pub(crate) struct Stamp {
    directory: PathBuf,
    content: String,
}

impl Stamp {
    /// The stamp of `directory`, created from the content of `files` and from `version`.
    pub(crate) fn of(directory: &Path, files: &[&Path], version: &str) -> Result<Self> {
        let mut content = version.to_owned();
        for file in files {
            content +=
                &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(Self { directory: directory.to_owned(), content })
    }

    fn file(&self) -> PathBuf {
        self.directory.join("made-from")
    }

    /// Whether the directory was created from exactly this.
    pub(crate) fn is_there(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|content| content == self.content)
    }

    /// Creates an empty directory in place of an existing one.
    pub(crate) fn begin(&self) -> Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&self.directory),
        }
        .with_context(|| format!("cannot make {} anew", self.directory.display()))
    }

    /// Marks the directory as complete.
    pub(crate) fn end(&self) -> Result<()> {
        fs::write(self.file(), &self.content)
            .with_context(|| format!("cannot write {}", self.file().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    #[test]
    fn a_directory_is_made_once_and_again_when_a_list_changes() {
        let directory = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (list, made) = (directory.join("list"), directory.join("made"));
        let stamp = |text: &str| {
            std::fs::write(&list, text).unwrap();
            Stamp::of(&made, &[&list], "3.11.2").unwrap()
        };
        let first = stamp("one");
        first.begin().unwrap();
        assert!(!first.is_there(), "it is not there before its end");
        first.end().unwrap();
        assert!(stamp("one").is_there());
        assert!(!stamp("two").is_there());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
