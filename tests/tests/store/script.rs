//! The operations of these tests, and the state that must be there after each.

use std::collections::BTreeMap;

use sg_model::{MidStream, Takeover, Unmatched};
use sg_records::{
    AccessKey, Direction, KeyRole, Label, Member, PrefixEntry, PrefixFamily, PrefixList, Rule, RuleSpec,
    Settings, Token, Vpc,
};
use sg_store::{Change, HistoryEdit, Key, Pending, PendingUpdate, Record, Store, StoreError, export, import};

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    records: BTreeMap<Key, Record>,
    /// The change that is to be confirmed.
    pending: Option<Pending>,
}

/// What is committed at once.
pub(crate) struct Commit {
    changes: Vec<Change>,
    update: Option<Update>,
}

/// What it does to the change that is to be confirmed.
enum Update {
    Begin(Pending),
    Extend(jiff::Timestamp),
    End,
}

impl Commit {
    fn to(&self, store: &mut dyn Store, history: &HistoryEdit) -> Result<(), StoreError> {
        let update = match &self.update {
            None => return store.commit_with(&self.changes, history),
            Some(Update::Begin(pending)) => PendingUpdate::Begin(pending),
            Some(Update::Extend(deadline)) => PendingUpdate::Extend(*deadline),
            Some(Update::End) => PendingUpdate::End,
        };
        store.commit_pending(&self.changes, history, update)
    }
}

impl From<Vec<Change>> for Commit {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, update: None }
    }
}

/// Lists of changes, and the state before the first, after the first, and so on.
pub(crate) struct Script {
    pub(crate) commits: Vec<Commit>,
    pub(crate) states: Vec<State>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let commits = commits();
        let mut state = State::default();
        let mut states = vec![state.clone()];
        for commit in &commits {
            apply(&mut state, commit);
            states.push(state.clone());
        }
        let unlike_the_next = states.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(unlike_the_next, "a commit that changes nothing cannot be seen to have happened");
        Self { commits, states }
    }

    /// Does the commit with this place, with an entry in the history: of a history of four.
    pub(crate) fn commit(&self, store: &mut dyn Store, place: usize) -> Result<(), StoreError> {
        let number = place as u64 + 1;
        let history =
            HistoryEdit { put: vec![(number, text_of(number))], oldest: number.saturating_sub(HISTORY - 1) };
        self.commits[place].to(store, &history)
    }

    /// Makes sure that the history is that of so many commits: it is written with them or not at all.
    pub(crate) fn check_history(store: &mut dyn Store, commits: usize) {
        let last = commits as u64;
        let found = store.history().expect("a history can be read");
        let first = last.saturating_sub(HISTORY - 1).max(1);
        let expected: Vec<_> = (first..=last).map(|number| (number, text_of(number))).collect();
        assert_eq!((found.entries, found.complete_from), (expected, 0));
    }

    /// Makes sure that `found` is what it may be after `done` commits were said to be stored and no more. Says how many
    /// there are.
    pub(crate) fn check(&self, found: &State, done: usize) -> usize {
        let next = self.states.get(done + 1);
        if *found == self.states[done] {
            done
        } else if Some(found) == next {
            done + 1
        } else {
            let like = self.states.iter().position(|state| state == found);
            panic!(
                "{done} commits were stored, found {} records, the state after {like:?}",
                found.records.len()
            );
        }
    }
}

/// Entries of the history that stay.
const HISTORY: u64 = 4;

fn text_of(number: u64) -> Vec<u8> {
    format!("change {number}").into_bytes().repeat(100)
}

pub(crate) fn state(store: &mut dyn Store) -> State {
    let records = store.load().expect("what was stored can be loaded");
    let count = records.len();
    let records: BTreeMap<Key, Record> = records.into_iter().map(|record| (record.key(), record)).collect();
    assert_eq!(records.len(), count, "a key is there twice");
    State { records, pending: store.pending().expect("what was stored can be loaded") }
}

/// What is in the store, which can be exported and imported.
pub(crate) fn exported_state(store: &mut dyn Store) -> State {
    let state = state(store);
    let mut text = Vec::new();
    export(state.records.values().cloned(), &mut text, true).expect("what was loaded can be exported");
    let imported = import(&*text).expect("what was exported can be imported").records;
    assert!(imported.iter().map(|(_, record)| record).eq(state.records.values()), "an export lost something");
    state
}

fn apply(state: &mut State, commit: &Commit) {
    for change in &commit.changes {
        match change {
            Change::Put(record) => state.records.insert(record.key(), record.clone()),
            Change::Delete(key) => state.records.remove(key),
        };
    }
    match (&commit.update, &mut state.pending) {
        (Some(Update::Begin(begun)), pending) => *pending = Some(begun.clone()),
        (Some(Update::Extend(deadline)), Some(pending)) => pending.deadline = *deadline,
        (Some(Update::End), pending) => *pending = None,
        (Some(Update::Extend(_)) | None, _) => {}
    }
}

