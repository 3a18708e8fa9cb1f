//! The directory of a store: `state.redb`, readable by its owner only and used by one process at a time, which holds
//! `state.lock`.
//!
//! The file appears whole: it is created under another name, and renamed when there is a store in it. So a file of this name that
//! is no store was damaged. Called by the store; it must never know what is in the file.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sg_host::lock_file::{LockError, LockFile, is_trusted};

use super::StoreError;

const FILE: &str = "state.redb";
const UNFINISHED: &str = "state.redb.new";
const LOCK: &str = "state.lock";

/// Others may list the directory. Whoever could write to it could put another file in the place of the store.
const DIRECTORY: Guard = Guard { allowed: 0o755, remedy: 0o700 };
const STORE: Guard = Guard { allowed: 0o600, remedy: 0o600 };

/// The mode bits that are allowed, and the mode to recommend where there are others.
#[derive(Clone, Copy)]
struct Guard {
    allowed: u32,
    remedy: u32,
}

/// A directory that is locked as long as this value lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    opened: File,
    _lock: LockFile,
}

impl Directory {
    /// Opens and locks the directory, and creates it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        make(path).map_err(|source| failed("make", path, source))?;
        // Absolute: it may be reopened after the process has changed its directory.
        let path = fs::canonicalize(path).map_err(|source| failed("open", path, source))?;
        let opened = File::open(&path).map_err(|source| failed("open", &path, source))?;
        // Before anything is created in it.
        guarded(&opened, &path, DIRECTORY)?;
        match LockFile::try_lock(&path.join(LOCK)) {
            Ok(lock) => Ok(Self { path, opened, _lock: lock }),
            Err(LockError::Held { .. }) => Err(StoreError::InUse { path }),
            Err(source) => Err(StoreError::Lock { source }),
        }
    }

    /// The path of the store.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Whether there is a store.
    pub(super) fn has_file(&self) -> Result<bool, StoreError> {
        let path = self.file();
        path.try_exists().map_err(|source| failed("find", &path, source))
    }

    /// Opens the existing store's file.
    pub(super) fn open_file(&self) -> Result<File, StoreError> {
        let path = self.file();
        let open = || {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            if file.metadata()?.len() == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty: it was truncated"));
            }
            Ok(file)
        };
        let file = open().map_err(|source| failed("open", &path, source))?;
        guarded(&file, &path, STORE)?;
        Ok(file)
    }

    /// Creates an empty file for a new store.
    pub(super) fn begin_file(&self) -> Result<File, StoreError> {
        let path = self.path.join(UNFINISHED);
        let begin = || {
            // Left by a process that was killed here.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)
        };
        begin().map_err(|source| failed("make", &path, source))
    }

    /// Makes the new file the store, also after a crash of the host.
    pub(super) fn finish_file(&self) -> Result<(), StoreError> {
        let path = self.file();
        let finish = || {
            fs::rename(self.path.join(UNFINISHED), &path)?;
            self.opened.sync_all()
        };
        finish().map_err(|source| failed("make", &path, source))
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { doing, path: path.to_owned(), source }
}

/// Creates a directory and its parents, so that they survive a crash of the host.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Refuses a file that is open to others beyond `allowed`. The error tells the owner, as others may have used it already.
fn guarded(file: &File, path: &Path, Guard { allowed, remedy }: Guard) -> Result<(), StoreError> {
    let metadata = file.metadata().map_err(|source| failed("look at", path, source))?;
    let mode = metadata.mode() & 0o777;
    if !is_trusted(metadata.uid()) {
        return Err(StoreError::NotOurs { path: path.to_owned(), owner: metadata.uid() });
    }
    // The owner's own bits do not matter.
    if mode & 0o077 & !allowed != 0 {
        return Err(StoreError::Exposed { path: path.to_owned(), mode, remedy });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn directories_are_made_for_their_owner_only() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("var/sgd");
        let directory = Directory::open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        assert!(!directory.has_file().unwrap());
        drop(directory.begin_file().unwrap());
        assert_eq!(mode(&path.join(UNFINISHED)), 0o600);
        assert!(!directory.has_file().unwrap());
        // Again, as after a crash.
        drop(directory.begin_file().unwrap());
        directory.finish_file().unwrap();
        assert!(directory.has_file().unwrap() && !path.join(UNFINISHED).exists());
    }

    #[test]
    fn what_others_could_use_is_refused() {
        let path = tempfile::tempdir().unwrap();
        let path = path.path();
        for wrong in [0o770, 0o702] {
            chmod(path, wrong);
            let error = Directory::open(path).unwrap_err();
            assert!(
                matches!(error, StoreError::Exposed { mode, remedy: 0o700, .. } if mode == wrong),
                "{error}"
            );
        }
        chmod(path, 0o755);
        let directory = Directory::open(path).unwrap();
        fs::write(directory.file(), "x").unwrap();
        for wrong in [0o640, 0o604, 0o620] {
            chmod(&directory.file(), wrong);
            let error = directory.open_file().unwrap_err();
            assert!(
                matches!(error, StoreError::Exposed { mode, remedy: 0o600, .. } if mode == wrong),
                "{error}"
            );
        }
        chmod(&directory.file(), 0o600);
        directory.open_file().unwrap();
    }

    #[test]
    fn a_truncated_file_is_not_taken_for_a_new_one() {
        let path = tempfile::tempdir().unwrap();
        let directory = Directory::open(path.path()).unwrap();
        drop(directory.begin_file().unwrap());
        directory.finish_file().unwrap();
        let error = directory.open_file().unwrap_err().to_string();
        assert!(error.contains("it is empty"), "{error}");
    }

    #[test]
    fn a_directory_is_for_one_at_a_time() {
        let path = tempfile::tempdir().unwrap();
        let first = Directory::open(path.path()).unwrap();
        assert!(matches!(Directory::open(path.path()), Err(StoreError::InUse { .. })));
        drop(first);
        Directory::open(path.path()).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Directory::open(file.path()).unwrap_err();
        assert!(matches!(error, StoreError::Io { doing: "make", .. }), "{error}");
    }
}
