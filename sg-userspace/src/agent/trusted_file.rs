//! Opens a file that only root and the agent's user can have written: it belongs to one of them, others cannot write to it,
//! and no symbolic link on the way to it is somebody else's. Else whoever can put a link where root's agent reads could have it
//! read any file, and its log say what is in it.
//!
//! What is checked is what is opened: each step of the way is held by a descriptor. (`fs-mistrust` asks more of the directories
//! than a `ConfigMap` of Kubernetes gives, and nothing of who made a link.) This file must never look at what is read. Called by
//! `policy_file`.

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
    },
};
use thiserror::Error;

use crate::lock_file::{is_trusted, user};

/// As many symbolic links as the kernel follows (`MAXSYMLINKS`, include/linux/namei.h).
const MOST_LINKS: usize = 40;

/// Whose hands a file is in that the agent does not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// Somebody else's.
    #[error("it belongs to {}, and a policy is read only where it belongs to root or to the user that sgd runs as: chown it", user(*owner))]
    Owner {
        /// Whose.
        owner: u32,
    },
    /// Others can write to it.
    #[error("it has mode {mode:04o}, so others than its owner can change the policy: `chmod go-w` it")]
    Writable {
        /// What it has.
        mode: u32,
    },
    /// A link of somebody else leads to it.
    #[error(
        "the symbolic link {link:?} on the way to it belongs to {}, and only links of root and of the user that sgd runs as are \
         followed: name the file itself, or make the link anew",
        user(*owner)
    )]
    Link {
        /// The link.
        link: PathBuf,
        /// Whose.
        owner: u32,
    },
}

/// Why a file is not opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// It may not be what was meant.
    Untrusted(Untrusted),
    /// The kernel does not open it.
    Io(io::Error),
}

impl From<Errno> for NotOpened {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens the file `path`, which is absolute, for reading.
pub(super) fn open(path: &Path) -> Result<File, NotOpened> {
    let found = find(path)?;
    // No other file than this one, whatever has its name by now.
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

/// Goes to `path`, through links of trusted users only.
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
        let next = openat(&at, name.as_os_str(), step, Mode::empty())?;
        let found = fstat(&next)?;
        way.push(&name);
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
            // `/dev/stdin` and the like lead to what has no name.
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

/// The names on a way.
fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir | Component::Prefix(_)))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

/// Whose a file is, and what others may do with it: where this changes, it is to be looked at again.
pub(super) fn hands(path: &Path) -> Option<(u32, u32)> {
    let found = fstatat(nix::fcntl::AT_FDCWD, path, AtFlags::empty()).ok()?;
    Some((found.st_uid, found.st_mode & 0o022))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        io::Read as _,
        os::unix::fs::{PermissionsExt as _, lchown, symlink},
    };

    use nix::unistd::geteuid;

    use super::*;

    fn content(path: &Path) -> String {
        let mut text = String::new();
        open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn untrusted(path: &Path) -> Untrusted {
        match open(path).unwrap_err() {
            NotOpened::Untrusted(why) => why,
            NotOpened::Io(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_others_can_write_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        fs::write(&path, "{}").unwrap();
        for (mode, is_read) in
            [(0o600, true), (0o644, true), (0o664, false), (0o602, false), (0o666, false), (0o640, true)]
        {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match open(&path) {
                Ok(_) => assert!(is_read, "{mode:o}"),
                Err(NotOpened::Untrusted(why)) => {
                    assert_eq!((is_read, why), (false, Untrusted::Writable { mode }));
                }
                Err(NotOpened::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn links_of_ones_own_are_followed_wherever_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("..1")).unwrap();
        fs::write(at("..1/policy.yaml"), "one").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/policy.yaml", at("policy.yaml")).unwrap();
        symlink(at("policy.yaml"), at("absolute")).unwrap();
        symlink("..1/../policy.yaml", at("up")).unwrap();
        for name in ["policy.yaml", "absolute", "up", "./..data/./policy.yaml"] {
            assert_eq!(content(&at(name)), "one", "{name}");
        }
        symlink("loop", at("loop")).unwrap();
        assert!(
            matches!(open(&at("loop")), Err(NotOpened::Io(error)) if error.raw_os_error() == Some(libc::ELOOP))
        );
        assert!(
            matches!(open(&at("none")), Err(NotOpened::Io(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_pipe_without_a_name_is_opened() {
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"piped").unwrap();
        drop(writer);
        assert_eq!(content(&PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()))), "piped");
    }

    /// Needs root: who else can give a file away?
    #[test]
    fn what_is_somebody_elses_is_not_read_and_not_followed() {
        const NOBODY: u32 = 65534;
        if !geteuid().is_root() {
            eprintln!("left out: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/policy.yaml"), "one").unwrap();
        symlink("real", at("way")).unwrap();
        symlink("way/policy.yaml", at("policy.yaml")).unwrap();
        assert_eq!(content(&at("policy.yaml")), "one");
        for link in ["way", "policy.yaml"] {
            lchown(at(link), Some(NOBODY), None).unwrap();
            let expected = Untrusted::Link { link: at(link), owner: NOBODY };
            assert_eq!(untrusted(&at("policy.yaml")), expected);
            lchown(at(link), Some(0), None).unwrap();
        }
        lchown(at("real/policy.yaml"), Some(NOBODY), None).unwrap();
        let why = untrusted(&at("policy.yaml"));
        assert_eq!(why, Untrusted::Owner { owner: NOBODY });
        assert!(why.to_string().contains("chown"), "{why}");
        assert_eq!(hands(&at("policy.yaml")), Some((NOBODY, 0)));
    }
}
