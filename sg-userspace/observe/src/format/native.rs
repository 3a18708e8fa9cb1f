//! The native format: the JSON of a record, a line each.
//!
//! The record's own serialization decides the fields. Called by `Format`.

use sg_model::text::escaped_json;

use crate::record::Record;

pub(super) fn write(record: &Record, to: &mut Vec<u8>) {
    let start = to.len();
    if serde_json::to_writer(&mut *to, record).is_err() {
        // Only a map with keys that are no strings fails; a record has none.
        to.truncate(start);
        return;
    }
    // A terminal must not obey what is in a file, either.
    let line = to.get(start..).unwrap_or_default();
    if !line.is_ascii() || line.contains(&0x7f) {
        let escaped = str::from_utf8(line).map(|line| escaped_json(line).into_owned());
        if let Ok(escaped) = escaped {
            to.truncate(start);
            to.extend_from_slice(escaped.as_bytes());
        }
    }
    to.push(b'\n');
}
