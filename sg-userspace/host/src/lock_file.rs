//! Lock files that no other user can hold. Whoever can open a file, even only to read it, can lock it (`flock(2)`) and keep an
//! agent from starting. So these files are for their owner only, and a file that others could open is replaced.
//!
//! It must never know what a lock is for. An instance, a store and the API sockets take theirs here.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::stat::{major, minor},
    unistd::{Uid, User, geteuid},
};
use thiserror::Error;

/// A file that is locked as long as this value lives. Dropping it does not remove the file.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    file: Flock<File>,
}

/// Why a file could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("{path:?} is locked by {}", holder.as_ref().map_or_else(|| "a process that cannot be seen from here".to_owned(), ToString::to_string))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, if the kernel shows it.
        holder: Option<Holder>,
        /// The content of the file.
        content: String,
    },
    /// The file belongs to another user, who could lock it at any time.
    #[error(
        "{path:?} belongs to {}, who could hold the lock for ever: remove it, and let only root write to its directory",
        user(*owner)
    )]
    NotOurs {
        /// The lock file.
        path: PathBuf,
        /// The uid of its owner.
        owner: u32,
    },
    /// A file system operation failed.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// "open" or "lock".
        doing: &'static str,
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process that took the lock. It may have ended and left the lock to a child.
    pub pid: u32,
    /// Name and uid of the process, if it still runs.
    pub process: Option<(String, u32)>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid;
        match &self.process {
            Some((name, owner)) => write!(f, "process {pid} ({}) of {}", name.escape_debug(), user(*owner)),
            None => write!(f, "a child of process {pid}, which has ended"),
        }
    }
}

impl Holder {
    /// Whether it is a program of this project that root or this user runs. A process that opened a lock while others could open
    /// it may have ended and left it to a child, or may have become a program of root's that has nothing to do with it.
    fn is_ours(&self) -> bool {
        const PROGRAMS: [&str; 2] = ["sgd", "sgctl"];
        self.process
            .as_ref()
            .is_some_and(|(name, owner)| is_trusted(*owner) && PROGRAMS.contains(&name.as_str()))
    }

    /// Whether the process still runs, and runs `program`.
    #[must_use]
    pub fn is_called(&self, program: &str) -> bool {
        self.process.as_ref().is_some_and(|(name, _)| name == program)
    }
}

/// A uid as text for people.
#[must_use]
pub fn user(uid: u32) -> String {
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    name.map_or_else(|| format!("user {uid}"), |name| format!("user {name}"))
}

/// Whether `uid` is root or the user of this process.
#[must_use]
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

impl LockFile {
    /// Locks the file `path`, and creates it if it is missing. Fails if another process holds the lock.
    ///
    /// # Errors
    /// If another process holds the lock, or the file cannot be made, opened or given to its owner.
    pub fn try_lock(path: &Path) -> Result<Self, LockError> {
        let failed = |doing, source| LockError::Io { doing, path: path.to_owned(), source };
        loop {
            // Not truncated: until the lock is ours, the content is another process's.
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .map_err(|source| failed("open", source))?;
            let metadata = file.metadata().map_err(|source| failed("look at", source))?;
            if !is_trusted(metadata.uid()) {
                return Err(LockError::NotOurs { path: path.to_owned(), owner: metadata.uid() });
            }
            // Left by an earlier version, or created by hand.
            let is_open_to_others = metadata.mode() & 0o077 != 0;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // The previous holder removed the file before releasing it.
                Ok(file) if !is_at(&file, path) => {}
                // Somebody may have opened it already and be waiting for us to release it.
                Ok(_) if is_open_to_others => {
                    fs::remove_file(path).map_err(|source| failed("replace", source))?;
                }
                Ok(file) => return Ok(Self { path: path.to_owned(), file }),
                Err((file, Errno::EWOULDBLOCK)) => {
                    let holder = holder(&metadata);
                    // In a PID namespace, the kernel does not show a lock whose taker has ended.
                    if !is_open_to_others || holder.as_ref().is_some_and(Holder::is_ours) {
                        let content = io::read_to_string(&file).unwrap_or_default();
                        return Err(LockError::Held { path: path.to_owned(), holder, content });
                    }
                    let who = holder.map_or_else(|| "somebody".to_owned(), |holder| holder.to_string());
                    tracing::warn!(
                        "the lock {} was held by {who}, who has no right to it: it is replaced",
                        path.display()
                    );
                    fs::remove_file(path).map_err(|source| failed("replace", source))?;
                }
                Err((_, errno)) => return Err(failed("lock", errno.into())),
            }
        }
    }

    /// The locked file, to write into it who holds it.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Removes the file and only then releases the lock, so nobody locks the next file of this name earlier.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether `file` is still the file at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|found| (found.dev(), found.ino()));
    number(file.metadata()) == number(fs::symlink_metadata(path))
}

