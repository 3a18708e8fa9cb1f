//! An instance: one agent with its own programs, maps and files. This file owns their paths and permissions. It must never look
//! into them. Called by the agent and by `sgctl`.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Seek, Write},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use sg_common::abi;

use super::AgentError;
use crate::{
    kernel::bpffs,
    lock_file::{self, LockError, LockFile, is_trusted},
};

const RUN: &str = "/run";

/// The directory of all instances: everybody may pass through it to the sockets they may use; only root can list it.
const MODE_OF_ALL: u32 = 0o711;
/// The directory of one instance: for root, and for the group that may use its socket.
const MODE_OF_ONE: u32 = 0o700;
const MODE_WITH_GROUP: u32 = 0o750;

/// A name and the paths derived from it.
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
    /// If the name could lead out of its directory.
    pub fn new(name: &str) -> Result<Self, AgentError> {
        Self::under(name, Path::new(RUN), &bpffs::root())
    }

    /// Like [`Self::new`] with other directories: tests must stay out of `/run`.
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

    /// All instances that have files or pins on this host, by name.
    ///
    /// # Errors
    /// If this user may not list them.
    pub fn all() -> Result<Vec<Self>, AgentError> {
        Self::all_under(Path::new(RUN), &bpffs::root())
    }

    fn all_under(run: &Path, bpffs: &Path) -> Result<Vec<Self>, AgentError> {
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
    pub fn exists(&self) -> Result<bool, AgentError> {
        let catalog = self.catalog();
        let has_catalog = catalog.try_exists().map_err(|source| AgentError::Io {
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
    pub(super) fn remove_directories(&self) -> Result<(), AgentError> {
        let directories = entries(&self.pins).chain([self.pins.clone()]);
        directories.into_iter().try_for_each(|path| absent_is_fine("remove", &path, fs::remove_dir(&path)))
    }

    /// Locks the instance for this process, until the lock is dropped.
    ///
    /// # Errors
    /// If another process holds it, or its files belong to another user.
    pub fn lock(&self) -> Result<InstanceLock, AgentError> {
        loop {
            self.make_directory()?;
            match LockFile::try_lock(&self.lock_file()) {
                Ok(mut lock) => {
                    sign(lock.file()).map_err(|source| AgentError::Io {
                        doing: "write",
                        path: self.lock_file(),
                        source,
                    })?;
                    close_to_others(&self.files, MODE_OF_ONE)?;
                    return Ok(InstanceLock { instance: self.clone(), lock });
                }
                // The previous holder has removed the directory in between.
                Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(LockError::Held { holder, content, .. }) => {
                    let signed: Option<u32> = content.trim().parse().ok();
                    return Err(match holder {
                        // Not the agent, which has ended, but another process that can open its files.
                        Some(holder) if signed != Some(holder.pid) && !holder.is_called("sgd") => {
                            AgentError::Locked { instance: self.name.clone(), path: self.lock_file(), holder }
                        }
                        holder => {
                            // In another PID namespace the process has another number.
                            let pid = holder.map(|holder| holder.pid).or(signed);
                            AgentError::Running { instance: self.name.clone(), pid }
                        }
                    });
                }
                Err(source) => return Err(AgentError::Lock { source }),
            }
        }
    }

    /// Creates the directory of its files, and the one above it.
    fn make_directory(&self) -> Result<(), AgentError> {
        let all = self.files.parent().unwrap_or(&self.files);
        for (path, mode) in [(all, MODE_OF_ALL), (&self.files, MODE_OF_ONE)] {
            let failed = |source| AgentError::Io { doing: "create", path: path.to_owned(), source };
            match DirBuilder::new().mode(mode).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => owned(path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(all).map_err(failed)?;
                    return self.make_directory();
                }
                done => done.map_err(failed)?,
            }
        }
        close_to_others(all, MODE_OF_ALL)
    }

    /// The PID of its agent; `None` if none runs.
    #[must_use]
    pub fn agent(&self) -> Option<u32> {
        lock_file::holder_of(&self.lock_file()).map(|holder| holder.pid)
    }

    /// Lets the members of a group use the socket of this instance and read its catalog.
    ///
    /// # Errors
    /// If the directory cannot be given to the group.
    pub fn admit(&self, group: u32) -> Result<(), AgentError> {
        let failed = |doing| move |source| AgentError::Io { doing, path: self.files.clone(), source };
        chown(&self.files, None, Some(group)).map_err(failed("change the group of"))?;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set(&self.files, MODE_WITH_GROUP).map_err(failed("change the mode of"))?;
        let all = self.files.parent().unwrap_or(&self.files);
        match fs::metadata(all) {
            Ok(found) if found.mode() & MODE_OF_ALL != MODE_OF_ALL => {
                let source = set(all, MODE_OF_ALL);
                source.map_err(|source| AgentError::Io {
                    doing: "change the mode of",
                    path: all.to_owned(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.files.join("lock")
    }
}

/// Refuses a directory that belongs neither to root nor to this process's user: its owner could replace anything in it.
fn owned(path: &Path) -> Result<(), AgentError> {
    let failed = |source| AgentError::Io { doing: "look at", path: path.to_owned(), source };
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if found.is_dir() && is_trusted(found.uid()) {
        return Ok(());
    }
    Err(AgentError::NotOurs { path: path.to_owned(), owner: found.uid() })
}

/// Removes permissions of others beyond `mode`: an earlier version, or a unit, may have created the directory.
fn close_to_others(path: &Path, mode: u32) -> Result<(), AgentError> {
    let failed = |source| AgentError::Io { doing: "change the mode of", path: path.to_owned(), source };
    let found = fs::symlink_metadata(path).map_err(failed)?.mode() & 0o7777;
    if found & !mode == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(found & mode)) {
        // It belongs to root, and is safe enough.
        Err(_) if found & 0o022 == 0 => Ok(()),
        done => done.map_err(failed),
    }
}

/// Sets aside pins that cannot be continued: `vN` becomes `vN-1`, or the next free number.
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

/// The entries of a directory; empty if it does not exist.
fn list(directory: &Path) -> Result<Vec<PathBuf>, AgentError> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(AgentError::Io { doing: "look into", path: directory.to_owned(), source }),
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
    }
}

/// The entries of a directory; empty if it cannot be read.
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

/// The right to change what an instance has in the kernel. Dropping it keeps the lock file.
#[derive(Debug)]
pub struct InstanceLock {
    instance: Instance,
    lock: LockFile,
}

impl InstanceLock {
    /// Removes the files of the instance and releases the lock.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn discard(self) -> Result<(), AgentError> {
        let Instance { files, .. } = &self.instance;
        let catalog = self.instance.catalog();
        for path in [self.instance.socket(), catalog.with_extension("json.tmp"), catalog] {
            absent_is_fine("remove", &path, fs::remove_file(&path))?;
        }
        // The lock is removed last.
        let removed = self.lock.remove();
        absent_is_fine("remove", &self.instance.lock_file(), removed)?;
        match fs::remove_dir(files) {
            // Another agent is starting, or the directory holds files that are not ours.
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
        assert!(instance.pins().starts_with(bpffs::root().join("sgd/blue-2")));
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
    fn its_files_are_for_its_owner_and_the_group_that_may_use_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let (all, own) = (dir.path().join("sgd"), dir.path().join("sgd/sgd"));
        // As earlier versions or units leave them.
        for wide in [0o755, 0o777] {
            fs::create_dir_all(&own).unwrap();
            for path in [&all, &own] {
                fs::set_permissions(path, fs::Permissions::from_mode(wide)).unwrap();
            }
            let lock = instance.lock().unwrap();
            assert_eq!((mode(&all), mode(&own)), (0o711, 0o700));
            assert_eq!(mode(&instance.lock_file()), 0o600);
            instance.admit(nix::unistd::getegid().as_raw()).unwrap();
            assert_eq!(mode(&own), 0o750);
            drop(lock);
        }
        drop(instance.lock().unwrap());
        assert_eq!(mode(&own), 0o700, "without a group again");
    }

    #[test]
    fn a_lock_that_is_not_the_agents_names_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        drop(instance.lock().unwrap());
        fs::write(instance.lock_file(), "4194305").unwrap();
        let held = LockFile::try_lock(&instance.lock_file()).unwrap();
        let refused = instance.lock().unwrap_err();
        assert!(matches!(&refused, AgentError::Locked { holder, .. } if holder.pid == std::process::id()));
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
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
