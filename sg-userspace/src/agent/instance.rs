//! An instance: one agent with its own programs, maps and files. This file owns where they are and who may
//! touch them. It must never look into them. Called by the agent and by `sgctl`.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use sg_common::abi;

use super::AgentError;

/// Where the kernel keeps pinned objects.
const BPFFS: &str = "/sys/fs/bpf";
const RUN: &str = "/run";

/// A name and the paths that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    files: PathBuf,
    pins: PathBuf,
}

impl Instance {
    /// The instance called `name`.
    ///
    /// # Errors
    /// Where the name could lead out of its directory.
    pub fn new(name: &str) -> Result<Self, AgentError> {
        Self::under(name, Path::new(RUN), Path::new(BPFFS))
    }

    /// Like [`Self::new`] in other directories: tests have no business in `/run`.
    pub(super) fn under(name: &str, run: &Path, bpffs: &Path) -> Result<Self, AgentError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(AgentError::InstanceName { name: name.to_owned() });
        }
        Ok(Self {
            name: name.to_owned(),
            files: run.join("sgd").join(name),
            pins: bpffs.join("sgd").join(name),
        })
    }

    /// Every instance that this host has files or pins of, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::all_under(Path::new(RUN), Path::new(BPFFS))
    }

    fn all_under(run: &Path, bpffs: &Path) -> Vec<Self> {
        let directories = [run, bpffs].map(|root| entries(&root.join("sgd")).filter(|path| path.is_dir()));
        let names: BTreeSet<String> = directories
            .into_iter()
            .flatten()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.iter().filter_map(|name| Self::under(name, run, bpffs).ok()).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What every counter number means.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.files.join("catalog.json")
    }

    /// Where `sgd serve` is asked things.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.files.join("api.sock")
    }

    /// Where maps and links of this version are pinned. Another version has another directory, so an agent
    /// never runs half of each.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.pins.join(format!("v{}", abi::VERSION))
    }

    /// The directories that hold pins: one a layout, and those that were set aside.
    #[must_use]
    pub fn pinned(&self) -> Vec<PathBuf> {
        let holds_pins =
            |path: &PathBuf| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let mut found: Vec<PathBuf> = entries(&self.pins).filter(holds_pins).collect();
        found.sort();
        found
    }

    /// Removes the directories of pins, which are empty.
    pub(super) fn remove_directories(&self) -> Result<(), AgentError> {
        let directories = entries(&self.pins).chain([self.pins.clone()]);
        directories.into_iter().try_for_each(|path| absent_is_fine("remove", &path, fs::remove_dir(&path)))
    }

    /// Takes the instance for this process, until the lock is dropped.
    ///
    /// # Errors
    /// Where another process has it, or the lock file cannot be written.
    pub fn lock(&self) -> Result<InstanceLock, AgentError> {
        let path = self.lock_file();
        let failed = |doing, source: io::Error| AgentError::Io { doing, path: path.clone(), source };
        loop {
            fs::create_dir_all(&self.files).map_err(|source| AgentError::Io {
                doing: "create",
                path: self.files.clone(),
                source,
            })?;
            // Not truncated on opening: until the lock is ours, the pid in it is another's.
            let file =
                match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
                    // Who had it has removed the directory in between.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    file => file.map_err(|source| failed("open", source))?,
                };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) if !is_at(&lock, &path) => {}
                Ok(mut lock) => {
                    sign(&mut lock).map_err(|source| failed("write", source))?;
                    return Ok(InstanceLock { instance: self.clone(), _lock: lock });
                }
                Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                    return Err(AgentError::Running { instance: self.name.clone(), pid: signature(file) });
                }
                Err((_, errno)) => return Err(failed("lock", errno.into())),
            }
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.files.join("lock")
    }
}

/// Sets pins aside that nobody can go on with: `vN` becomes `vN-1`, or the next number that is free.
pub(super) fn set_aside(pins: &Path) -> Result<(), AgentError> {
    let name = pins.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 1;
    let mut aside = pins.with_file_name(format!("{name}-{number}"));
    while aside.exists() {
        number += 1;
        aside = pins.with_file_name(format!("{name}-{number}"));
    }
    let failed = |source| AgentError::Io { doing: "set aside", path: pins.to_owned(), source };
    fs::rename(pins, aside).map_err(failed)
}

