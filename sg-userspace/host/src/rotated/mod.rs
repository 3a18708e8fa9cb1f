//! A file that is only appended to: rotated by size and age, the older ones compressed, the oldest removed.
//!
//! `FILE` is the newest; `FILE.1.gz` is the one before it, and the highest number the oldest. It must never know what is written,
//! and never wait for a compression: that has a thread of its own. The flow log, the audit trail and the access log write through it.

mod compress;
mod read;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use thiserror::Error;

use crate::lock_file::{is_trusted, user};

pub use read::{files, open_for_reading};

/// When a file is rotated, and how many older ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file of this many bytes is rotated before more is appended.
    pub max_bytes: u64,
    /// A file this old is rotated before more is appended.
    pub max_age: Option<Duration>,
    /// How many older files are kept, [`MAX_KEPT`] at most. 0: none, the file begins anew.
    pub keep: u32,
}

/// The most older files that are kept: each rotation renames as many. A file with a larger number, such as a date, is not one of
/// them.
pub const MAX_KEPT: u32 = 1000;

/// Why a file cannot be appended to.
#[derive(Debug, Error)]
pub enum RotatedError {
    /// Something else is at the path.
    #[error("{path:?} is no regular file: choose another path, or remove it")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Another user owns it, who could change what was written.
    #[error("{path:?} belongs to {}: remove it, and let only root write to its directory", user(*owner))]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// The uid of its owner.
        owner: u32,
    },
    /// A file system operation failed.
    #[error("cannot {doing} {path:?}: {source}{}", remedy(source))]
    Io {
        /// "open", "append to" or "rotate".
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What to do, as the end of a sentence; empty if nothing is known to help.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => ": create its directory, in which only root may write",
        _ => "",
    }
}

/// A file that is appended to and rotated. One process may write to a path at a time.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    rotation: Rotation,
    open: Open,
    compression: Option<JoinHandle<()>>,
}

/// The newest file.
#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
    /// Device and inode, to see that the path still leads to it.
    identity: (u64, u64),
    /// When it was created, on the clock that nobody sets.
    created: Instant,
}

impl RotatedFile {
    /// Opens `path` to append, and creates it with mode 0600 if it is missing. A mode that an existing file has stays. If a
    /// process was killed in the middle of a line, that line is ended.
    ///
    /// # Errors
    /// Something else is there, another user owns it, or it cannot be opened.
    pub fn open(path: impl Into<PathBuf>, rotation: Rotation) -> Result<Self, RotatedError> {
        let path = path.into();
        let open = Open::new(&path)?;
        Ok(Self { path, rotation, open, compression: None })
    }

    /// Appends `bytes`, which should be whole lines, as a whole or not at all. Rotates before, if it is time; opens the path
    /// again if another program has moved or removed the file.
    ///
    /// # Errors
    /// The file cannot be opened or written. What was written of `bytes` has been taken back; try again later.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), RotatedError> {
        if !self.open.is_at(&self.path) {
            self.open = Open::new(&self.path)?;
        }
        if self.is_due(bytes.len()) {
            self.rotate()?;
        }
        self.open.append(bytes).map_err(|source| failed("append to", &self.path, source))
    }

    /// Waits until what was appended is on the disk.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> Result<(), RotatedError> {
        self.open.file.sync_data().map_err(|source| failed("append to", &self.path, source))
    }

    /// The path of the newest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is full or old. One that is still being compressed must be out of the way before the next.
    fn is_due(&mut self, more: usize) -> bool {
        let Rotation { max_bytes, max_age, keep: _ } = self.rotation;
        let full = self.open.len.saturating_add(more as u64) > max_bytes;
        let old = max_age.is_some_and(|age| self.open.created.elapsed() >= age);
        if self.open.len == 0 || !(full || old) {
            return false;
        }
        if self.compression.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return false;
        }
        if let Some(thread) = self.compression.take() {
            let _ = thread.join();
        }
        true
    }

    fn rotate(&mut self) -> Result<(), RotatedError> {
        let Self { path, rotation: Rotation { keep, .. }, .. } = self;
        let rotating = |source| failed("rotate", path, source);
        // Those of a time when more were kept, too.
        for (_, old) in numbered(path).map_err(rotating)?.into_iter().filter(|(number, _)| number >= keep) {
            fs::remove_file(old).map_err(rotating)?;
        }
        for (number, old) in numbered(path).map_err(rotating)?.into_iter().rev() {
            let compressed = old.extension().is_some_and(|extension| extension == "gz");
            let next = free(path, number.saturating_add(1), compressed);
            fs::rename(&old, place(path, next, compressed)).map_err(rotating)?;
        }
        if *keep == 0 {
            fs::remove_file(&path).map_err(rotating)?;
        } else {
            let number = free(path, 1, false);
            let first = place(path, number, false);
            fs::rename(&path, &first).map_err(rotating)?;
            self.compression = compress::start(first, place(path, number, true));
        }
        self.open = Open::new(path)?;
        Ok(())
    }
}

