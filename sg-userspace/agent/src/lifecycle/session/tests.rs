use std::thread;

use super::*;
use crate::{
    apply::tests::Fake,
    host::catalog::Catalog,
    input::{
        control::{Control, control},
        events::{Event, Sender, channel},
    },
    samples::{LIMITS, group, policy},
    state::InForce,
};
use sg_kernel::Attachment;

/// Runs a session with `orders` over a fake kernel; returns why it ended.
fn session(orders: impl FnOnce(Control, Fake, Sender) + Send) -> &'static str {
    watched(|control, fake, sender, _| orders(control, fake, sender))
}

/// The same, with a reader of what is in force.
fn watched(orders: impl FnOnce(Control, Fake, Sender, InForceReader) + Send) -> &'static str {
    let dir = tempfile::tempdir().unwrap();
    let (path, fake) = (dir.path().join("catalog.json"), Fake::default());
    let (control, received) = control();
    let (sender, mut events) = channel();
    // The orders end it, not the events.
    let _open = sender.clone();
    let loaded = fake.clone();
    thread::scope(|scope| {
        let load = Box::new(move |_: &Catalog| Ok(loaded.clone()));
        let agent = Agent::new(load, Catalog::new(LIMITS, Attachment::Auto), path, 1 << 13);
        let mut session = Session::new(agent, "test", Origin::Store);
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
