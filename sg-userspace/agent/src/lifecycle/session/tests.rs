use std::{path::PathBuf, thread};

use sg_audit::{HistoryQuery, Outcome, ROTATION, TrailThread, read};
use sg_kernel::{Attachment, Jiffies};

use super::*;
use crate::{
    apply::tests::Fake,
    host::catalog::Catalog,
    input::{
        control::{Control, control},
        events::{Event, Sender, channel},
        policy_file::Document,
    },
    lifecycle::traffic::{Traffic, traffic},
    plan::leaving::AllowUnfiltered,
    samples::{LIMITS, group, policy},
    state::InForce,
};

mod confirming;

/// A session over a fake kernel.
fn over(fake: &Fake, dir: &tempfile::TempDir) -> Session<'static, Fake> {
    let loaded = fake.clone();
    let load = Box::new(move |_: &Catalog| Ok(loaded.clone()));
    let catalog = Catalog::new(LIMITS, Attachment::Auto);
    Session::new(Agent::new(load, catalog, dir.path().join("catalog.json"), 1 << 13), "test", Origin::Store)
}

/// Runs a session with `orders` over a fake kernel; returns why it ended.
fn session(orders: impl FnOnce(Control, Fake, Sender) + Send) -> &'static str {
    watched(|control, fake, sender, _| orders(control, fake, sender))
}

/// The same, with a reader of what is in force.
fn watched(orders: impl FnOnce(Control, Fake, Sender, InForceReader) + Send) -> &'static str {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    let (control, received) = control();
    let (sender, mut events) = channel();
    // The orders end it, not the events.
    let _open = sender.clone();
    thread::scope(|scope| {
        let mut session = over(&fake, &dir);
        let reader = session.reader();
        scope.spawn(move || orders(control, fake, sender, reader));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(session.serve(&mut Policies::Control(received), &mut events))
    })
}

/// A policy for the one device that every host has.
fn lo(rule: &str) -> Policy {
    policy(vec![group("web", &[rule])], &["lo"])
}

