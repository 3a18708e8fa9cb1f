//! The change that is to be confirmed: what is kept of it, in which commit.

use jiff::Timestamp;
use sg_records::*;

use super::super::*;

fn settings(serial: u64) -> Record {
    Settings { serial, ..Settings::default() }.into()
}

fn member(address: u8) -> Record {
    Member { group: "sg-1".into(), address: [10, 0, 0, address].into(), owner: None }.into()
}

fn pending() -> Pending {
    let secret = AccessKey {
        id: "ak-1".into(),
        secret: "hush".to_owned(),
        role: KeyRole::Viewer,
        description: "\u{2028}\"".to_owned(),
        created: Timestamp::UNIX_EPOCH,
    };
    Pending {
        id: 7,
        owner: "uid 0 \"\n".to_owned(),
        deadline: Timestamp::UNIX_EPOCH,
        undo: vec![
            Change::Put(secret.into()),
            Change::Delete(member(1).key()),
            Change::Put(member(2)),
            Change::Put(settings(1)),
        ],
    }
}

#[test]
fn it_is_kept_with_what_takes_it_back_until_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut store = RedbStore::open(&path).unwrap();
    assert_eq!(store.pending().unwrap(), None, "nobody has written such a table yet");
    store.commit(&[Change::Put(settings(1))]).unwrap();
    store
        .commit_pending(
            &[Change::Put(settings(2))],
            &HistoryEdit::default(),
            PendingUpdate::Begin(&pending()),
        )
        .unwrap();
    drop(store);
    let mut store = RedbStore::open(&path).unwrap();
    assert_eq!((store.pending().unwrap(), store.load().unwrap()), (Some(pending()), vec![settings(2)]));
    let later = Timestamp::from_second(600).unwrap();
    store.commit_pending(&[], &HistoryEdit::default(), PendingUpdate::Extend(later)).unwrap();
    assert_eq!(store.pending().unwrap(), Some(Pending { deadline: later, ..pending() }));
    // Another commit says nothing of it.
    store.commit(&[Change::Put(member(3))]).unwrap();
    assert!(store.pending().unwrap().is_some());
    store.commit_pending(&[Change::Put(settings(1))], &HistoryEdit::default(), PendingUpdate::End).unwrap();
    drop(store);
    let mut store = RedbStore::open(&path).unwrap();
    assert_eq!((store.pending().unwrap(), store.load().unwrap()), (None, vec![member(3), settings(1)]));
    // The next one has nothing of it.
    let next = Pending { id: 8, undo: vec![Change::Put(member(4))], ..pending() };
    store.commit_pending(&[], &HistoryEdit::default(), PendingUpdate::Begin(&next)).unwrap();
    assert_eq!(store.pending().unwrap(), Some(next));
}

#[test]
fn it_is_not_begun_without_what_takes_it_back() {
    let mut store = RedbStore::in_memory().unwrap();
    let long = Token {
        token: "uid 0/1".to_owned(),
        fingerprint: String::new(),
        response: "x".repeat(text::LONGEST).into(),
        created: Timestamp::UNIX_EPOCH,
    };
    let begun = Pending { undo: vec![Change::Put(long.into())], ..pending() };
    let refused = store.commit_pending(
        &[Change::Put(settings(2))],
        &HistoryEdit::default(),
        PendingUpdate::Begin(&begun),
    );
    assert!(matches!(refused, Err(StoreError::Unwritable { .. })), "{refused:?}");
    assert_eq!((store.pending().unwrap(), store.load().unwrap()), (None, Vec::new()));
}
