//! Batches, refusals in them, many clients at once, restarts.

use std::collections::BTreeSet;

use sg_records::{Direction, Group, RuleSpec, Vpc};

use super::{InForce, Remembers, new_group, tcp};
use crate::{
    Authorize, CreateVpc, Guarded, Idempotent, Insists, Join, NewLabel, Operation, Refusal, RegisterNic,
    ReplaceTests, Service, State, Tx,
};

pub(super) fn started() -> (Service, InForce, Remembers) {
    let (store, enforcement) = (Remembers::default(), InForce::default());
    let (service, _) = Service::start(Box::new(store.clone()), enforcement.clone()).unwrap();
    (service, enforcement, store)
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(super) async fn vpc(service: &Service) -> Vpc {
    let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
    service.submit(CreateVpc { label, ..CreateVpc::default() }).await.unwrap()
}

pub(super) async fn web_with_nic(service: &Service) -> Group {
    let vpc = vpc(service).await;
    let group = service.submit(new_group("web", &vpc)).await.unwrap();
    let nic = RegisterNic {
        vpc: Some(vpc.id.to_string()),
        device: Some("eth0".to_owned()),
        groups: vec!["web".to_owned()],
        ..RegisterNic::default()
    };
    service.submit(nic).await.unwrap();
    group
}

pub(super) fn authorize(spec: RuleSpec) -> Authorize {
    Authorize::of("web", Direction::Ingress, vec![spec])
}

#[test]
fn a_response_means_that_it_is_stored_and_in_force() {
    block_on(async {
        let (service, enforcement, store) = started();
        web_with_nic(&service).await;
        let rules = service.submit(authorize(tcp(80, "any"))).await.unwrap();
        let policy = enforcement.policies.lock().unwrap().last().unwrap().clone();
        assert_eq!(policy.groups()[0].ingress[0].id, rules[0].id.as_str());
        assert!(
            store
                .0
                .lock()
                .unwrap()
                .values()
                .any(|record| { matches!(record, sg_store::Record::Rule(rule) if **rule == rules[0]) })
        );
    });
}

#[test]
fn many_clients_lose_no_update_and_share_the_wait() {
    block_on(async {
        const CLIENTS: u16 = 500;
        let (service, enforcement, _) = started();
        let group = web_with_nic(&service).await;
        let before = enforcement.policies.lock().unwrap().len();
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|port| {
                let service = service.clone();
                tokio::spawn(async move { service.submit(authorize(tcp(port, "any"))).await })
            })
            .collect();
        let mut ids = BTreeSet::new();
        for client in clients {
            ids.insert(client.await.unwrap().unwrap()[0].id.clone());
        }
        assert_eq!(ids.len(), usize::from(CLIENTS));
        let state = service.snapshot();
        assert_eq!(state.rules_of(&group.id).map(|rule| rule.id.clone()).collect::<BTreeSet<_>>(), ids);
        let published = enforcement.policies.lock().unwrap().len() - before;
        assert!(published < usize::from(CLIENTS), "{published} times in force for {CLIENTS} operations");
    });
}

/// Delays the writer, so that operations meanwhile form one batch.
struct Slow;

impl Operation for Slow {
    type Output = ();

    fn run(&self, _: &mut Tx) -> Result<(), Refusal> {
        std::thread::sleep(std::time::Duration::from_millis(200));
        Ok(())
    }
}

