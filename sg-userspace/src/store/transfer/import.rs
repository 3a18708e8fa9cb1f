//! File → state, or the line that is wrong.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
};

use serde_json::Value;

use super::{
    super::{
        Record,
        migrate::{LADDER, Ladder},
        text,
    },
    FORMAT, Head, ImportError,
};

/// What an export holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Every record, each once.
    pub records: Vec<Record>,
    /// Whether those that are secrets are among them. Where not, who replaces a state by this one keeps its own.
    pub secrets: bool,
}

/// Reads an export.
///
/// # Errors
/// Where it is none, or not all of it can be read.
pub fn import(from: impl Read) -> Result<Imported, ImportError> {
    import_with(LADDER, from)
}

pub(in super::super) fn import_with(ladder: Ladder, from: impl Read) -> Result<Imported, ImportError> {
    let mut lines = Lines { from: BufReader::new(from), number: 0 };
    let known = ladder.newest();
    let Head { schema: found, secrets, records: said, .. } = head(&mut lines, known)?;
    let records = if found == known {
        lines.each(said, text::decode)?
    } else {
        let value =
            |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|_| "it is no JSON".to_owned());
        let old = lines.each(said, value)?.into_iter().map(|(_, value)| value);
        let migration = |reason| ImportError::Migration { found, known, reason };
        // Steps make several records of one, and one of several: there are no lines any more.
        ladder.climb(found, old.collect()).map_err(migration)?.into_iter().map(|record| (1, record)).collect()
    };

    let mut lines_of = HashMap::with_capacity(records.len());
    for (line, record) in &records {
        if !secrets && text::is_secret(record) {
            let reason = format!("{} is a secret, and the head says that there are none", record.key());
            return Err(ImportError::Record { line: *line, reason });
        }
        if let Some(first) = lines_of.insert(record.key(), *line) {
            return Err(ImportError::Twice { line: *line, first, key: record.key().to_string() });
        }
    }
    Ok(Imported { records: records.into_iter().map(|(_, record)| record).collect(), secrets })
}

fn head(lines: &mut Lines<impl Read>, known: u32) -> Result<Head, ImportError> {
    let wrong = |reason| ImportError::Head { reason };
    let Some((_, text)) = lines.next()? else { return Err(wrong("the file is empty".to_owned())) };
    // What a newer program adds to a head must not hide that it is newer.
    let head: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if head["format"] != FORMAT {
        return Err(wrong("the format is another one".to_owned()));
    }
    if let Some(found) = head["schema"].as_u64().and_then(|found| u32::try_from(found).ok())
        && found > known
    {
        return Err(ImportError::Newer { found, known });
    }
    serde_json::from_value(head).map_err(|error| wrong(error.to_string()))
}

/// The lines of a file that are not empty.
struct Lines<R> {
    from: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// The next one and its number.
    fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, ImportError> {
        loop {
            self.number += 1;
            let line = self.number;
            let mut text = Vec::new();
            let read = self.from.by_ref().take(text::LONGEST as u64 + 2).read_until(b'\n', &mut text);
            if read.map_err(|source| ImportError::Io { line, source })? == 0 {
                return Ok(None);
            }
            for end in [b'\n', b'\r'] {
                text.pop_if(|last| *last == end);
            }
            if text.len() > text::LONGEST {
                return Err(ImportError::TooLong { line, limit: text::LONGEST });
            }
            text.truncate(text.trim_ascii_end().len());
            if !text.is_empty() {
                return Ok(Some((line, text)));
            }
        }
    }

    /// All that are left, read by `read`; as many as `said`.
    fn each<T>(
        &mut self,
        said: u64,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Vec<(u64, T)>, ImportError> {
        let mut all = Vec::new();
        while let Some((line, text)) = self.next()? {
            all.push((line, read(&text).map_err(|reason| ImportError::Record { line, reason })?));
        }
        let found = all.len() as u64;
        if found == said { Ok(all) } else { Err(ImportError::Count { said, found }) }
    }
}
