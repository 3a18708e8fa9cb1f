//! The store in its file: what it keeps, and what it refuses to open.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use ::redb::{Database, TableDefinition};
use proptest::prelude::*;
use sg_records::*;
use tempfile::TempDir;

use super::{super::*, arbitrary, older::old};

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_cached_key(Record::key);
    records
}

fn put(records: &[Record]) -> Vec<Change> {
    records.iter().cloned().map(Change::Put).collect()
}

fn settings(serial: u64) -> Record {
    Settings { serial, ..Settings::default() }.into()
}

/// A directory with a store of these entries, made without the code under test.
fn made(schema: u64, entries: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(directory.path().join("state.redb")).unwrap();
    let database = Database::builder().create_file(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut numbers = transaction.open_table(NUMBERS).unwrap();
        numbers.insert("schema", schema).unwrap();
        numbers.insert("commits", 5).unwrap();
        let mut records = transaction.open_table(RECORDS).unwrap();
        for (key, text) in entries {
            records.insert(*key, text.as_bytes()).unwrap();
        }
    }
    transaction.commit().unwrap();
    directory
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut store = RedbStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), []);
    let vpc =
        |id: &str| Record::from(Member { group: id.into(), address: [10, 0, 0, 1].into(), owner: None });
    store.commit(&put(&[settings(1), vpc("a"), vpc("b")])).unwrap();
    store.commit(&[]).unwrap();
    // In their order: the last change of a key counts.
    let gone = Change::Delete(vpc("a").key());
    store
        .commit(&[
            gone.clone(),
            Change::Put(vpc("c")),
            Change::Delete(vpc("c").key()),
            gone,
            Change::Put(settings(2)),
        ])
        .unwrap();
    let all = [vpc("b"), settings(2)];
    assert_eq!(sorted(store.load().unwrap()), all);
    drop(store);
    assert_eq!(sorted(RedbStore::open(&path).unwrap().load().unwrap()), all);
}

#[test]
fn a_record_that_cannot_be_stored_keeps_the_others_out() {
    let mut store = RedbStore::in_memory().unwrap();
    let long = Token {
        token: "me/1".to_owned(),
        fingerprint: String::new(),
        response: "x".repeat(text::LONGEST).into(),
        created: jiff::Timestamp::UNIX_EPOCH,
    };
    let error = store.commit(&put(&[settings(1), long.into()])).unwrap_err();
    assert!(matches!(&error, StoreError::Unwritable { key, .. } if key == "token me/1"), "{error}");
    assert_eq!(store.load().unwrap(), []);
    store.commit(&put(&[settings(1)])).unwrap();
    assert_eq!(store.load().unwrap(), [settings(1)]);
}

#[test]
fn a_store_is_for_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let error = RedbStore::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(store);
    // A process that opens the file itself blocks it just as well.
    let _database = Database::open(directory.path().join("state.redb")).unwrap();
    let error = RedbStore::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    for schema in [u64::from(SCHEMA) + 1, u64::from(u32::MAX) + 2] {
        let directory = made(schema, &[("whatever", "it is")]);
        for _ in 0..2 {
            let error = RedbStore::open(directory.path()).unwrap_err();
            assert!(matches!(error, StoreError::Newer { found: 4.., known: SCHEMA, .. }), "{error}");
        }
    }
}

#[test]
fn a_store_of_an_older_program_is_brought_to_this_schema() {
    let (old, new) = old();
    let texts: Vec<_> = old.iter().map(|(key, value)| (key.as_str(), value.to_string())).collect();
    let entries: Vec<_> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
    let directory = made(0, &entries);

    let open = || RedbStore::open(directory.path()).unwrap();
    assert_eq!(sorted(open().load().unwrap()), new);
    // Once: the step would count the rules anew.
    let mut store = open();
    assert_eq!(sorted(store.load().unwrap()), new);
    store.commit(&put(&[settings(9)])).unwrap();
    assert!(store.load().unwrap().contains(&settings(9)));
}