/// Whether `file` is still what `path` names: who had the lock may have removed the file before letting go of it.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|found| (found.dev(), found.ino()));
    number(file.metadata()) == number(fs::metadata(path))
}

/// What is in a directory; nothing where it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn absent_is_fine(doing: &'static str, path: &Path, done: io::Result<()>) -> Result<(), AgentError> {
    match done {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(AgentError::Io { doing, path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn signature(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The right to change what an instance has in the kernel. The file stays when it is dropped.
#[derive(Debug)]
pub struct InstanceLock {
    instance: Instance,
    _lock: Flock<File>,
}

impl InstanceLock {
    /// Removes the files of the instance and lets go of it.
    ///
    /// # Errors
    /// Where one of them stays.
    pub fn discard(self) -> Result<(), AgentError> {
        let Instance { files, .. } = &self.instance;
        let catalog = self.instance.catalog();
        for path in [self.instance.socket(), catalog.with_extension("json.tmp"), catalog] {
            absent_is_fine("remove", &path, fs::remove_file(&path))?;
        }
        // Last, and not before this is dropped may somebody else lock the next file of this name.
        let path = self.instance.lock_file();
        absent_is_fine("remove", &path, fs::remove_file(&path))?;
        match fs::remove_dir(files) {
            // Somebody who starts, or something that is not ours.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            done => absent_is_fine("remove", files, done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_directory() {
        for name in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(matches!(Instance::new(name), Err(AgentError::InstanceName { .. })), "{name:?}");
        }
        let instance = Instance::new("blue-2").unwrap();
        assert_eq!(instance.catalog(), Path::new("/run/sgd/blue-2/catalog.json"));
        assert!(instance.pins().starts_with("/sys/fs/bpf/sgd/blue-2"));
    }

    #[test]
    fn one_process_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        let held = instance.lock().unwrap();
        let refused = instance.lock().unwrap_err();
        assert!(matches!(refused, AgentError::Running { pid, .. } if pid == Some(std::process::id())));
        drop(held);
        instance.lock().unwrap();
    }

    #[test]
    fn a_discarded_instance_leaves_nothing_and_can_be_locked_again() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        let lock = instance.lock().unwrap();
        fs::write(instance.catalog(), "{}").unwrap();
        lock.discard().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("sgd")).unwrap().count(), 0);
        let _held = instance.lock().unwrap();
        assert!(matches!(instance.lock().unwrap_err(), AgentError::Running { .. }));
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path));
        let _next = File::create(&path).unwrap();
        assert!(!is_at(&file, &path));
    }

    #[test]
    fn every_instance_of_a_host_is_found_by_its_files_or_its_pins() {
        let dir = tempfile::tempdir().unwrap();
        let (run, bpffs) = (dir.path().join("run"), dir.path().join("bpf"));
        assert!(Instance::all_under(&run, &bpffs).is_empty());
        let under = |name| Instance::under(name, &run, &bpffs).unwrap();
        drop(under("files").lock().unwrap());
        drop(under("both").lock().unwrap());
        fs::create_dir_all(under("both").pins()).unwrap();
        fs::create_dir_all(under("pins").pins()).unwrap();
        fs::write(run.join("sgd/file"), "").unwrap();
        assert_eq!(Instance::all_under(&run, &bpffs), [under("both"), under("files"), under("pins")]);
    }

    #[test]
    fn what_is_set_aside_keeps_out_of_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), &dir.path().join("bpf")).unwrap();
        for _ in 0..2 {
            fs::create_dir_all(instance.pins()).unwrap();
            fs::write(instance.pins().join("COUNTERS"), "").unwrap();
            set_aside(&instance.pins()).unwrap();
        }
        let names: Vec<_> =
            instance.pinned().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(
            names,
            [format!("v{}-1", abi::VERSION), format!("v{}-2", abi::VERSION)]
                .map(Into::<std::ffi::OsString>::into)
        );
    }
}
