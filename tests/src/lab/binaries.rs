//! The paths of `sgd` and `sgctl`.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

/// The directory of `sgd` and `sgctl`.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Finds them: in `SG_BIN_DIR`, or beside this executable, or for a test in the directory above.
    ///
    /// # Errors
    /// If they are missing, with the command that builds them.
    pub fn find() -> Result<Self> {
        let directory = match env::var_os("SG_BIN_DIR") {
            Some(directory) => PathBuf::from(directory),
            None => beside(&env::current_exe()?)?,
        };
        let found = Self(directory);
        for binary in [found.sgd(), found.sgctl()] {
            ensure!(
                binary.is_file(),
                "no {}: build it with `cargo build --package sgd --package sgctl`, or name its directory in SG_BIN_DIR",
                binary.display()
            );
        }
        Ok(found)
    }

    /// The directory of both programs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The agent.
    #[must_use]
    pub fn sgd(&self) -> PathBuf {
        self.0.join("sgd")
    }

    /// The client.
    #[must_use]
    pub fn sgctl(&self) -> PathBuf {
        self.0.join("sgctl")
    }
}

fn beside(executable: &Path) -> Result<PathBuf> {
    let directory = executable.parent().context("an executable without a directory")?;
    match directory.file_name() {
        Some(name) if name == "deps" => Ok(directory.join("..")),
        _ => Ok(directory.into()),
    }
}
