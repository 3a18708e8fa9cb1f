//! Changes that are to be confirmed: tried alone, stored with what takes them back, and what becomes of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};
use sg_agent::{Confirm, Settle, Standing};
use sg_api_types::{ModifyQuotas, PendingChange};
use sg_audit::{Api, Entry, Ticket, Trail, Who};
use sg_model::Policy;
use sg_store::{Change, Pending};

use super::{
    InForce, Remembers,
    model::{Both, operations},
    new_group, tcp,
    writer::{authorize, block_on, started, web_with_nic},
};
use crate::{
    Committed, History, Idempotent, Operation, Refusal, Service, State,
    dated::without_date,
    in_memory::Changes,
    pending::{taken_back, undo},
    policy,
};

/// Long enough for a test, unless it says otherwise.
const SECONDS: u32 = 600;

fn by(owner: &str) -> Confirm {
    Confirm { seconds: SECONDS, owner: owner.to_owned() }
}

fn ticket() -> Ticket {
    Ticket::new(Trail::none(), Entry::new(Api::Sgd, "", Who::default(), ""))
}

async fn try_it<O: Operation>(
    service: &Service,
    operation: O,
) -> Result<(O::Output, Option<PendingChange>), Refusal> {
    service.submit_until(ticket(), operation, Some(by("uid 0"))).await
}

/// As an API does.
fn settle(service: &Service, id: Option<u32>, how: Settle) -> Result<Standing, Refusal> {
    tokio::task::block_in_place(|| service.settle(id, how))
}

fn in_force(enforcement: &InForce) -> Policy {
    enforcement.policies.lock().unwrap().last().unwrap().clone()
}

fn stored(store: &Remembers) -> State {
    State::new(store.0.lock().unwrap().values().cloned())
}

fn records(state: &State) -> Vec<sg_store::Record> {
    let mut records: Vec<_> = state.records().collect();
    records.sort_by_cached_key(sg_store::Record::key);
    records
}

/// Waits until `holds`: the writer works on a thread of its own.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

#[test]
fn what_is_tried_is_in_force_and_stored_with_what_takes_it_back() {
    block_on(async {
        let (service, enforcement, store) = started();
        let group = web_with_nic(&service).await;
        let (before, policy) = (records(&service.snapshot()), in_force(&enforcement));
        let (rules, pending) = try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
        let pending = pending.unwrap();
        assert_eq!((pending.id, pending.owner.as_str()), (1, "uid 0"));
        assert_eq!(service.snapshot().rules_of(&group.id).count(), 1);
        assert_eq!(stored(&store).rules_of(&group.id).count(), 1);
        assert_eq!(in_force(&enforcement).groups()[0].ingress[0].id, rules[0].id.as_str());
        let kept = store.1.lock().unwrap().pending.clone().unwrap();
        assert_eq!((kept.id, kept.deadline), (1, pending.deadline));

        assert_eq!(settle(&service, Some(1), Settle::Cancel).unwrap(), Standing::Reverted { id: 1 });
        assert_eq!((records(&service.snapshot()), in_force(&enforcement)), (before.clone(), policy));
        assert_eq!(records(&stored(&store)), before);
        assert_eq!(store.1.lock().unwrap().pending, None);
    });
}

#[test]
fn everything_else_waits_until_it_is_settled() {
    block_on(async {
        let (service, _, store) = started();
        let group = web_with_nic(&service).await;
        assert_eq!(settle(&service, None, Settle::Confirm), Err(Refusal::NothingPending));
        let (_, pending) = try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
        let pending = pending.unwrap();
        let refused =
            Refusal::PendingConfirmation { id: 1, owner: "uid 0".to_owned(), deadline: pending.deadline };
        let refusal = service.submit(authorize(tcp(81, "any"))).await.unwrap_err();
        assert_eq!(refusal, refused);
        assert_eq!(try_it(&service, authorize(tcp(81, "any"))).await.unwrap_err(), refused);
        // What would be refused anyway says why; what is only looked at goes on.
        let nowhere = crate::Authorize { group: "none".to_owned(), ..authorize(tcp(81, "any")) };
        let missing = service.submit(nowhere).await.unwrap_err();
        assert!(matches!(missing, Refusal::NotFound { .. }), "{missing}");
        service.submit(authorize(tcp(80, "any"))).await.unwrap();
        assert_eq!(service.try_out(&authorize(tcp(81, "any"))).unwrap().len(), 1);
        assert_eq!(service.snapshot().rules_of(&group.id).count(), 1);
        assert!(matches!(
            settle(&service, Some(7), Settle::Confirm),
            Err(Refusal::OtherPending { asked: 7, id: 1 })
        ));

        let Standing::Pending { deadline, .. } =
            settle(&service, None, Settle::Extend { seconds: 5_000 }).unwrap()
        else {
            panic!()
        };
        assert_eq!(store.1.lock().unwrap().pending.as_ref().unwrap().deadline, deadline);
        assert_eq!(settle(&service, None, Settle::Confirm).unwrap(), Standing::Confirmed { id: 1 });
        assert_eq!(store.1.lock().unwrap().pending, None);
        service.submit(authorize(tcp(81, "any"))).await.unwrap();
        assert_eq!(stored(&store).rules_of(&group.id).count(), 2);
        let (_, pending) = try_it(&service, authorize(tcp(82, "any"))).await.unwrap();
        assert_eq!(pending.unwrap().id, 2);
    });
}

