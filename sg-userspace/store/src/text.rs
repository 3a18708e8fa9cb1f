//! A record as text, the same in the store's file and in an export: `{"kind":"rule","record":{…}}`.
//!
//! What is stored can be read again: a record that could not would prevent the next start. Called by the store and by the
//! transfer of its state; it must never know either.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Record, StoreError};

/// The maximum length of a record's text. Two hundred thousand entries of a list fit.
pub(super) const LONGEST: usize = 16 << 20;

/// Whether the record is hidden from those who may see the state: keys are secrets, and a response may contain one.
pub(super) const fn is_secret(record: &Record) -> bool {
    matches!(record, Record::AccessKey(_) | Record::Token(_))
}

/// The text of a record, on one line.
pub(super) fn encode(record: &Record) -> Result<Vec<u8>, StoreError> {
    let unwritable = |reason| StoreError::Unwritable { key: record.key().to_string(), reason };
    let text = serde_json::to_vec(record).map_err(|error| unwritable(error.to_string()))?;
    if text.len() > LONGEST {
        return Err(unwritable(format!("it takes {} bytes, at most {LONGEST} are allowed", text.len())));
    }
    Ok(text)
}

/// The text of a record, after a check that it can be read again.
pub(super) fn encode_checked(record: &Record) -> Result<Vec<u8>, StoreError> {
    let text = encode(record)?;
    let key = record.key();
    let unwritable = |reason| StoreError::Unwritable { key: key.to_string(), reason };
    match decode(&text) {
        Ok(read) if read.key() == key => Ok(text),
        Ok(read) => Err(unwritable(format!("it would be read as {}", read.key()))),
        Err(reason) => Err(unwritable(format!("it could not be read again: {reason}"))),
    }
}

/// The record of a text, or what is wrong with it.
pub(super) fn decode(text: &[u8]) -> Result<Record, String> {
    // One UTF-8 check for the whole text, not one for each string in it.
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| reason(text, &error))
}

/// The record of a text that has nothing beyond the record's fields.
pub(super) fn decode_strictly(text: &[u8]) -> Result<Record, String> {
    /// Fields that are omitted when they are empty.
    const LEFT_OUT: [&str; 5] = ["description", "tags", "owner", "mac", "allowed_address_pairs"];
    let record = decode(text)?;
    let unreadable = |error: serde_json::Error| error.to_string();
    let written: Value = serde_json::from_slice(text).map_err(unreadable)?;
    let kept = serde_json::to_value(&record).map_err(unreadable)?;
    for (part, left_out) in [("", &[][..]), ("/record", &LEFT_OUT)] {
        let fields = |value: &Value| value.pointer(part).and_then(Value::as_object).cloned();
        let (Some(written), Some(kept)) = (fields(&written), fields(&kept)) else { continue };
        let known = |key: &String| kept.contains_key(key) || left_out.contains(&key.as_str());
        if let Some(unknown) = written.keys().find(|key| !known(key)) {
            let unknown: String = unknown.chars().take(64).collect();
            return Err(format!("unknown field `{}`", unknown.escape_debug()));
        }
    }
    Ok(record)
}

/// What is wrong, without a value of a secret record: reasons are logged.
fn reason(text: &str, error: &serde_json::Error) -> String {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    // Syntax errors contain no values.
    if !error.is_data() {
        return error.to_string();
    }
    match serde_json::from_str::<Kind<'_>>(text) {
        Ok(Kind { kind }) if !matches!(&*kind, "access_key" | "token") => error.to_string(),
        _ => format!("a field is missing, or has a value that it cannot have, at column {}", error.column()),
    }
}

#[cfg(test)]
mod tests {
    use sg_records::*;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{super::*, *};

    fn token(response: Value) -> Record {
        let (token, fingerprint) = ("me/1".to_owned(), "f".to_owned());
        Token { token, fingerprint, response, created: Timestamp::UNIX_EPOCH }.into()
    }

    #[test]
    fn text_names_kind_and_record() {
        let record = Record::from(Settings::default());
        let text = String::from_utf8(encode(&record).unwrap()).unwrap();
        assert!(text.starts_with(r#"{"kind":"settings","record":{"quotas":{"#), "{text}");
        assert_eq!(decode(text.as_bytes()), Ok(record));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let error = encode_checked(&token(deep)).unwrap_err().to_string();
        assert!(
            error.starts_with("the record token me/1 cannot be stored: it could not be read again"),
            "{error}"
        );
        let error = encode_checked(&token(json!("x".repeat(LONGEST)))).unwrap_err().to_string();
        assert!(error.contains("at most 16777216 are allowed"), "{error}");
    }

    #[test]
    fn reasons_show_no_secrets() {
        for wrong in [
            r#"{"kind":"access_key","record":{"id":"ak-1","secret":"hush","description":"","created":"hush"}}"#,
            r#"{"record":{"id":"ak-1","secret":["hush"]},"kind":"access_key"}"#,
            r#"{"kind":"token","record":"hush"}"#,
            r#"{"kind":"access_key","record":{"id":"ak-1","secret":"hush""#,
        ] {
            let reason = decode(wrong.as_bytes()).unwrap_err();
            assert!(!reason.contains("hush") && reason.contains("column"), "{reason}");
        }
        let rule = r#"{"kind":"rule","record":{"id":"sgr-1","group":"sg-1","direction":"up"}}"#;
        assert!(decode(rule.as_bytes()).unwrap_err().contains("unknown variant `up`"));
    }
}
