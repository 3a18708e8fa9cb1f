//! The lock of an instance, and who may enter its directory. Whoever holds the lock may change what the instance has on this host,
//! so an agent and `sgctl detach` each take it first. It must never change what the lock protects.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Seek, Write},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
};

use sg_host::lock_file::{self, LockError, LockFile, is_trusted};

use super::{
    error::HostError,
    instance::{Instance, absent_is_fine},
};

/// The directory of all instances: everybody may pass through it to the sockets they may use; only root can list it.
const MODE_OF_ALL: u32 = 0o711;
/// The directory of one instance: for root, and for the group that may use its socket.
const MODE_OF_ONE: u32 = 0o700;
const MODE_WITH_GROUP: u32 = 0o750;

impl Instance {
    /// Locks the instance for this process, until the lock is dropped.
    ///
    /// # Errors
    /// If another process holds it, or its files belong to another user.
    pub fn lock(&self) -> Result<InstanceLock, HostError> {
        loop {
            self.make_directory()?;
            match LockFile::try_lock(&self.lock_file()) {
                Ok(mut lock) => {
                    sign(lock.file()).map_err(|source| HostError::Io {
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
                            HostError::Locked {
                                instance: self.name().to_owned(),
                                path: self.lock_file(),
                                holder,
                            }
                        }
                        holder => {
                            // In another PID namespace the process has another number.
                            let pid = holder.map(|holder| holder.pid).or(signed);
                            HostError::Running { instance: self.name().to_owned(), pid }
                        }
                    });
                }
                Err(source) => return Err(HostError::Lock { source }),
            }
        }
    }

    /// Creates the directory of its files, and the one above it.
    fn make_directory(&self) -> Result<(), HostError> {
        let all = self.files.parent().unwrap_or(&self.files);
        for (path, mode) in [(all, MODE_OF_ALL), (&self.files, MODE_OF_ONE)] {
            let failed = |source| HostError::Io { doing: "create", path: path.to_owned(), source };
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
    pub fn admit(&self, group: u32) -> Result<(), HostError> {
        let failed = |doing| move |source| HostError::Io { doing, path: self.files.clone(), source };
        chown(&self.files, None, Some(group)).map_err(failed("change the group of"))?;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set(&self.files, MODE_WITH_GROUP).map_err(failed("change the mode of"))?;
        let all = self.files.parent().unwrap_or(&self.files);
        match fs::metadata(all) {
            Ok(found) if found.mode() & MODE_OF_ALL != MODE_OF_ALL => {
                let source = set(all, MODE_OF_ALL);
                source.map_err(|source| HostError::Io {
                    doing: "change the mode of",
                    path: all.to_owned(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a directory that belongs neither to root nor to this process's user: its owner could replace anything in it.
fn owned(path: &Path) -> Result<(), HostError> {
    let failed = |source| HostError::Io { doing: "look at", path: path.to_owned(), source };
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if found.is_dir() && is_trusted(found.uid()) {
        return Ok(());
    }
    Err(HostError::NotOurs { path: path.to_owned(), owner: found.uid() })
}

/// Removes permissions of others beyond `mode`: an earlier version, or a unit, may have created the directory.
fn close_to_others(path: &Path, mode: u32) -> Result<(), HostError> {
    let failed = |source| HostError::Io { doing: "change the mode of", path: path.to_owned(), source };
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
    pub fn discard(self) -> Result<(), HostError> {
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
    fn one_process_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        let held = instance.lock().unwrap();
        let refused = instance.lock().unwrap_err();
        assert!(matches!(refused, HostError::Running { pid, .. } if pid == Some(std::process::id())));
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
        assert!(matches!(instance.lock().unwrap_err(), HostError::Running { .. }));
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
        assert!(matches!(&refused, HostError::Locked { holder, .. } if holder.pid == std::process::id()));
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
    }
}
