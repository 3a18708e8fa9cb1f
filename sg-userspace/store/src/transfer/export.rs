//! Exports a state to a file.

use std::{
    io::{self, Write},
    vec,
};

use super::{
    super::{Record, SCHEMA, StoreError, text},
    FORMAT, Head,
};

/// An export as an iterator of lines, each made on demand.
#[derive(Clone, Debug)]
pub struct Export {
    head: Option<Head>,
    records: vec::IntoIter<Record>,
}

impl Export {
    /// An export of `records`. Without `secrets`, it omits access keys and also the responses to operations with tokens, which
    /// may contain one: the rest can be shown to whoever may see the state.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = Record>, secrets: bool) -> Self {
        let mut records: Vec<_> =
            records.into_iter().filter(|record| secrets || !text::is_secret(record)).collect();
        records.sort_by_cached_key(Record::key);
        let head = Head { format: FORMAT.to_owned(), schema: SCHEMA, secrets, records: records.len() as u64 };
        Self { head: Some(head), records: records.into_iter() }
    }

    /// The number of bytes that are left of it.
    ///
    /// # Errors
    /// If a record cannot be written.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        self.clone().try_fold(0, |sum, line| Ok(sum + line?.len() as u64))
    }
}

impl Iterator for Export {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.head.take() {
            Some(head) => serde_json::to_vec(&head).map_err(|error| StoreError::Unwritable {
                key: "the head of an export".to_owned(),
                reason: error.to_string(),
            }),
            None => text::encode(&self.records.next()?),
        };
        Some(line.map(|mut line| {
            line.push(b'\n');
            line
        }))
    }
}

/// Writes all of an [`Export`].
///
/// # Errors
/// If it cannot be written.
pub fn export(
    records: impl IntoIterator<Item = Record>,
    mut out: impl Write,
    secrets: bool,
) -> io::Result<()> {
    for line in Export::of(records, secrets) {
        out.write_all(&line.map_err(io::Error::other)?)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use sg_records::*;

    use jiff::Timestamp;

    use super::{super::super::*, *};

    fn exported(records: &[Record], secrets: bool) -> String {
        let mut out = Vec::new();
        export(records.iter().cloned(), &mut out, secrets).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn member(address: &str) -> Record {
        Member { group: "sg-1".into(), address: address.parse().unwrap(), owner: None }.into()
    }

    #[test]
    fn order_is_by_kind_and_key_and_a_record_is_a_line() {
        let records = [Settings::default().into(), member("10.0.0.10"), member("10.0.0.9"), member("::1")];
        let text = exported(&records, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], r#"{"format":"sgd state","schema":4,"secrets":false,"records":4}"#);
        assert_eq!(lines[1], r#"{"kind":"member","record":{"group":"sg-1","address":"10.0.0.9"}}"#);
        assert!(lines[2].contains("10.0.0.10") && lines[3].contains("::1") && lines[4].contains("settings"));
        let mut other = records.clone();
        other.reverse();
        assert_eq!(exported(&other, false), text);
    }

    #[test]
    fn secrets_are_written_only_where_asked_for() {
        let created = Timestamp::UNIX_EPOCH;
        let secret = "hush".to_owned();
        let records = [
            AccessKey {
                id: "ak-1".into(),
                secret: secret.clone(),
                role: KeyRole::Admin,
                description: String::new(),
                created,
            }
            .into(),
            Token { token: "1".to_owned(), fingerprint: String::new(), response: secret.into(), created }
                .into(),
            member("10.0.0.1"),
        ];
        let text = exported(&records, false);
        assert!(!text.contains("hush") && text.contains(r#""secrets":false,"records":1}"#), "{text}");
        let text = exported(&records, true);
        assert!(
            text.matches("hush").count() == 2 && text.contains(r#""secrets":true,"records":3}"#),
            "{text}"
        );
    }
}