/// Small and large, growing and shrinking, with records that take many pages of the file.
fn commits() -> Vec<Commit> {
    let put = |records: Vec<Record>| records.into_iter().map(Change::Put).collect::<Vec<_>>();
    let delete = |records: Vec<Record>| -> Vec<_> {
        records.into_iter().map(|record| Change::Delete(record.key())).collect()
    };
    let rules = |numbers: std::ops::Range<u16>, words: &str| -> Vec<Record> {
        numbers.map(|number| rule(number, words)).collect()
    };
    // What takes back a change that is to be confirmed takes many pages, too.
    let mut undo = [put(rules(26..80, "second")), put(vec![list(600)]), delete(rules(900..901, ""))].concat();
    undo.sort_by_cached_key(|change| match change {
        Change::Put(record) => record.key().to_string(),
        Change::Delete(key) => key.to_string(),
    });
    let pending = |id, undo| {
        Update::Begin(Pending { id, owner: "uid 0".to_owned(), deadline: jiff::Timestamp::UNIX_EPOCH, undo })
    };
    let later = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1);
    let mut all: Vec<Commit> = [
        put(vec![settings(1)]),
        put(vec![vpc(), settings(2)]),
        put(rules(0..30, "first")),
        put(vec![list(500)]),
        put(vec![settings(3)]),
        put(rules(20..80, "second")),
        delete(rules(0..25, "")),
        put(vec![list(10)]),
        // A rule moves: gone here and there again there, in one.
        [delete(rules(25..26, "")), put(vec![rule(900, "moved"), member(1), key(1)])].concat(),
        Vec::new(),
        put(vec![list(700), token(1)]),
        [delete(rules(26..80, "")), delete(vec![list(0), key(1)])].concat(),
        put(vec![settings(4), member(2)]),
    ]
    .map(Commit::from)
    .into();
    all.extend((5..8).map(|serial| Commit::from(put(vec![settings(serial)]))));
    // One begins, has more time, and is taken back; the next one is confirmed.
    for (place, update) in [
        (8, pending(1, undo)),
        (9, Update::Extend(later)),
        (11, Update::End),
        (12, pending(2, put(vec![settings(3)]))),
        (13, Update::End),
    ] {
        all[place].update = Some(update);
    }
    all
}

fn settings(serial: u64) -> Record {
    Settings { serial, ..Settings::default() }.into()
}

fn label(name: &str) -> Label {
    Label {
        name: name.to_owned(),
        description: String::new(),
        tags: BTreeMap::new(),
        created: jiff::Timestamp::UNIX_EPOCH,
        updated: jiff::Timestamp::UNIX_EPOCH,
        owner: None,
    }
}

fn vpc() -> Record {
    let region = "here".to_owned();
    let (order, established) = Default::default();
    Vpc {
        id: "vpc-1".into(),
        region,
        label: label("one"),
        cidr: None,
        order,
        established,
        mid_stream: MidStream::default(),
        takeover: Takeover::default(),
        default: Unmatched::default(),
    }
    .into()
}

fn rule(number: u16, words: &str) -> Record {
    let mut spec = RuleSpec::accept("tcp".parse().expect("a protocol"));
    words.clone_into(&mut spec.description);
    let (id, group) = (format!("sgr-{number}").into(), "sg-1".into());
    let created = jiff::Timestamp::UNIX_EPOCH;
    let updated = created;
    Rule { id, group, direction: Direction::Ingress, serial: number.into(), created, updated, spec }.into()
}

/// A prefix list that takes many pages of the file.
fn list(entries: u16) -> Record {
    let entries = (0..entries).map(|number| {
        let [high, low] = number.to_be_bytes();
        let addresses = format!("10.{high}.{low}.0/24").parse().expect("a prefix");
        PrefixEntry { addresses, description: String::new() }
    });
    PrefixList {
        id: "pl-1".into(),
        region: "here".to_owned(),
        label: label("long"),
        extra: PrefixFamily { family: None },
        max_entries: 1_000,
        entries: entries.collect(),
    }
    .into()
}

fn member(number: u8) -> Record {
    Member { group: "sg-1".into(), address: [10, 0, 0, number].into(), owner: None }.into()
}

fn key(number: u8) -> Record {
    AccessKey {
        id: format!("ak-{number}").into(),
        secret: "hush".to_owned(),
        role: KeyRole::Viewer,
        description: String::new(),
        created: jiff::Timestamp::UNIX_EPOCH,
    }
    .into()
}

fn token(number: u8) -> Record {
    Token {
        token: format!("me/{number}"),
        fingerprint: "0".to_owned(),
        response: number.into(),
        created: jiff::Timestamp::UNIX_EPOCH,
    }
    .into()
}