#[test]
fn a_deadline_that_passes_takes_the_store_back() {
    block_on(async {
        let (service, enforcement, store) = started();
        web_with_nic(&service).await;
        let before = records(&service.snapshot());
        let soon = Confirm { seconds: 1, owner: "uid 0".to_owned() };
        service.submit_until(ticket(), authorize(tcp(80, "any")), Some(soon)).await.unwrap();
        enforcement.expire();
        // Nobody asks.
        until("the store goes back", || records(&stored(&store)) == before).await;
        assert_eq!(records(&service.snapshot()), before);
        assert_eq!(settle(&service, None, Settle::Confirm), Err(Refusal::NothingPending));
        assert_eq!(settle(&service, Some(1), Settle::Confirm), Ok(Standing::Reverted { id: 1 }));

        // Somebody asks before the writer does: the next change, and who confirms too late.
        try_it(&service, authorize(tcp(81, "any"))).await.unwrap();
        enforcement.expire();
        service.submit(authorize(tcp(82, "any"))).await.unwrap();
        let ports = |state: &State| {
            state.rules().values().map(|rule| rule.spec.matches.ports.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ports(&service.snapshot()), ports(&stored(&store))),
            (vec!["82".to_owned()], vec!["82".to_owned()])
        );
        try_it(&service, authorize(tcp(83, "any"))).await.unwrap();
        enforcement.expire();
        assert_eq!(settle(&service, Some(3), Settle::Confirm), Ok(Standing::Reverted { id: 3 }));
        assert_eq!(ports(&stored(&store)), ["82"]);
    });
}

#[test]
fn a_change_of_nothing_in_the_kernel_is_confirmed_alike() {
    block_on(async {
        let (service, _, _) = started();
        let quotas = ModifyQuotas { rules_per_nic: Some(77), ..ModifyQuotas::default() };
        let before = service.snapshot().settings().quotas.clone();
        try_it(&service, quotas).await.unwrap();
        assert_eq!(service.snapshot().settings().quotas.rules_per_nic, 77);
        settle(&service, None, Settle::Cancel).unwrap();
        assert_eq!(service.snapshot().settings().quotas, before);
    });
}

#[test]
fn a_repeated_request_is_told_of_its_change_and_a_change_of_nothing_is_none() {
    block_on(async {
        let (service, enforcement, store) = started();
        web_with_nic(&service).await;
        let operation = authorize(tcp(80, "any"));
        let idempotent = || Idempotent::new("uid 0", "a", &operation, operation.clone()).unwrap();
        let (rules, pending) = try_it(&service, idempotent()).await.unwrap();
        assert_eq!(try_it(&service, idempotent()).await.unwrap(), (rules.clone(), pending));
        let other = service.submit_until(ticket(), idempotent(), Some(by("key ak-1"))).await.unwrap();
        assert_eq!(other, (rules.clone(), None), "it is not that caller's");
        assert_eq!(service.submit(idempotent()).await.unwrap(), rules);
        settle(&service, None, Settle::Cancel).unwrap();
        // What was taken back has not happened, and may be tried again.
        assert_ne!(try_it(&service, idempotent()).await.unwrap().0, rules);
        drop(service);
        // Over a restart, too.
        enforcement.expire();
        let (service, _) = Service::start(Box::new(store), enforcement).unwrap();
        assert_eq!(service.snapshot().rules().len() + service.snapshot().tokens().len(), 0);
    });
}

