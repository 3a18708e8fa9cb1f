//! Export and import of the whole state.

use proptest::prelude::*;
use sg_records::*;

use super::{super::*, arbitrary, older::old};

/// The records without their lines, and whether the export has secrets.
fn read(bytes: &[u8]) -> (Vec<Record>, bool) {
    let Imported { records, secrets } = import(bytes).unwrap();
    (records.into_iter().map(|(_, record)| record).collect(), secrets)
}

fn exported(records: &[Record], secrets: bool) -> Vec<u8> {
    let mut out = Vec::new();
    export(records.iter().cloned(), &mut out, secrets).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_is_imported(records in arbitrary::records(40)) {
        prop_assert_eq!(read(&exported(&records, true)), (records, true));
    }

    #[test]
    fn without_secrets_nothing_else_is_lost(records in arbitrary::records(40)) {
        let found = read(&exported(&records, false));
        let others: Vec<_> = records.into_iter().filter(|record| !text::is_secret(record)).collect();
        prop_assert_eq!(found, (others, false));
    }

    #[test]
    fn a_changed_export_never_panics(
        records in arbitrary::records(10),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = exported(&records, true);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Err(error) = import(&*bytes) {
            drop(error.to_string());
        }
    }

    /// However the export is split on arrival.
    #[test]
    fn pieces_of_an_export_are_what_it_is(records in arbitrary::records(10), size in 1_usize..400) {
        let bytes = exported(&records, true);
        let mut importer = Importer::default();
        for piece in bytes.chunks(size) {
            importer.push(piece).unwrap();
        }
        prop_assert_eq!(importer.finish().unwrap(), import(&*bytes).unwrap());
        prop_assert_eq!(Export::of(records, true).bytes().unwrap(), bytes.len() as u64);
    }

    /// A truncated export is refused, unless only its last line break is missing.
    #[test]
    fn a_truncated_export_is_refused(records in arbitrary::records(10), end in any::<prop::sample::Index>()) {
        let bytes = exported(&records, true);
        let end = end.index(bytes.len() - 1);
        prop_assert!(import(&bytes[..end]).is_err());
    }
}

const HEAD: &str = r#"{"format":"sgd state","schema":4,"secrets":false,"records":1}"#;
const SETTINGS: &str = r#"{"kind":"settings","record":{"serial":3}}"#;

fn refusal(text: &str) -> String {
    import(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let head = |records: u64| HEAD.replace("\"records\":1", &format!("\"records\":{records}"));
    for (text, words) in [
        (String::new(), "line 1 is not the head of an export: the file is empty"),
        ("hello\n".to_owned(), "line 1 is not the head of an export: expected value"),
        ("{}".to_owned(), "line 1 is not the head of an export: the format is another one"),
        (
            HEAD.replace(",\"secrets\":false", ""),
            "line 1 is not the head of an export: missing field `secrets`",
        ),
        (HEAD.replace(":4,", ":5,"), "schema 5, this program knows up to 4"),
        (HEAD.replace(":4,", ":5,\"new\":1,"), "schema 5, this program knows up to 4"),
        (HEAD.replace(":4,", ":0,"), "the head says that 1 records follow, and 0 do"),
        (format!("{HEAD}\n"), "the head says that 1 records follow, and 0 do"),
        (
            format!("{HEAD}\n{SETTINGS}\n{}", r#"{"kind":"vpc"}"#),
            "line 3 is no record: missing field `record`",
        ),
        (format!("{HEAD}\n\n{SETTINGS}}}"), "line 3 is no record: trailing characters"),
        (format!("{}\n{SETTINGS}\n\n{SETTINGS}\n", head(2)), "line 4: settings was on line 2 already"),
        (format!("{HEAD}\n{SETTINGS}\n\n{SETTINGS}\n"), "line 4: the head says that 1 records follow"),
        (
            format!("{HEAD}\n{SETTINGS}\n{}", SETTINGS.replace("settings", "setting")),
            "line 3 is no record: unknown variant",
        ),
        (
            format!(
                "{HEAD}\n{}",
                r#"{"kind":"access_key","record":{"id":"ak-1","secret":"x","role":"viewer","description":"","created":"2026-01-01T00:00:00Z"}}"#
            ),
            "line 2 is no record: access_key ak-1 is a secret, and the head says that there are none",
        ),
        (format!("{HEAD}\n{}", " ".repeat(20 << 20) + "x"), "line 2 is longer than 16777216 bytes"),
        (format!("{HEAD}\n{}", "x".repeat((16 << 20) + 1)), "line 2 is longer than 16777216 bytes"),
    ] {
        let refusal = refusal(&text);
        let shown = &text[..text.len().min(200)];
        assert!(refusal.contains(words), "{shown}\n{refusal}");
    }
}

#[test]
fn what_people_do_to_files_is_read() {
    let text = format!("{HEAD}\r\n\r\n{SETTINGS}  \r\n\n");
    let imported = import(text.as_bytes()).unwrap();
    assert_eq!(imported.records, [(3, Record::from(Settings { serial: 3, ..Settings::default() }))]);
}

#[test]
fn an_export_of_an_older_schema_is_brought_to_this_one() {
    let (old, new) = old();
    let head = HEAD.replace(":4,", ":0,").replace(":1}", &format!(":{}}}", old.len()));
    let lines: Vec<_> = old.iter().map(|(_, value)| value.to_string()).collect();
    let text = format!("{head}\n{}\n", lines.join("\n"));
    let imported = import(text.as_bytes()).unwrap();
    assert_eq!(imported.records.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), new);
}
