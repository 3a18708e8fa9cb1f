//! Changes of a document that are to be confirmed, over a fake kernel: what is recorded, and what follows from what was recorded.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sg_audit::Entry;

use super::*;
use crate::{
    apply::enforcer::Settle,
    lifecycle::{
        confirmed::{ConfirmChanges, Documents},
        session::Then,
    },
};

/// An agent after another: what each leaves is in a directory, and in the fake kernel.
struct Host {
    dir: tempfile::TempDir,
    fake: Fake,
    options: ConfirmChanges,
}

/// A running agent, and its document.
struct Running {
    session: Session<'static, Fake>,
    policies: Policies,
    trail: Option<TrailThread>,
}

/// A document for the one device that every host has, with a rule.
fn text(rule: &str) -> String {
    format!(
        "groups: {{ g: {{ ingress: [ {{ id: {rule}, protocol: tcp, ports: 80 }} ] }} }}\nnics: [ {{ device: lo, groups: [g] }} ]\n"
    )
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = ConfirmChanges { seconds: Some(60), directory: dir.path().join("state") };
        Self { dir, fake: Fake::default(), options }
    }

    fn documents(&self) -> Documents {
        Documents::of(&self.options)
    }

    fn write(&self, rule: &str) {
        fs::write(self.dir.path().join("p.yaml"), text(rule)).unwrap();
    }

    /// What the catalog says of a change.
    fn pending(&self) -> bool {
        fs::read_to_string(self.dir.path().join("catalog.json")).unwrap().contains("\"owner\"")
    }

    /// Starts an agent as `run` does.
    fn start(&self) -> Result<(Running, Then), AgentError> {
        let (sender, _) = channel();
        let mut file = PolicyFile::watch(&self.dir.path().join("p.yaml"), sender).unwrap();
        let document = file.load().unwrap();
        let loaded = self.fake.clone();
        let load = Box::new(move |_: &Catalog| Ok(loaded.clone()));
        let path = self.dir.path().join("catalog.json");
        let limits = Catalog::new(LIMITS, Attachment::Auto);
        let catalog =
            fs::read(&path).map_or(limits, |bytes| serde_json::from_slice::<Catalog>(&bytes).unwrap());
        let origin = Origin::Document { path: file.path().to_owned(), owner: None };
        let mut session = Session::new(Agent::new(load, catalog, path, 1 << 13), "test", origin);
        let trail = TrailThread::spawn(self.dir.path().join("audit.jsonl"), ROTATION).unwrap();
        session.record(trail.trail(), None);
        session.confirming(Some(&self.options));
        let then = session.prepare_first(&file, document)?;
        let path =
            if let Then::GoneBack { path, .. } = &then { path.clone() } else { file.path().to_owned() };
        let text = session.first_text(&file, &then);
        session.begin(&path, None, &text)?;
        session.after_first(&file, &then);
        let (_, orders) = control();
        let policies = Policies::File { file, orders };
        Ok((Running { session, policies, trail: Some(trail) }, then))
    }

    /// An agent that has begun with a document, and tries another.
    fn trying(&self) -> Running {
        self.write("a");
        let (mut running, _) = self.start().unwrap();
        self.write("b");
        running.reads();
        running
    }

    /// The audit trail, once the agent has ended.
    fn recorded(&self) -> Vec<Entry> {
        read(&self.dir.path().join("audit.jsonl"), &HistoryQuery::default()).unwrap().items
    }
}

impl Running {
    /// As if the file was closed.
    fn reads(&mut self) {
        self.wakes(Wake { policy: Some(Reading::IfChanged), ..Wake::default() });
    }

    fn wakes(&mut self, wake: Wake) {
        self.session.wake(wake, &mut self.policies);
        self.session.go_on(&mut self.policies);
    }

    fn rule(&self) -> String {
        self.session.agent.policy().unwrap().groups()[0].ingress[0].id.clone()
    }