/// So that a short-lived program does not leave half of a compression behind.
impl Drop for RotatedFile {
    fn drop(&mut self) {
        if let Some(thread) = self.compression.take() {
            let _ = thread.join();
        }
    }
}

impl Open {
    fn new(path: &Path) -> Result<Self, RotatedError> {
        let opening = |source| failed("open", path, source);
        // Non-blocking, because opening a FIFO without a reader would wait; it changes nothing for a file.
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let opened = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(path);
        let mut file = match opened {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(RotatedError::NotAFile { path: path.to_owned() });
            }
            opened => opened.map_err(opening)?,
        };
        let metadata = file.metadata().map_err(opening)?;
        if !metadata.is_file() {
            return Err(RotatedError::NotAFile { path: path.to_owned() });
        }
        if !is_trusted(metadata.uid()) {
            return Err(RotatedError::NotOurs { path: path.to_owned(), owner: metadata.uid() });
        }
        let age = metadata.created().ok().and_then(|created| SystemTime::now().duration_since(created).ok());
        let now = Instant::now();
        let mut open = Self {
            len: metadata.len(),
            identity: (metadata.dev(), metadata.ino()),
            created: age.and_then(|age| now.checked_sub(age)).unwrap_or(now),
            file: file.try_clone().map_err(opening)?,
        };
        if open.len > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(opening)?;
            if last != *b"\n" {
                open.append(b"\n").map_err(opening)?;
            }
        }
        Ok(open)
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Another program may have emptied the file, as `logrotate` does with `copytruncate`.
        let before = self.file.metadata()?.len();
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len = before.saturating_add(bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                // Half a line would make the next one unreadable. A failure leaves it to the next opening.
                let _ = self.file.set_len(before);
                self.len = before;
                Err(error)
            }
        }
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> RotatedError {
    RotatedError::Io { doing, path: path.to_owned(), source }
}

/// Path of the `number`th older file.
fn place(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}{}", if compressed { ".gz" } else { "" }));
    name.into()
}

/// The first number from `number` on at which there is nothing but a regular file, or nothing at all.
fn free(path: &Path, number: u32, compressed: bool) -> u32 {
    let is_other = |number| {
        fs::symlink_metadata(place(path, number, compressed)).is_ok_and(|metadata| !metadata.is_file())
    };
    (number..=MAX_KEPT).find(|number| !is_other(*number)).unwrap_or(number)
}

/// The older files of `path` with their numbers, the newest first. What is no regular file, or has another name, is not ours.
fn numbered(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found_name = entry.file_name();
        let rest = found_name.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let Some(rest) = rest.and_then(|rest| str::from_utf8(rest).ok()?.strip_prefix('.')) else { continue };
        let number = rest.strip_suffix(".gz").unwrap_or(rest);
        if number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Some(number) = number.parse().ok().filter(|number| *number <= MAX_KEPT) else { continue };
        // Whoever removed it meanwhile wanted it gone.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
