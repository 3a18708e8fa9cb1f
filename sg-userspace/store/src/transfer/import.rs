//! Imports a state from a file, or reports the line that is wrong.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
};

use serde_json::Value;

use super::{
    super::{Record, SCHEMA, migrate::migrate, text},
    FORMAT, Head, ImportError,
};

/// The content of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// All records, each once, with its line. Migrated records of an older schema all have line 1.
    pub records: Vec<(u64, Record)>,
    /// Whether secret records are included. If not, whoever replaces a state by this one keeps its own secrets.
    pub secrets: bool,
}

/// Reads an export.
///
/// # Errors
/// If it is none, or not all of it can be read.
pub fn import(mut from: impl Read) -> Result<Imported, ImportError> {
    let mut importer = Importer::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(source) => return Err(ImportError::Io { line: importer.number, source }),
        };
        if read == 0 {
            return importer.finish();
        }
        importer.push(&piece[..read])?;
    }
}

/// Reads an export piece by piece, as it arrives. It buffers one line, beside the records of earlier lines.
#[derive(Debug)]
pub struct Importer {
    /// The incomplete line, and its number.
    line: Vec<u8>,
    number: u64,
    head: Option<Head>,
    records: Vec<(u64, Record)>,
    /// Records of an older schema: they are migrated when all of them are there.
    old: Vec<Value>,
}

impl Default for Importer {
    fn default() -> Self {
        Self { line: Vec::new(), number: 1, head: None, records: Vec::new(), old: Vec::new() }
    }
}

impl Importer {
    /// Takes the next piece.
    ///
    /// # Errors
    /// If a line is not one of an export. What follows it need not be read.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), ImportError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.lengthen(&bytes[..end])?;
            self.end_of_line()?;
            bytes = &bytes[end + 1..];
        }
        self.lengthen(bytes)
    }

    fn lengthen(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.line.extend_from_slice(bytes);
        // One more for the `\r` that some editors write.
        if self.line.len() > text::LONGEST + 1 {
            return Err(ImportError::TooLong { line: self.number, limit: text::LONGEST });
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), ImportError> {
        let mut text = std::mem::take(&mut self.line);
        text.pop_if(|last| *last == b'\r');
        if text.len() > text::LONGEST {
            return Err(ImportError::TooLong { line: self.number, limit: text::LONGEST });
        }
        let line = self.number;
        self.number += 1;
        let read = text.trim_ascii_end();
        if !read.is_empty() {
            self.read(line, read)?;
        }
        text.clear();
        self.line = text;
        Ok(())
    }

    fn read(&mut self, line: u64, text: &[u8]) -> Result<(), ImportError> {
        let Some(head) = &self.head else {
            self.head = Some(head(text)?);
            return Ok(());
        };
        let wrong = |reason: String| ImportError::Record { line, reason: printable(&reason) };
        if head.schema == SCHEMA {
            self.records.push((line, text::decode_strictly(text).map_err(wrong)?));
        } else {
            let value = serde_json::from_slice(text).map_err(|_| wrong("it is no JSON".to_owned()))?;
            self.old.push(value);
        }
        if (self.records.len() + self.old.len()) as u64 > head.records {
            return Err(ImportError::More { line, said: head.records });
        }
        Ok(())
    }

    /// Ends the export.
    ///
    /// # Errors
    /// If something is missing, or occurs twice.
    pub fn finish(mut self) -> Result<Imported, ImportError> {
        if !self.line.is_empty() {
            self.end_of_line()?;
        }
        let Some(Head { schema: found, secrets, records: said, .. }) = self.head else {
            return Err(ImportError::Head { reason: "the file is empty".to_owned() });
        };
        let count = (self.records.len() + self.old.len()) as u64;
        if count != said {
            return Err(ImportError::Count { said, found: count });
        }
        let mut records = self.records;
        if found != SCHEMA {
            let failed = |reason| ImportError::Migration { found, known: SCHEMA, reason };
            let new = migrate(found, self.old).map_err(failed)?;
            // Steps make several records of one, and one of several, so lines no longer apply.
            records.extend(new.into_iter().map(|record| (1, record)));
        }
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
        Ok(Imported { records, secrets })
    }
}

/// Makes a reason printable: it may quote the file, which may contain anything.
fn printable(reason: &str) -> String {
    sg_model::text::escaped(reason).into_owned()
}

fn head(text: &[u8]) -> Result<Head, ImportError> {
    let wrong = |reason| ImportError::Head { reason };
    // Fields that a newer program adds to a head must not hide that it is newer.
    let head: Value = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if head["format"] != FORMAT {
        return Err(wrong("the format is another one".to_owned()));
    }
    if let Some(found) = head["schema"].as_u64().and_then(|found| u32::try_from(found).ok())
        && found > SCHEMA
    {
        return Err(ImportError::Newer { found, known: SCHEMA });
    }
    serde_json::from_value(head).map_err(|error| wrong(error.to_string()))
}
