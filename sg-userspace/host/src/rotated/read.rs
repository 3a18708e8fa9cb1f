//! Reads what was written over rotations, the oldest first.
//!
//! It must never write. The reader of the audit trail calls it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use super::numbered;

/// The files of `path` that are there, the oldest first, and `path` itself last.
///
/// # Errors
/// The directory cannot be read.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<(u32, PathBuf)> = numbered(path)?;
    // A file and its compression exist both while it is compressed: the one without `.gz` comes first, and is whole.
    files.dedup_by_key(|(number, _)| *number);
    let mut files: Vec<_> = files.into_iter().rev().map(|(_, path)| path).collect();
    if path.exists() {
        files.push(path.to_owned());
    }
    Ok(files)
}

/// Opens one of [`files`], compressed or not.
///
/// # Errors
/// The file cannot be opened.
pub fn open_for_reading(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::new(File::open(path)?);
    Ok(if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}