    fn refused(&self) -> Option<String> {
        self.session.reader().borrow().refused.as_ref().map(|refused| refused.reason.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(trail) = self.trail.take() {
            trail.end();
        }
    }
}

const TICK: Wake = Wake { tick: true, policy: None, devices: false, stop: None };

#[test]
fn a_confirmation_is_recorded_before_the_change_is_forgotten() {
    let host = Host::new();
    host.write("a");
    let (mut running, then) = host.start().unwrap();
    assert_eq!(then, Then::Confirmed);
    host.write("b");
    running.reads();
    assert!(host.pending() && running.rule() == "b");
    // Nothing can be renamed to a directory.
    fs::remove_file(host.documents().confirmed_path()).unwrap();
    fs::create_dir(host.documents().confirmed_path()).unwrap();
    running.session.settle(None, Settle::Confirm, "cancelled").unwrap();
    running.wakes(TICK);
    assert!(host.pending(), "whoever starts now asks the kernel");
    assert!(running.session.reader().borrow().catalog.pending.is_none(), "for others it is over");
    drop(running);
    fs::remove_dir(host.documents().confirmed_path()).unwrap();
    let (mut running, then) = host.start().unwrap();
    assert_eq!((then, running.rule()), (Then::Nothing, "b".to_owned()));
    assert_eq!(host.documents().confirmed().unwrap().unwrap(), text("b").into_bytes());
    assert!(!host.pending() && host.documents().unconfirmed().unwrap().is_none());

    // The same where the agent lives on.
    host.write("c");
    running.reads();
    fs::remove_file(host.documents().confirmed_path()).unwrap();
    fs::create_dir(host.documents().confirmed_path()).unwrap();
    running.session.settle(None, Settle::Confirm, "cancelled").unwrap();
    fs::remove_dir(host.documents().confirmed_path()).unwrap();
    running.wakes(TICK);
    assert!(!host.pending());
    assert_eq!(host.documents().confirmed().unwrap().unwrap(), text("c").into_bytes());
}

#[test]
fn a_document_waits_until_a_change_that_is_over_is_taken_back_everywhere() {
    let host = Host::new();
    let mut running = host.trying();
    host.fake.refuses.lock().unwrap().insert("publish 0".to_owned());
    running.session.settle(None, Settle::Cancel, "cancelled").unwrap();
    host.write("c");
    running.reads();
    let said = running.refused().unwrap();
    assert!(said.starts_with("change 1 is over, and what follows from that failed"), "{said}");
    host.fake.refuses.lock().unwrap().clear();
    running.wakes(TICK);
    assert_eq!((running.rule().as_str(), host.pending()), ("c", true), "it is tried now");
    drop(running);
    let operations: Vec<String> = host.recorded().into_iter().rev().map(|entry| entry.operation).collect();
    // Nobody sent a signal.
    let wanted = ["start_document", "load_document", "revert_change", "load_document", "load_document"];
    assert_eq!(operations, wanted);
}

#[test]
fn a_change_that_cannot_begin_is_refused() {
    let host = Host::new();
    host.write("a");
    let (mut running, _) = host.start().unwrap();
    host.fake.refuses.lock().unwrap().insert("begin 1 for 60".to_owned());
    host.write("b");
    running.reads();
    let said = running.refused().unwrap();
    assert!(said.starts_with("what is in force cannot be kept"), "{said}");
    assert_eq!((running.rule().as_str(), host.documents().unconfirmed().unwrap()), ("a", None));
    drop(running);
    assert_eq!(host.recorded()[0].outcome, Outcome::Refused);
    // It was never tried: a start does.
    host.fake.refuses.lock().unwrap().clear();
    let (running, then) = host.start().unwrap();
    assert!(matches!(then, Then::GoneBack { tries: true, .. }), "{then:?}");
    assert_eq!((running.rule().as_str(), host.pending()), ("b", true));
}

#[test]
fn a_start_says_which_document_is_in_force() {
    let host = Host::new();
    drop(host.trying());
    *host.fake.is_over.lock().unwrap() = true;
    let (running, then) = host.start().unwrap();
    assert_eq!(then, Then::GoneBack { path: host.documents().confirmed_path(), tries: false });
    assert_eq!(running.rule(), "a");
    drop(running);
    let entry = host.recorded().into_iter().find(|entry| entry.operation == "start_document").unwrap();
    assert!(entry.who.to_string().contains("confirmed-document"), "{entry:?}");
}

#[test]
fn what_was_resumed_goes_back_by_the_clock_of_the_kernel() {
    let host = Host::new();
    drop(host.trying());
    // Somebody has set the clock since.
    let path = host.dir.path().join("catalog.json");
    let mut catalog: Catalog = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    catalog.pending.as_mut().unwrap().deadline = "2001-01-01T00:00:00Z".parse().unwrap();
    catalog.save(&path).unwrap();
    let (running, then) = host.start().unwrap();
    assert_eq!((then, running.rule().as_str()), (Then::Resumed, "b"));
    let left = running.session.agent.pending().unwrap().deadline.duration_since(Timestamp::now());
    assert!(left > SignedDuration::from_secs(50) && left <= SignedDuration::from_secs(60), "{left}");
}

#[test]
fn a_pending_change_is_not_confirmed_by_a_document_that_is_gone() {
    let host = Host::new();
    drop(host.trying());
    fs::remove_file(host.documents().confirmed_path()).unwrap();
    let refused = host.start().map(drop).unwrap_err();
    assert!(matches!(refused, AgentError::NoConfirmedDocument { id: 1, .. }), "{refused}");
    assert!(host.pending());
}

#[test]
fn without_the_option_no_document_is_kept_to_go_back_to() {
    let mut host = Host::new();
    host.write("a");
    drop(host.start().unwrap());
    assert!(host.documents().confirmed().unwrap().is_some());
    host.options.seconds = None;
    host.write("b");
    drop(host.start().unwrap());
    assert!(host.documents().confirmed().unwrap().is_none());
    host.options.seconds = Some(60);
    let (running, then) = host.start().unwrap();
    assert_eq!((then, running.rule().as_str()), (Then::Confirmed, "b"));
}