/// `sgctl` sends a key with every change: then the response is all that is stored.
#[test]
fn a_request_that_changes_nothing_is_no_change_to_confirm_and_waits_for_none() {
    block_on(async {
        let (service, _, store) = started();
        web_with_nic(&service).await;
        service.submit(authorize(tcp(80, "any"))).await.unwrap();
        let again = |key: &str| {
            let same = authorize(tcp(80, "any"));
            Idempotent::new("uid 0", key, &same, same.clone()).unwrap()
        };
        let (_, pending) = try_it(&service, again("one")).await.unwrap();
        assert!(pending.is_none() && store.1.lock().unwrap().pending.is_none());
        let (_, pending) = try_it(&service, authorize(tcp(81, "any"))).await.unwrap();
        assert!(pending.is_some());
        service.submit(again("two")).await.unwrap();
        // It is not the change of whoever asks for nothing.
        let (_, pending) = try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
        assert_eq!(pending, None);
    });
}

#[test]
fn access_keys_are_not_brought_back_by_whoever_settles_changes() {
    block_on(async {
        let (service, _, store) = started();
        web_with_nic(&service).await;
        let create = crate::CreateAccessKey::default();
        let refused = try_it(&service, create).await.map(drop).unwrap_err();
        assert!(matches!(refused, Refusal::Invalid { .. }), "{refused}");
        assert!(store.1.lock().unwrap().pending.is_none());
        assert!(service.snapshot().access_keys().is_empty());
    });
}

#[test]
fn what_cannot_be_stored_is_taken_back_at_once() {
    block_on(async {
        let (service, enforcement, store) = started();
        web_with_nic(&service).await;
        let (before, policy) = (records(&service.snapshot()), in_force(&enforcement));
        store.1.lock().unwrap().is_full = true;
        let refused = try_it(&service, authorize(tcp(80, "any"))).await.unwrap_err();
        assert!(matches!(refused, Refusal::NotStored { .. }), "{refused}");
        assert_eq!((records(&service.snapshot()), in_force(&enforcement)), (before, policy));
        store.1.lock().unwrap().is_full = false;
        let refused = try_it(&service, authorize(tcp(666, "any"))).await.unwrap_err();
        assert!(matches!(refused, Refusal::Unenforceable { .. }), "{refused}");
        try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
    });
}

#[test]
fn what_became_of_it_is_stored_as_soon_as_the_store_can() {
    block_on(async {
        for (how, rules) in [(Settle::Confirm, 1), (Settle::Cancel, 0)] {
            let (service, _, store) = started();
            let group = web_with_nic(&service).await;
            try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
            store.1.lock().unwrap().is_full = true;
            let failed = settle(&service, None, how).unwrap_err();
            assert!(matches!(&failed, Refusal::NotSettled { .. }), "{failed}");
            if how == Settle::Cancel {
                let refused = service.submit(authorize(tcp(81, "any"))).await.unwrap_err();
                assert!(
                    matches!(&refused, Refusal::NotStored { reason } if reason.contains("change 1")),
                    "{refused}"
                );
                store.1.lock().unwrap().is_full = false;
                settle(&service, None, how).unwrap();
            } else {
                // Nobody needs to come by.
                store.1.lock().unwrap().is_full = false;
                until("it is stored", || store.1.lock().unwrap().pending.is_none()).await;
            }
            assert_eq!(stored(&store).rules_of(&group.id).count(), rules);
            assert_eq!(store.1.lock().unwrap().pending, None);
            service.submit(authorize(tcp(81, "any"))).await.unwrap();
        }
    });
}

#[test]
fn a_restart_finds_out_what_became_of_it() {
    block_on(async {
        for what in ["pending", "confirmed", "over", "another host"] {
            let (service, enforcement, store) = started();
            let group = web_with_nic(&service).await;
            let (before, first) = (records(&service.snapshot()), in_force(&enforcement));
            try_it(&service, authorize(tcp(80, "any"))).await.unwrap();
            let (after, second) = (records(&service.snapshot()), in_force(&enforcement));
            drop(service);
            // The process ended between what the kernel decided and what the store was to be told.
            match what {
                "confirmed" => {
                    let mut changes = enforcement.changes.lock().unwrap();
                    changes.last.as_mut().unwrap().0 = Standing::Confirmed { id: 1 };
                }
                "over" => enforcement.expire(),
                "another host" => *enforcement.changes.lock().unwrap() = Changes::default(),
                _ => {}
            }
            let (service, _) = Service::start(Box::new(store.clone()), enforcement.clone()).unwrap();
            let goes_back = matches!(what, "over" | "another host");
            let (state, policy) = if goes_back { (&before, &first) } else { (&after, &second) };
            assert_eq!(&records(&service.snapshot()), state, "{what}");
            assert_eq!(&records(&stored(&store)), state, "{what}");
            assert_eq!(&in_force(&enforcement), policy, "{what}");
            assert_eq!(store.1.lock().unwrap().pending.is_some(), what == "pending", "{what}");
            if what == "pending" {
                assert_eq!(enforcement.changes.lock().unwrap().resumed.as_ref(), Some(&first));
                let refused = service.submit(authorize(tcp(81, "any"))).await.unwrap_err();
                assert!(matches!(refused, Refusal::PendingConfirmation { id: 1, .. }), "{refused}");
                settle(&service, Some(1), Settle::Cancel).unwrap();
                assert_eq!(records(&stored(&store)), before);
            }
            service
                .submit(new_group("more", service.snapshot().vpcs().values().next().unwrap()))
                .await
                .unwrap();
            assert!(service.snapshot().rules_of(&group.id).count() <= 1);
        }
    });
}