#[test]
fn a_migration_that_fails_leaves_everything_as_it_was() {
    let old = [
        ("settings", r#"{"kind":"settings","record":{}}"#),
        ("rule sgr-1", r#"{"kind":"rule","record":{}}"#),
    ];
    let directory = made(0, &old);
    for _ in 0..2 {
        let error = RedbStore::open(directory.path()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Migration { found: 0, known: SCHEMA, reason, .. } if reason == "from 0 to 1: a rule says nothing"),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_record_is_named() {
    let good = r#"{"kind":"settings","record":{"serial":1}}"#;
    for (key, text, words) in [
        ("rule sgr-1", "{", "the record rule sgr-1 of the store"),
        ("rule sgr-1", r#"{"kind":"rule","record":{"id":"sgr-1"}}"#, "is damaged: missing field `group`"),
        ("rule \u{7}", good, r"the record rule \u{7} of the store"),
        ("settings 2", good, "is damaged: it says that it is settings"),
    ] {
        let directory = made(SCHEMA.into(), &[("settings", good), (key, text)]);
        let error = RedbStore::open(directory.path()).unwrap().load().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let mut options = OpenOptions::new();
    drop(options.write(true).create_new(true).mode(0o600).open(&path).unwrap());
    for (bytes, words) in
        [(&b""[..], "it is empty"), (b"hello", "Not a redb database"), (&[0; 8192], "Not a redb database")]
    {
        fs::write(&path, bytes).unwrap();
        let error = RedbStore::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // A database that is not one of ours.
    fs::remove_file(&path).unwrap();
    let file = options.read(true).open(&path).unwrap();
    drop(Database::builder().create_file(file).unwrap());
    let error = RedbStore::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("Table 'numbers' does not exist"), "{error}");
}

#[test]
fn what_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    DirBuilder::new().mode(0o700).create(&path).unwrap();
    drop(RedbStore::open(&path).unwrap());
    let chmod = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path.join("state.redb"), permissions).unwrap();
    };
    chmod(0o644);
    let error = RedbStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("has mode 0644") && error.contains("chmod 0600 /"), "{error}");
    chmod(0o600);
    RedbStore::open(&path).unwrap();
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (arbitrary::record(), 0..3_u8).prop_map(|(record, what)| match what {
        0 => Change::Delete(record.key()),
        _ => Change::Put(record),
    });
    proptest::collection::vec(change, 0..12)
}

fn apply(state: &mut BTreeMap<Key, Record>, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(record) => state.insert(record.key(), record.clone()),
            Change::Delete(key) => state.remove(key),
        };
    }
}

fn loaded(path: &Path) -> Vec<Record> {
    sorted(RedbStore::open(path).unwrap().load().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_store_is_a_map(commits in proptest::collection::vec((changes(), any::<bool>()), 1..8)) {
        let directory = tempfile::tempdir().unwrap();
        let mut state = BTreeMap::new();
        let mut store = RedbStore::open(directory.path()).unwrap();
        for (changes, again) in commits {
            store.commit(&changes).unwrap();
            apply(&mut state, &changes);
            if again {
                drop(store);
                store = RedbStore::open(directory.path()).unwrap();
            }
            let all: Vec<_> = state.values().cloned().collect();
            prop_assert_eq!(sorted(store.load().unwrap()), all);
        }
        drop(store);
        prop_assert_eq!(loaded(directory.path()), state.into_values().collect::<Vec<_>>());
    }
}

fn edit(number: u64, oldest: u64) -> HistoryEdit {
    HistoryEdit { put: vec![(number, format!("change {number}").into_bytes())], oldest }
}

fn numbers(store: &mut RedbStore) -> (Vec<u64>, u64) {
    let StoredHistory { entries, complete_from } = store.history().unwrap();
    (entries.into_iter().map(|(number, _)| number).collect(), complete_from)
}

#[test]
fn a_history_is_written_with_its_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut store = RedbStore::open(&path).unwrap();
    for number in 1..=5 {
        store.commit_with(&put(&[settings(number)]), &edit(number, number.saturating_sub(2))).unwrap();
    }
    // What has no place in the history.
    store.commit(&put(&[settings(9)])).unwrap();
    let error = store
        .commit_with(
            &put(&[Token {
                token: "me/1".to_owned(),
                fingerprint: String::new(),
                response: "x".repeat(17 << 20).into(),
                created: jiff::Timestamp::UNIX_EPOCH,
            }
            .into()]),
            &edit(6, 0),
        )
        .unwrap_err();
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
    drop(store);
    let mut store = RedbStore::open(&path).unwrap();
    store.load().unwrap();
    assert_eq!(numbers(&mut store), (vec![3, 4, 5], 0));
    assert_eq!(store.history().unwrap().entries[2].1, b"change 5");
}

/// A program that knows no history counts its commits only.
#[test]
fn a_change_by_a_program_without_a_history_is_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut store = RedbStore::open(&path).unwrap();
    store.commit_with(&put(&[settings(1)]), &edit(1, 1)).unwrap();
    drop(store);
    let database = Database::open(path.join("state.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(NUMBERS).unwrap().insert("commits", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let mut store = RedbStore::open(&path).unwrap();
        assert_eq!(numbers(&mut store), (vec![1], 3));
    }
    let mut store = RedbStore::open(&path).unwrap();
    store.commit_with(&put(&[settings(3)]), &edit(3, 1)).unwrap();
    drop(store);
    assert_eq!(numbers(&mut RedbStore::open(&path).unwrap()), (vec![1, 3], 3));
}

#[test]
fn a_store_of_before_has_a_history_from_now_on() {
    let directory = made(u64::from(SCHEMA), &[]);
    let mut store = RedbStore::open(directory.path()).unwrap();
    assert_eq!(numbers(&mut store), (vec![], 0));
    store.commit_with(&put(&[settings(3)]), &edit(1, 1)).unwrap();
    drop(store);
    assert_eq!(numbers(&mut RedbStore::open(directory.path()).unwrap()), (vec![1], 0));
}
