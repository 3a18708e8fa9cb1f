//! Reads the trail, the newest entry first, over all its files. It must never write. The native API calls it, and `sgctl history`
//! where no server runs.

use std::{
    collections::VecDeque,
    fs,
    io::{self, BufRead, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sg_host::rotated::{files, open_for_reading};
use thiserror::Error;

use super::{Entry, HistoryPage, HistoryQuery};

/// The maximum length of a line. No entry is so long.
const LONGEST: u64 = 1 << 20;
/// How often the files are opened again because they were rotated meanwhile.
const TRIES: usize = 5;

/// Why the trail cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the audit trail {path:?}: {source}")]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The page of the trail at `path` that `query` selects. A trail that does not exist has no entries.
///
/// # Errors
/// A file cannot be read.
pub fn read(path: &Path, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
    let failed = |source| ReadError { path: path.to_owned(), source };
    let wanted = query.page();
    let mut page = HistoryPage::default();
    // A file that was opened twice, because it was renamed in between, has no entry that is older than these.
    let mut oldest = u64::MAX;
    for file in opened(path).map_err(failed)? {
        let one = one(file, query, oldest, wanted + 1 - page.items.len()).map_err(failed)?;
        page.unreadable += one.unreadable;
        page.items.extend(one.entries.into_iter().rev());
        if page.items.len() > wanted {
            page.items.truncate(wanted);
            page.next = page.items.last().map(|entry| entry.sequence);
            break;
        }
        let is_done = query.since.zip(one.newest_time).is_some_and(|(since, newest)| newest < since)
            || query.newer_than.zip(one.first).is_some_and(|(known, first)| first <= known);
        if is_done {
            break;
        }
        oldest = oldest.min(one.first.unwrap_or(oldest));
    }
    Ok(page)
}

/// The files, the newest first, opened between two rotations.
fn opened(path: &Path) -> io::Result<Vec<Box<dyn BufRead + Send>>> {
    let newest = || fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let mut tries = 0;
    loop {
        tries += 1;
        let before = newest();
        let paths = match files(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            paths => paths?,
        };
        let readers: io::Result<Vec<_>> = paths.iter().rev().map(|file| open_for_reading(file)).collect();
        match readers {
            Ok(readers) if newest() == before || tries == TRIES => return Ok(readers),
            // One was compressed, or renamed, since it was listed.
            Err(error) if error.kind() != io::ErrorKind::NotFound || tries == TRIES => return Err(error),
            _ => {}
        }
    }
}

/// What a file has.
#[derive(Default)]
struct Part {
    /// The newest ones that are wanted, the oldest first.
    entries: VecDeque<Entry>,
    /// The number of its first entry.
    first: Option<u64>,
    /// The latest time of an entry.
    newest_time: Option<jiff::Timestamp>,
    unreadable: u64,
}

/// Reads a file: of the entries before number `end` that are wanted, the `most` newest.
fn one(mut file: impl BufRead, query: &HistoryQuery, end: u64, most: usize) -> io::Result<Part> {
    let mut part = Part::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut file).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(part);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(&line) else {
            part.unreadable += 1;
            continue;
        };
        part.first.get_or_insert(entry.sequence);
        part.newest_time = part.newest_time.max(Some(entry.time));
        if entry.sequence < end && query.wants(&entry) {
            if part.entries.len() == most {
                part.entries.pop_front();
            }
            part.entries.push_back(entry);
        }
    }
}
