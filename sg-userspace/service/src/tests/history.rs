//! The history of changes: what was in force after each is found again exactly, within its limits, and over restarts.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use sg_audit::{Api, Entry, Who};
use sg_records::{Demands, Direction, DocumentName, Member};
use sg_store::{Change, Key, Record, StoredHistory};

use super::{
    InForce, Remembers, World,
    backup::populated,
    model::{Both, operations},
    new_group, tcp,
};
use crate::{
    Authorize, CreateAccessKey, CreateVpc, History, ModifyQuotas, NewLabel, Operation, Refusal, RegisterNic,
    RemoveNics, Revoke, Rollback, Service, State, Tx,
    history::{MOST, between, is_policy},
    policy, recorded,
    tx::Mark,
};

fn entry() -> Entry {
    Entry::new(Api::Native, "post_something", Who::process(0, 0, None), "socket")
}

/// Adds what changed since `mark`, as the writer does.
fn remember(tx: &mut Tx, mark: &Mark) -> Option<u64> {
    let (changes, undo) = recorded::changes(mark, tx);
    tx.remember(&undo, &entry(), &changes)
}

/// What the policy is made of.
fn records(state: &State) -> BTreeMap<Key, Record> {
    let records = state.records().map(|record| (record.key(), record));
    records.filter(|(key, _)| is_policy(key)).collect()
}

/// The history as a store has it after these steps.
fn kept_in_a_store(steps: &[History]) -> History {
    let mut table = BTreeMap::new();
    let mut before = History::default();
    for after in steps {
        let edit = after.edit_since(&before);
        table.extend(edit.put);
        table.retain(|number, _| *number >= edit.oldest);
        before = after.clone();
    }
    History::stored(StoredHistory { entries: table.into_iter().collect(), complete_from: 0 })
}