/// What the indices of a state say, besides its records.
fn indices(state: &State) -> Vec<String> {
    let groups = state.groups().keys().map(|group| {
        let rules: Vec<_> = state.rules_of(group).map(|rule| rule.id.clone()).collect();
        let nics: Vec<_> = state.nics_of(group).map(|nic| nic.id.clone()).collect();
        let naming: Vec<_> = state.rules_naming(group).map(|rule| rule.id.clone()).collect();
        let members: Vec<_> = state.members_of(group).map(|member| member.address).collect();
        format!("{group}: {rules:?} {nics:?} {naming:?} {members:?}")
    });
    let vpcs = state.vpcs().keys().map(|vpc| {
        let groups: Vec<_> = state.groups_of_vpc(vpc).map(|group| group.id.clone()).collect();
        let nics: Vec<_> = state.nics_of_vpc(vpc).map(|nic| nic.id.clone()).collect();
        format!("{vpc}: {groups:?} {nics:?}")
    });
    let lists = state.prefix_lists().keys().map(|list| {
        let naming: Vec<_> = state.rules_naming(list).map(|rule| rule.id.clone()).collect();
        format!("{list}: {naming:?}")
    });
    groups.chain(vpcs).chain(lists).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_done_is_undone(before in vec(operations(), 1..60), tried in vec(operations(), 1..40)) {
        let mut both = Both::new();
        for operation in &before {
            both.step(operation).map_err(TestCaseError::fail)?;
        }
        let mark = both.world.tx.mark();
        for operation in &tried {
            both.step(operation).map_err(TestCaseError::fail)?;
        }
        let undo = undo(&mark.state, both.world.tx.changes_since(&mark));
        let tried = Committed { state: Arc::new(State::clone(&both.world.tx)), history: History::default() };
        let pending = Pending {
            id: 1,
            owner: String::new(),
            deadline: jiff::Timestamp::UNIX_EPOCH,
            undo: undo.clone(),
        };
        let back = taken_back(&tried, &pending);
        // Going back is a change like any other: only its time is that of going back.
        let says = |state: &State| records(state).into_iter().map(without_date).collect::<Vec<_>>();
        prop_assert_eq!(says(&back), says(&mark.state));
        prop_assert_eq!(indices(&back), indices(&mark.state));
        prop_assert_eq!(policy(&back).unwrap(), policy(&mark.state).unwrap());
        // As the store does it, in any order.
        let mut stored: BTreeMap<_, _> = records(&both.world.tx).into_iter().map(|record| (record.key(), record)).collect();
        for change in undo.into_iter().rev() {
            match change {
                Change::Put(record) => drop(stored.insert(record.key(), record)),
                Change::Delete(key) => drop(stored.remove(&key)),
            }
        }
        prop_assert_eq!(stored.into_values().collect::<Vec<_>>(), records(&mark.state));
    }
}

#[test]
fn of_a_confirmation_and_a_deadline_that_meet_the_store_has_the_one_that_happened() {
    block_on(async {
        let (service, enforcement, store) = started();
        let group = web_with_nic(&service).await;
        for port in 1..=100 {
            let there = service.snapshot().rules_of(&group.id).count();
            let (_, pending) = try_it(&service, authorize(tcp(port, "any"))).await.unwrap();
            let id = pending.unwrap().id;
            let (racing, confirmed) = (enforcement.clone(), service.clone());
            let expiring = std::thread::spawn(move || racing.expire());
            let standing = std::thread::spawn(move || confirmed.settle(Some(id), Settle::Confirm));
            expiring.join().unwrap();
            let more = match standing.join().unwrap().unwrap() {
                Standing::Confirmed { .. } => 1,
                Standing::Reverted { .. } => 0,
                Standing::Pending { .. } => panic!("it is settled"),
            };
            assert_eq!(service.snapshot().rules_of(&group.id).count(), there + more);
            assert_eq!(stored(&store).rules_of(&group.id).count(), there + more);
            let rules = in_force(&enforcement).groups().first().map_or(0, |group| group.ingress.len());
            assert_eq!(rules, there + more);
        }
    });
}
