//! An instance: one agent with its own programs, maps and files. This file owns its name and the paths derived from it. It must
//! never look into the files. Called by the agent and by `sgctl`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use sg_common::abi;
use sg_kernel::bpffs;

use super::error::HostError;

const RUN: &str = "/run";

/// A name and the paths derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    pub(super) files: PathBuf,
    pins: PathBuf,
}

impl Instance {
    /// The instance called `name`.
    ///
    /// # Errors
    /// If the name could lead out of its directory.
    pub fn new(name: &str) -> Result<Self, HostError> {
        Self::under(name, Path::new(RUN), &bpffs::root())
    }

    /// Like [`Self::new`] with other directories: tests must stay out of `/run`.
    ///
    /// # Errors
    /// As there.
    pub fn under(name: &str, run: &Path, bpffs: &Path) -> Result<Self, HostError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(HostError::InstanceName { name: name.to_owned() });
        }
        Ok(Self {
            name: name.to_owned(),
            files: run.join("sgd").join(name),
            pins: bpffs.join("sgd").join(name),
        })
    }

    /// All instances that have files or pins on this host, by name.
    ///
    /// # Errors
    /// If this user may not list them.
    pub fn all() -> Result<Vec<Self>, HostError> {
        Self::all_under(Path::new(RUN), &bpffs::root())
    }

    fn all_under(run: &Path, bpffs: &Path) -> Result<Vec<Self>, HostError> {
        let mut names = BTreeSet::new();
        for directory in [run.join("sgd"), bpffs.join("sgd")] {
            let found = list(&directory)?.into_iter().filter(|path| path.is_dir());
            names.extend(found.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())));
        }
        Ok(names.iter().filter_map(|name| Self::under(name, run, bpffs).ok()).collect())
    }

    /// Whether the instance exists: it has a catalog, or pins.
    ///
    /// # Errors
    /// If this user may not see them.
    pub fn exists(&self) -> Result<bool, HostError> {
        let catalog = self.catalog();
        let has_catalog = catalog.try_exists().map_err(|source| HostError::Io {
            doing: "look for",
            path: catalog,
            source,
        })?;
        Ok(has_catalog || list(&self.pins)?.iter().any(|path| entries(path).next().is_some()))
    }

    /// The name, as given to `--instance`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of the catalog, which records what every counter number means.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.files.join("catalog.json")
    }

    /// The path of the table of reported flows, beside which are others with the same name.
    #[must_use]
    pub fn reported_flows(&self) -> PathBuf {
        self.files.join("flows.reported")
    }

    /// The path of the socket of `sgd serve`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.files.join("api.sock")
    }

    /// The directory where maps and links of this version are pinned. Another version has another directory, so an agent never
    /// runs half of each.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.pins.join(format!("v{}", abi::VERSION))
    }

    /// The directories with pins: one for each layout, and those that were set aside.
    #[must_use]
    pub fn pinned(&self) -> Vec<PathBuf> {
        let holds_pins =
            |path: &PathBuf| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let mut found: Vec<PathBuf> = entries(&self.pins).filter(holds_pins).collect();
        found.sort();
        found
    }

    /// Removes the directories of pins, which must be empty.
    pub(super) fn remove_directories(&self) -> Result<(), HostError> {
        let directories = entries(&self.pins).chain([self.pins.clone()]);
        directories.into_iter().try_for_each(|path| absent_is_fine("remove", &path, fs::remove_dir(&path)))
    }

    /// The path of the lock, whose content is the PID of the agent.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.files.join("lock")
    }
}

/// The entries of a directory; empty if it does not exist.
fn list(directory: &Path) -> Result<Vec<PathBuf>, HostError> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(HostError::Io { doing: "look into", path: directory.to_owned(), source }),
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
    }
}

/// The entries of a directory; empty if it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Passes an error on, unless it says that there is no such file.
pub(super) fn absent_is_fine(
    doing: &'static str,
    path: &Path,
    done: io::Result<()>,
) -> Result<(), HostError> {
    match done {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HostError::Io { doing, path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_directory() {
        for name in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(matches!(Instance::new(name), Err(HostError::InstanceName { .. })), "{name:?}");
        }
        let instance = Instance::new("blue-2").unwrap();
        assert_eq!(instance.catalog(), Path::new("/run/sgd/blue-2/catalog.json"));
        assert!(instance.pins().starts_with(bpffs::root().join("sgd/blue-2")));
    }

    #[test]
    fn every_instance_of_a_host_is_found_by_its_files_or_its_pins() {
        let dir = tempfile::tempdir().unwrap();
        let (run, bpffs) = (dir.path().join("run"), dir.path().join("bpf"));
        assert!(Instance::all_under(&run, &bpffs).unwrap().is_empty());
        let under = |name| Instance::under(name, &run, &bpffs).unwrap();
        drop(under("files").lock().unwrap());
        drop(under("both").lock().unwrap());
        fs::create_dir_all(under("both").pins()).unwrap();
        fs::create_dir_all(under("pins").pins()).unwrap();
        fs::write(run.join("sgd/file"), "").unwrap();
        assert_eq!(
            Instance::all_under(&run, &bpffs).unwrap(),
            [under("both"), under("files"), under("pins")]
        );
        fs::write(under("pins").pins().join("COUNTERS"), "").unwrap();
        let exists = |name| under(name).exists().unwrap();
        assert_eq!((exists("pins"), exists("both"), exists("nothing")), (true, false, false));
    }
}
