//! Opens a file that only root and the agent's user can have put there: it belongs to one of them, others cannot write to it, no
//! symbolic link on the path belongs to another user, and no directory on the path lets others replace a file, link or directory
//! of theirs. Otherwise anybody who can put a link where root's agent reads could make it read any file, and log its contents;
//! and anybody who can rename root's old policy to the name of the new one could have it applied.
//!
//! What is checked is what is opened: each step of the path is held by a descriptor. Two kinds of directory are writable and
//! safe: a sticky one, where users can move only their own files, and one on a mount that is read-only here, as Kubernetes mounts
//! a `ConfigMap`, whose directory has mode 0777. (`fs-mistrust` supports neither, and ignores who created a link.) This file must
//! never look at what is read. Called by `policy_file`.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::{
        stat::{Mode, SFlag, fstat, fstatat},
        statfs::{PROC_SUPER_MAGIC, fstatfs},
        statvfs::{FsFlags, fstatvfs},
    },
};
use sg_host::lock_file::{is_trusted, user};
use thiserror::Error;

/// The maximum number of symbolic links followed, as in the kernel (`MAXSYMLINKS`, include/linux/namei.h).
const MOST_LINKS: usize = 40;

/// Why a file is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// The file belongs to another user.
    #[error("it belongs to {}, and a policy is read only where it belongs to root or to the user that sgd runs as: chown it", user(*owner))]
    Owner {
        /// The UID of its owner.
        owner: u32,
    },
    /// Others can write to the file.
    #[error("it has mode {mode:04o}, so others than its owner can change the policy: `chmod go-w` it")]
    Writable {
        /// The file's mode.
        mode: u32,
    },
    /// A directory on the path belongs to another user.
    #[error(
        "the directory {directory:?} on the way to it belongs to {}, who can put any file there: chown it to root, or keep the \
         policy in a directory of root's, such as /etc/sgd",
        user(*owner)
    )]
    Directory {
        directory: PathBuf,
        /// The UID of its owner.
        owner: u32,
    },
    /// Others can write to a directory on the path.
    #[error(
        "the directory {directory:?} on the way to it has mode {mode:04o}, so others than its owner can put another file there: \
         `chmod go-w` it"
    )]
    WritableDirectory {
        directory: PathBuf,
        /// The directory's mode.
        mode: u32,
    },
    /// A link on the path belongs to another user.
    #[error(
        "the symbolic link {link:?} on the way to it belongs to {}, and only links of root and of the user that sgd runs as are \
         followed: name the file itself, or make the link anew",
        user(*owner)
    )]
    Link {
        link: PathBuf,
        /// The UID of its owner.
        owner: u32,
    },
}

/// Why a file is not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It may not be the file that was meant.
    Untrusted(Untrusted),
    /// The kernel does not open it.
    Io(io::Error),
}

impl From<Errno> for NotOpened {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens the file `path`, which must be absolute, for reading.
pub(crate) fn open(path: &Path) -> Result<File, NotOpened> {
    let found = find(path)?;
    // Reopens this very file, whatever has its name by now.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(format!("/proc/self/fd/{}", found.as_raw_fd()))
        .map_err(NotOpened::Io)?;
    let metadata = file.metadata().map_err(NotOpened::Io)?;
    let mode = metadata.mode() & 0o7777;
    if !is_trusted(metadata.uid()) {
        return Err(NotOpened::Untrusted(Untrusted::Owner { owner: metadata.uid() }));
    }
    if mode & 0o022 != 0 && !metadata.is_dir() {
        return Err(NotOpened::Untrusted(Untrusted::Writable { mode }));
    }
    Ok(file)
}

/// Resolves `path`, through links and directories of trusted users only.
fn find(path: &Path) -> Result<OwnedFd, NotOpened> {
    let step = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = || openat(nix::fcntl::AT_FDCWD, "/", step | OFlag::O_DIRECTORY, Mode::empty());
    let mut rest: VecDeque<OsString> = steps(path);
    let (mut at, mut way, mut links) = (root()?, PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == "/" {
            (at, way) = (root()?, PathBuf::from("/"));
            continue;
        }
        check_directory(&at, &way)?;
        let next = openat(&at, name.as_os_str(), step, Mode::empty())?;
        let found = fstat(&next)?;
        if name == ".." {
            way.pop();
        } else {
            way.push(&name);
        }
        if SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFLNK {
            at = next;
            continue;
        }
        if !is_trusted(found.st_uid) {
            return Err(NotOpened::Untrusted(Untrusted::Link { link: way, owner: found.st_uid }));
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if fstatfs(&next).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC) {
            // `/dev/stdin` and the like lead to objects without a name.
            at = openat(&at, name.as_os_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
            continue;
        }
        let target = PathBuf::from(readlinkat(&next, "")?);
        way.pop();
        for name in steps(&target).into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(at)
}

/// Checks that nobody else can replace entries of the directory `at`, whose path is `way`.
fn check_directory(at: &OwnedFd, way: &Path) -> Result<(), NotOpened> {
    let found = fstat(at)?;
    if SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFDIR {
        // Not a directory: a lookup in it finds nothing.
        return Ok(());
    }
    if !is_trusted(found.st_uid) {
        let (directory, owner) = (way.to_owned(), found.st_uid);
        return Err(NotOpened::Untrusted(Untrusted::Directory { directory, owner }));
    }
    let (mode, sticky) = (found.st_mode & 0o7777, Mode::S_ISVTX.bits());
    // The flag of the mount, not of the file system: what others can change through another mount of it is up to whoever created
    // both.
    let is_read_only = || fstatvfs(at).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY));
    if mode & 0o022 != 0 && mode & sticky == 0 && !is_read_only() {
        return Err(NotOpened::Untrusted(Untrusted::WritableDirectory { directory: way.to_owned(), mode }));
    }
    Ok(())
}

/// The components of a path.
fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir | Component::Prefix(_)))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

/// The ownership and permissions of a file and the path to it: if they change, the file must be checked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hands {
    owner: u32,
    writable: u32,
    way: Option<Untrusted>,
}

impl Hands {
    /// The UID of the file's owner.
    pub(crate) const fn owner(&self) -> u32 {
        self.owner
    }
}

/// The ownership and permissions of the file `path`, which must be absolute.
pub(crate) fn hands(path: &Path) -> Option<Hands> {
    let found = fstatat(nix::fcntl::AT_FDCWD, path, AtFlags::empty()).ok()?;
    let way = match find(path) {
        Err(NotOpened::Untrusted(why)) => Some(why),
        Err(NotOpened::Io(_)) | Ok(_) => None,
    };
    Some(Hands { owner: found.st_uid, writable: found.st_mode & 0o022, way })
}

#[cfg(test)]
mod tests;