fn back(change: u64) -> Rollback {
    Rollback { change: change.to_string(), allow_unfiltered: true }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever operations did, what was there after each is found again, also by a program that starts again; and going back to it
    /// is an operation that can be undone like any other.
    #[test]
    fn each_change_is_found_again(operations in vec(operations(), 1..60), place: Index) {
        let mut both = Both::new();
        let mut known = vec![records(&both.world.tx)];
        let (mut steps, mut policies) = (Vec::new(), vec![format!("{:?}", policy(&both.world.tx))]);
        for operation in &operations {
            let mark = both.world.tx.mark();
            both.step(operation).map_err(TestCaseError::fail)?;
            let tx = &mut both.world.tx;
            let now = records(tx);
            let number = remember(tx, &mark);
            prop_assert_eq!(number.is_some(), known.last() != Some(&now), "{:?}", operation);
            if let Some(number) = number {
                prop_assert_eq!(number, known.len() as u64);
                known.push(now);
                policies.push(format!("{:?}", policy(tx)));
                steps.push(tx.history().clone());
            }
        }
        let again = kept_in_a_store(&steps);
        for (number, expected) in known.iter().enumerate() {
            for history in [both.world.tx.history(), &again] {
                let found = history.state_after(number as u64, &both.world.tx).unwrap();
                prop_assert_eq!(&records(&found), expected);
                prop_assert_eq!(&format!("{:?}", policy(&found)), &policies[number]);
            }
        }
        let number = place.index(known.len());
        let mark = both.world.tx.mark();
        match both.world.run(&back(number as u64)) {
            Err(Refusal::NothingToChange) => prop_assert_eq!(Some(&known[number]), known.last()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
            Ok(done) => {
                prop_assert_eq!(&records(&both.world.tx), &known[number]);
                prop_assert_eq!(done.undone as usize, known.len() - 1 - number);
                let number = remember(&mut both.world.tx, &mark).unwrap();
                let before = both.world.tx.history().state_after(number - 1, &both.world.tx).unwrap();
                prop_assert_eq!(Some(&records(&before)), known.last());
            }
        }
    }

    /// Records of every kind, in any mixture.
    #[test]
    fn a_change_of_any_kind_of_record_is_undone(
        seeds in vec(vec(operations(), 0..12), 2..3),
        steps in vec((0_usize..3, vec(any::<Index>(), 1..12)), 1..20),
    ) {
        let of_every_kind = |seed: &[_], document: &str| {
            let mut state = populated(seed).into_state();
            let group = state.groups().keys().next().unwrap().clone();
            let member = Member { group, address: "10.9.9.9".parse().unwrap(), owner: None };
            state.put(member.into());
            let demands = Demands { document: DocumentName(document.to_owned()), ..Demands::default() };
            state.put(demands.into());
            state
        };
        let targets = [of_every_kind(&seeds[0], "a"), of_every_kind(&seeds[1], "b"), State::default()];
        let kinds = |state: &State| {
            state.records().map(|record| std::mem::discriminant(&record)).collect::<std::collections::HashSet<_>>().len()
        };
        prop_assert_eq!(kinds(&targets[0]), 12, "a kind is missing");
        let mut tx = Tx::new(State::default(), jiff::Timestamp::UNIX_EPOCH);
        let mut known = vec![records(&tx)];
        for (target, some) in steps {
            let mark = tx.mark();
            let mut wanted = between(&tx, &targets[target]);
            wanted.extend(targets[target].records().filter(|record| !is_policy(&record.key())).map(Change::Put));
            if !wanted.is_empty() {
                for place in some {
                    match wanted[place.index(wanted.len())].clone() {
                        Change::Put(record) => tx.put(record),
                        Change::Delete(key) => tx.delete(key),
                    }
                }
            }
            if remember(&mut tx, &mark).is_some() {
                known.push(records(&tx));
            }
        }
        for (number, expected) in known.iter().enumerate() {
            let found = tx.history().state_after(number as u64, &tx).unwrap();
            prop_assert_eq!(&records(&found), expected);
            let others = |state: &State| state.records().filter(|record| !is_policy(&record.key())).collect::<Vec<_>>();
            prop_assert_eq!(others(&found), others(&tx), "what is no policy stays");
        }
    }
}

/// A world that remembers each operation.
struct Remembering {
    world: World,
    steps: Vec<History>,
}

impl Remembering {
    fn new() -> Self {
        Self { world: World::new(), steps: Vec::new() }
    }

    fn run<O: Operation>(&mut self, operation: &O) -> (O::Output, Option<u64>) {
        let mark = self.world.tx.mark();
        let output = self.world.run(operation).unwrap();
        let number = remember(&mut self.world.tx, &mark);
        self.steps.push(self.world.tx.history().clone());
        (output, number)
    }

    fn rule(&mut self, port: u16) -> u64 {
        let rules = vec![tcp(port, "any")];
        let rule = Authorize::of("web", Direction::Ingress, rules);
        self.run(&rule).1.unwrap()
    }
}

#[test]
fn the_last_200_are_kept() {
    let mut both = Remembering::new();
    let group = new_group("web", &both.world.vpc);
    assert_eq!(both.run(&group).1, Some(1));
    for port in 1..=u16::try_from(MOST).unwrap() + 20 {
        if port % 150 == 0 {
            let rules = both.world.tx.rules().keys().map(ToString::to_string).collect();
            both.run(&Revoke { group: "web".to_owned(), direction: None, rules });
        }
        both.rule(port);
    }
    let again = kept_in_a_store(&both.steps);
    for history in [both.world.tx.history(), &again] {
        let numbers: Vec<u64> = history.changes().map(|kept| kept.change().number).collect();
        assert_eq!((numbers.len(), numbers.first(), numbers.last()), (MOST, Some(&23), Some(&222)));
        assert_eq!((history.oldest_known(), history.newest()), (22, 222));
        history.state_after(22, &both.world.tx).unwrap();
        let refused = history.state_after(21, &both.world.tx).unwrap_err();
        assert_eq!(refused, Refusal::ChangeNotKept { number: 21, oldest: 22, newest: 222 });
        assert!(history.state_after(223, &both.world.tx).is_err());
    }
}

#[test]
fn what_takes_too_much_is_kept_and_cannot_be_undone() {
    let mut both = Remembering::new();
    let (history, empty) = (History::default().limited(2_000), State::default());
    both.world.tx = Tx::new(empty, jiff::Timestamp::UNIX_EPOCH).after(history);
    let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
    let (vpc, _) = both.run(&CreateVpc { label, ..CreateVpc::default() });
    both.run(&new_group("web", &vpc));
    let rules: Vec<u64> = (1..=20).map(|port| both.rule(port)).collect();
    assert_eq!(both.world.tx.history().oldest_known(), 0);
    // To undo it takes 20 rules.
    let all: Vec<String> = both.world.tx.rules().keys().map(ToString::to_string).collect();
    let revoke =
        |rules: &[String]| Revoke { group: "web".to_owned(), direction: None, rules: rules.to_vec() };
    let giant = both.run(&revoke(&all)).1.unwrap();
    let later = both.rule(99);
    for history in [both.world.tx.history(), &kept_in_a_store(&both.steps)] {
        assert_eq!(history.changes().count() as u64, later, "they are listed all the same");
        assert_eq!(history.oldest_known(), giant);
        assert_eq!(history.state_after(giant, &both.world.tx).unwrap().rules().len(), 0);
        assert!(matches!(history.state_after(rules[3], &both.world.tx), Err(Refusal::ChangeNotKept { .. })));
    }
    // Many that are small push out the oldest ones only.
    for port in 200..220 {
        both.rule(port);
        let newest = both.world.tx.rules().keys().next().unwrap().to_string();
        both.run(&revoke(&[newest]));
    }
    let history = both.world.tx.history();
    assert!(
        (giant + 1..history.newest() - 4).contains(&history.oldest_known()),
        "{}",
        history.oldest_known()
    );
    assert_eq!(kept_in_a_store(&both.steps).oldest_known(), history.oldest_known());
}

#[test]
fn a_gap_in_what_is_stored_is_not_gone_over() {
    type Entries = Vec<(u64, Vec<u8>)>;
    let mut both = Remembering::new();
    let group = new_group("web", &both.world.vpc);
    both.run(&group);
    for port in 1..6 {
        both.rule(port);
    }
    let all = both.world.tx.history().edit_since(&History::default()).put;
    assert_eq!(all.len(), 6);
    let with = |wrong: &dyn Fn(&mut Entries), complete_from| {
        let mut entries = all.clone();
        wrong(&mut entries);
        let history = History::stored(StoredHistory { entries, complete_from });
        (history.oldest_known(), history.newest())
    };
    assert_eq!(with(&|_| {}, 0), (0, 6));
    assert_eq!(with(&|_| {}, 5), (4, 6));
    assert_eq!(with(&|_| {}, 8), (7, 7), "another program made the last change");
    assert_eq!(with(&|entries| drop(entries.remove(2)), 0), (3, 6));
    assert_eq!(with(&|entries| entries[2].1 = b"nonsense".to_vec(), 0), (3, 6));
    assert_eq!(
        with(&|entries| entries[5].1 = b"nonsense".to_vec(), 0),
        (6, 6),
        "the last one cannot be read"
    );
    assert_eq!(with(&Vec::clear, 0), (0, 0));
}

#[test]
fn what_is_no_policy_has_no_number_and_stays() {
    let mut both = Remembering::new();
    let group = new_group("web", &both.world.vpc);
    let first = both.run(&group).1.unwrap();
    let key = CreateAccessKey { role: sg_records::KeyRole::Viewer, ..CreateAccessKey::default() };
    assert_eq!(both.run(&key).1, None);
    both.rule(80);
    assert_eq!(both.run(&ModifyQuotas { groups_per_nic: Some(3), ..ModifyQuotas::default() }).1, None);
    let serial = both.world.tx.settings().serial;
    let (done, number) = both.run(&back(first));
    assert_eq!((done.undone, done.removed, done.put, number), (1, 1, 0, Some(3)));
    let state = &both.world.tx;
    assert_eq!((state.access_keys().len(), state.rules().len()), (1, 0));
    assert_eq!((state.settings().quotas.groups_per_nic, state.settings().serial), (3, serial));
}

#[test]
fn a_rollback_is_refused_by_name() {
    let mut both = Remembering::new();
    let group = new_group("web", &both.world.vpc);
    both.run(&group);
    let refused = |both: &mut Remembering, change: &str| {
        both.world.run(&Rollback { change: change.to_owned(), ..Rollback::default() }).unwrap_err()
    };
    let message = refused(&mut both, "yesterday").to_string();
    assert!(message.contains("change \"yesterday\": the number of a change"), "{message}");
    assert_eq!(refused(&mut both, "@1"), Refusal::NothingToChange);
    let message = refused(&mut both, "7").to_string();
    assert_eq!(message, "what was in force after change 7 is not kept: that after changes 0 to 1 is");
}

#[test]
fn a_nic_that_would_be_unfiltered_is_guarded() {
    let mut both = Remembering::new();
    let group = new_group("web", &both.world.vpc);
    let first = both.run(&group).1.unwrap();
    let nic = RegisterNic {
        vpc: Some("net".to_owned()),
        device: Some("lo".to_owned()),
        groups: vec!["web".to_owned()],
        ..RegisterNic::default()
    };
    let (nic, _) = both.run(&nic);
    let state = State::clone(&both.world.tx);
    let history = both.world.tx.history().clone();
    let filtered = sg_agent::Filtered::These(std::sync::Arc::new([String::from("lo")].into()));
    both.world.tx = Tx::new(state, jiff::Timestamp::UNIX_EPOCH).after(history).on(filtered);
    let guarded = Rollback { change: first.to_string(), allow_unfiltered: false };
    assert_eq!(both.world.run(&guarded).unwrap_err(), Refusal::Unfiltered { devices: vec!["lo".to_owned()] });
    both.run(&back(first));
    assert!(both.world.tx.nic(&nic.id).is_none());
    assert!(both.world.run(&RemoveNics { nics: vec![nic.id.to_string()] }).is_err());
}

/// Operations in one batch have a number each, in the trail and in the store; refused ones have none; numbers go on after a restart.
#[test]
fn numbers_go_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, enforcement) = (Remembers::default(), InForce::default());
        let start = || Service::start(Box::new(store.clone()), enforcement.clone()).unwrap().0;
        let service = start();
        let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
        let vpc = service.submit(CreateVpc { label, ..CreateVpc::default() }).await.unwrap();
        service.submit(new_group("web", &vpc)).await.unwrap();
        let add = |port| Authorize::of("web", Direction::Ingress, vec![tcp(port, "any")]);
        let nowhere = Authorize { group: "nowhere".to_owned(), ..add(1) };
        service.submit(nowhere).await.unwrap_err();
        let all: Vec<_> = (1..=40)
            .map(|port| {
                let service = service.clone();
                tokio::spawn(async move { service.submit(add(port)).await })
            })
            .collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        let check = |service: &Service| {
            let committed = service.committed();
            let numbers: Vec<u64> = committed.history.changes().map(|kept| kept.change().number).collect();
            assert_eq!(numbers, (1..=42).collect::<Vec<_>>());
            for number in 2..=42 {
                let rules = committed.history.state_after(number, &committed.state).unwrap().rules().len();
                assert_eq!(rules as u64, number - 2);
            }
        };
        check(&service);
        drop(service);
        let service = start();
        check(&service);
        let done = service.submit(Rollback { change: "22".to_owned(), ..Rollback::default() }).await.unwrap();
        assert_eq!((done.undone, done.removed), (20, 20));
        assert_eq!((service.snapshot().rules().len(), service.committed().history.newest()), (20, 43));
        let done = service.submit(Rollback { change: "42".to_owned(), ..Rollback::default() }).await.unwrap();
        assert_eq!((done.undone, done.put), (1, 20));
    });
}