#[test]
fn an_order_returns_when_it_is_executed() {
    let why = session(|control, fake, _events| {
        control.prepare(lo("a")).unwrap();
        assert!(fake.asked().is_empty());
        let enforced = control.enforce().unwrap();
        assert_eq!(enforced, Enforced { published: 1, nics: 1, attached: 1 });
        assert!(fake.asked().contains(&"publish 0".to_owned()));
        assert_eq!(control.enforce().unwrap(), Enforced { published: 0, nics: 1, attached: 1 });

        let many: Vec<String> = (0..=LIMITS.nics).map(|number| format!("tap{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = control.prepare(policy(vec![group("web", &[])], &many)).unwrap_err();
        assert!(refused.is_refusal() && fake.asked().is_empty());
        control.clone().stop("the test is over");
        assert!(matches!(control.enforce(), Err(AgentError::Stopped)));
    });
    assert_eq!(why, "the test is over");
}

#[test]
fn what_is_not_in_force_is_named_and_tried_again() {
    let why = session(|control, fake, events| {
        fake.refuses.lock().unwrap().insert("publish 0".to_owned());
        control.prepare(lo("a")).unwrap();
        let AgentError::NotInForce { delayed } = control.enforce().unwrap_err() else { panic!() };
        assert_eq!(delayed.len(), 1);
        assert_eq!(delayed[0].device.as_deref(), Some("lo"));
        assert!(delayed[0].reason.contains("refused by the test"), "{}", delayed[0].reason);
        fake.refuses.lock().unwrap().clear();
        fake.asked();
        events.send(Event::Tick).unwrap();
        while fake.asked().is_empty() {
            thread::yield_now();
        }
        assert_eq!(control.enforce().unwrap(), Enforced { published: 0, nics: 1, attached: 1 });
    });
    assert_eq!(why, "nobody is left to give it orders");
}

#[test]
fn readers_see_what_is_in_force_and_what_was_refused_since() {
    watched(|control, fake, events, reader| {
        let now = || reader.borrow().clone();
        assert!(now().applied.is_none() && now().policy.is_none());

        control.prepare(lo("a")).unwrap();
        assert!(now().applied.is_none(), "it is prepared only");
        control.enforce().unwrap();
        let first = now();
        assert_eq!(first.applied.unwrap().cause, Cause::Start);
        assert_eq!(first.policy.as_ref().unwrap().groups()[0].ingress[0].id, "a");
        let nic = first.catalog.nic("lo").unwrap();
        let image = first.image(nic).unwrap();
        assert!(nic.ifindex.is_some() && image.bytes > 0 && image.at <= first.applied.unwrap().at);

        // Nothing changes: nobody is told.
        control.enforce().unwrap();
        assert!(Arc::ptr_eq(&first, &now()));

        let many: Vec<String> = (0..=LIMITS.nics).map(|number| format!("tap{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        control.prepare(policy(vec![group("web", &[])], &many)).unwrap_err();
        let refused = now();
        assert!(refused.refused.as_ref().unwrap().reason.contains("NICs"));
        assert!(Arc::ptr_eq(&refused.catalog, &first.catalog) && refused.applied == first.applied);

        fake.refuses.lock().unwrap().insert("publish 0".to_owned());
        control.prepare(lo("b")).unwrap();
        control.enforce().unwrap_err();
        let delayed = now();
        assert!(delayed.refused.is_none() && delayed.delayed[0].contains("refused by the test"));
        fake.refuses.lock().unwrap().clear();
        events.send(Event::Tick).unwrap();
        while !now().delayed.is_empty() {
            thread::yield_now();
        }
        assert_eq!(now().applied.unwrap().cause, Cause::Retry);
        let generation = |in_force: &InForce| in_force.catalog.nic("lo").unwrap().generation;
        assert!(generation(&now()) > generation(&first));
    });
}

#[test]
fn a_start_that_is_not_wholly_in_force_is_recorded_as_such() {
    for (refused, outcome) in [(None, Outcome::Done), (Some("publish 0"), Outcome::NotInForce)] {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        fake.refuses.lock().unwrap().extend(refused.map(str::to_owned));
        let file = dir.path().join("audit.jsonl");
        let trail = TrailThread::spawn(file.clone(), ROTATION).unwrap();
        let mut session = over(&fake, &dir);
        session.record(trail.trail(), None);
        session.prepare(lo("a")).unwrap();
        session.begin(Path::new("/etc/sgd/policy.yaml"), Some(0), b"").unwrap();
        trail.end();
        let recorded = read(&file, &HistoryQuery::default()).unwrap();
        let [entry] = &recorded.items[..] else { panic!("{recorded:?}") };
        assert_eq!((entry.operation.as_str(), entry.outcome), ("start_document", outcome));
        let said = entry.message.as_ref().is_some_and(|message| message.contains("refused by the test"));
        assert_eq!(said, refused.is_some(), "{entry:?}");
    }
}

#[test]
fn an_observer_that_takes_nothing_does_not_stop_ageing() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let (sender, news) = traffic(None);
    let mut session = over(&fake, &dir).observed(Some(&sender));
    let catalog = session.publisher.catalog();
    while sender.has_room() {
        sender.send(Traffic { unread: 1, ..Traffic::at(Jiffies::default(), Arc::clone(&catalog)) });
    }
    session.ageing = true;
    assert!(!session.may_age(), "what is not read yet is not lost");
    session.behind = Instant::now().checked_sub(ageing::PATIENCE);
    assert!(session.may_age(), "flows must expire");
    news.recv_timeout(Duration::ZERO).unwrap();
    assert!(session.may_age() && session.behind.is_none());
}

/// A document for the one device that every host has, or for none.
fn document(text: &str) -> Document {
    let loaded = sg_document::parse("p.yaml", text.as_bytes()).unwrap();
    Document { policy: loaded.policy, guard: loaded.guard }
}

#[test]
fn a_document_that_leaves_out_a_device_is_held_back_until_it_may() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let mut session = over(&fake, &dir);
    let lo = "groups: { g: }\nnics: [ { device: lo, groups: [g] } ]\n";
    session.prepare_guarded(document(lo)).unwrap();
    session.enforce(Cause::Policy).unwrap();
    let refused = session.prepare_guarded(document("{}")).unwrap_err();
    assert_eq!(refused.refusal_cause(), crate::error::RefusalCause::Guard);
    assert!(refused.to_string().starts_with("lo is filtered"), "{refused}");
    let devices = Wake { devices: true, ..Wake::default() };
    assert!(session.held_back_no_longer(&devices).is_none(), "lo does not go");
    session.guarded(AllowUnfiltered::Any, PathBuf::new(), None);
    assert!(session.held_back_no_longer(&Wake::default()).is_none(), "nothing happened to devices");
    let again = session.held_back_no_longer(&devices).unwrap();
    session.prepare_guarded(again).unwrap();
    session.enforce(Cause::Policy).unwrap();
    assert!(session.agent.nics() == (0, 0) && session.guard.held_back.is_none());
}

#[test]
fn a_document_that_loses_what_it_keeps_is_refused_and_not_held_back() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let mut session = over(&fake, &dir);
    let text = "groups: { g: }\nnics: [ { device: lo, groups: [g] } ]\n\
                keep: [ { nic: lo, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 22 } ]\n";
    let refused = session.prepare_guarded(document(text)).unwrap_err();
    assert!(matches!(refused, AgentError::LostProbe { .. }), "{refused}");
    assert!(refused.to_string().starts_with("p.yaml:3:9: keep[0]: NIC lo would not accept it"), "{refused}");
    assert!(session.guard.held_back.is_none() && session.agent.policy().is_none());
}

#[test]
fn the_first_document_does_not_take_away_the_connection_that_started_the_agent() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let mut session = over(&fake, &dir);
    let own = "192.0.2.7 50000 127.0.0.1 22".parse().unwrap();
    session.guarded(AllowUnfiltered::default(), PathBuf::new(), Some(own));
    let closed = "groups: { g: }\nnics: [ { device: lo, groups: [g] } ]\n";
    let refused = session.prepare_guarded(document(closed)).unwrap_err();
    assert!(matches!(refused, AgentError::LostSsh { .. }), "{refused}");
    let said = "the SSH connection from 192.0.2.7 port 50000 to 127.0.0.1 port 22: NIC lo would not accept it, drop by default";
    assert!(refused.to_string().starts_with(said), "{refused}");
    session.prepare_guarded(document(&format!("{closed}keep_ssh: false\n"))).unwrap();
    session.enforce(Cause::Policy).unwrap();
    // From now on only what the flow table has is asked.
    session.prepare_guarded(document(closed)).unwrap();
}