#[test]
fn what_cannot_be_in_force_is_refused_alone() {
    block_on(async {
        let (service, _, store) = started();
        let group = web_with_nic(&service).await;
        let slow = tokio::spawn({
            let service = service.clone();
            async move { service.submit(Slow).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let all = [80, 666, 443].map(|port| {
            let service = service.clone();
            tokio::spawn(async move { service.submit(authorize(tcp(port, "any"))).await })
        });
        let mut results = Vec::new();
        for one in all {
            results.push(one.await.unwrap());
        }
        slow.await.unwrap().unwrap();
        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(matches!(&results[1], Err(Refusal::Unenforceable { reason }) if reason.contains("666")));
        assert_eq!(service.snapshot().rules_of(&group.id).count(), 2);
        let again = State::new(store.0.lock().unwrap().values().cloned());
        assert_eq!(again.rules_of(&group.id).count(), 2);
    });
}

/// One batch has a change after which a test fails, one whose caller skips the tests, and one that is neither.
#[test]
fn whoever_skips_tests_skips_them_for_one_change() {
    block_on(async {
        let (service, ..) = started();
        let group = web_with_nic(&service).await;
        // Another test for each: one that fails already forbids nothing.
        let test = |ports| {
            let test = serde_json::json!({"nic": "eth0", "direction": "ingress", "protocol": "tcp", "ports": ports, "expect": "drop"});
            serde_json::from_value(test).unwrap()
        };
        let tests = vec![test("1-50"), test("51-99")];
        service.submit(ReplaceTests { tests }).await.unwrap();
        let slow = tokio::spawn({
            let service = service.clone();
            async move { service.submit(Slow).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let skipping = Insists { skip_tests: true, ..Insists::default() };
        let insisting = [(22, Insists::default()), (443, Insists::default()), (80, skipping)];
        let all = insisting.map(|(port, insists)| {
            let guarded = Guarded::new(authorize(tcp(port, "192.0.2.0/24")), Vec::new()).insisting(insists);
            let service = service.clone();
            tokio::spawn(async move { service.submit(guarded).await })
        });
        let mut results = Vec::new();
        for one in all {
            results.push(one.await.unwrap());
        }
        slow.await.unwrap().unwrap();
        assert!(matches!(&results[0], Err(Refusal::FailingTest { .. })), "{:?}", results[0]);
        assert!(results[1].is_ok() && results[2].is_ok(), "{results:?}");
        assert_eq!(service.snapshot().rules_of(&group.id).count(), 2);
    });
}

/// An operation with a bug.
struct Panics;

impl Operation for Panics {
    type Output = ();

    fn run(&self, tx: &mut Tx) -> Result<(), Refusal> {
        tx.serials(7);
        panic!("a mistake, on purpose")
    }
}

#[test]
fn a_mistake_costs_nobody_else_the_service() {
    block_on(async {
        let (service, ..) = started();
        let group = web_with_nic(&service).await;
        let serial = service.snapshot().settings().serial;
        assert!(matches!(service.submit(Panics).await, Err(Refusal::NotStored { .. })));
        assert_eq!(service.snapshot().settings().serial, serial);
        service.submit(authorize(tcp(80, "any"))).await.unwrap();
        assert_eq!(service.snapshot().rules_of(&group.id).count(), 1);
    });
}

#[test]
fn a_token_runs_once_and_survives_a_restart() {
    block_on(async {
        let (service, enforcement, store) = started();
        let vpc = vpc(&service).await;
        let operation = new_group("web", &vpc);
        let idempotent = |token| Idempotent::new("root", token, &operation, operation.clone()).unwrap();
        let first = service.submit(idempotent("a")).await.unwrap();
        assert_eq!(service.submit(idempotent("a")).await.unwrap(), first);
        assert_ne!(service.submit(idempotent("b")).await.unwrap().id, first.id);
        let other = new_group("db", &vpc);
        let reused = Idempotent::new("root", "a", &other, other.clone()).unwrap();
        assert!(matches!(service.submit(reused).await, Err(Refusal::TokenReused { .. })));
        drop(service);
        let (service, _) = Service::start(Box::new(store), enforcement).unwrap();
        assert_eq!(service.submit(idempotent("a")).await.unwrap(), first);
        assert_eq!(service.snapshot().groups().len(), 2);
    });
}

#[test]
fn what_is_tried_out_does_not_happen() {
    block_on(async {
        let (service, enforcement, _) = started();
        web_with_nic(&service).await;
        let before = enforcement.policies.lock().unwrap().len();
        let target = service.snapshot().nics().values().next().unwrap().id.to_string();
        let join = Join { groups: vec!["web".to_owned()], targets: vec![target], place: None };
        assert!(matches!(service.try_out(&join), Err(Refusal::AlreadyMember { .. })));
        assert_eq!(service.try_out(&authorize(tcp(80, "any"))).unwrap().len(), 1);
        assert_eq!(service.snapshot().rules().len(), 0);
        assert_eq!(enforcement.policies.lock().unwrap().len(), before);
    });
}