/// The process that holds the lock `path`; none if nobody does, or the kernel does not show it.
#[must_use]
pub fn holder_of(path: &Path) -> Option<Holder> {
    holder(&fs::metadata(path).ok()?)
}

fn holder(file: &fs::Metadata) -> Option<Holder> {
    let pid = pid_in(&list_of_locks().ok()?, file.dev(), file.ino())?;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let name = fs::read_to_string(process.join("comm")).ok();
    let owner = fs::metadata(&process).ok().map(|found| found.uid());
    Some(Holder { pid, process: name.map(|name| name.trim().to_owned()).zip(owner) })
}

/// The content of `/proc/locks`. If the list changes between two reads, a line that moves up in it may be missed (`locks_start`,
/// fs/locks.c). One read with enough room gets a page, which is some 80 locks.
fn list_of_locks() -> io::Result<String> {
    let mut list = String::with_capacity(1 << 16);
    File::open("/proc/locks")?.read_to_string(&mut list)?;
    Ok(list)
}

/// The process in the line of `/proc/locks` for a file (`lock_get_status`, fs/locks.c): `1: FLOCK  ADVISORY  WRITE 708 00:14:123
/// 0 EOF`.
fn pid_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Lines of waiting processes have an arrow.
        let [_, "FLOCK", _, _, pid, at, ..] = words[..] else { return None };
        if at == file { pid.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt as _, symlink},
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_lock_is_for_its_owner_only_and_who_has_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = LockFile::try_lock(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let refused = LockFile::try_lock(&path).unwrap_err();
        let LockError::Held { holder: Some(holder), .. } = &refused else { panic!("{refused}") };
        assert_eq!(holder.pid, std::process::id());
        assert!(refused.to_string().contains(&format!("process {} (", holder.pid)), "{refused}");
        held.remove().unwrap();
        assert!(!path.exists());
        LockFile::try_lock(&path).unwrap();
    }

    #[test]
    fn who_has_it_is_told_while_others_lock_and_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let others: Vec<_> = (0..8).map(|number| dir.path().join(format!("other-{number}"))).collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for other in &others {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        drop(LockFile::try_lock(other).unwrap());
                    }
                });
            }
            let path = dir.path().join("lock");
            let _held = LockFile::try_lock(&path).unwrap();
            let missed = (0..2_000).filter(|_| holder_of(&path).is_none()).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(missed, 0);
        });
    }

    #[test]
    fn what_others_could_open_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        File::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // Stands for a process that has opened the file and waits.
        let before = File::open(&path).unwrap();
        let held = LockFile::try_lock(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(!is_at(&before, &path));
        before.try_lock().unwrap();
        drop(held);
        LockFile::try_lock(&path).unwrap();
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
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("lock"), dir.path().join("target"));
        symlink(&target, &path).unwrap();
        let error = LockFile::try_lock(&path).unwrap_err();
        assert!(matches!(error, LockError::Io { doing: "open", .. }), "{error}");
        assert!(!target.exists());
    }

    #[test]
    fn the_kernels_list_of_locks_is_read() {
        let list = "1: POSIX  ADVISORY  WRITE 1 00:18:7 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 708 00:18:7 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 709 00:18:8 0 EOF\n";
        assert_eq!(pid_in(list, 0x18, 7), Some(708));
        assert_eq!(pid_in(list, 0x18, 8), None);
        assert_eq!(pid_in(list, 0x1018, 7), None);
        assert_eq!(Holder { pid: 7, process: None }.to_string(), "a child of process 7, which has ended");
    }
}
