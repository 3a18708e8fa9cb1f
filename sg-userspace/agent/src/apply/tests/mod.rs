//! The agent with a fake kernel that only records the calls. It must never need root.

mod candidate;
mod fake;
mod incremental;
mod observed;
mod patched;
mod pending;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{agent::Agent, report::Report};
use crate::{
    error::AgentError,
    host::{
        catalog::Catalog,
        devices::{Devices, Found, Header},
    },
    samples::{LIMITS, group, policy},
};
pub(crate) use fake::Fake;
use sg_kernel::Attachment;
use sg_model::{Hook, Policy};

/// An agent with its fake kernel and its directory.
struct Bench {
    agent: Agent<Fake>,
    fake: Fake,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::continuing(Catalog::new(LIMITS, Attachment::Auto), dir)
    }

    fn continuing(catalog: Catalog, dir: tempfile::TempDir) -> Self {
        let fake = Fake::default();
        let loaded = fake.clone();
        let load = Box::new(move |_: &Catalog| Ok(loaded.clone()));
        let agent = Agent::new(load, catalog, dir.path().join("catalog.json"), 1 << 13);
        Self { agent, fake, dir }
    }

    fn apply(&mut self, policy: Policy, devices: &Devices) -> Result<Report, AgentError> {
        self.agent.prepare(policy, devices)?;
        self.agent.enforce()
    }

    fn catalog(&self) -> Catalog {
        Catalog::load(&self.dir.path().join("catalog.json")).unwrap()
    }

    /// The agent ends; another one adopts its state.
    fn restart(self) -> Self {
        let catalog = self.catalog();
        Self::continuing(catalog, self.dir)
    }
}

fn web(devices: &[&str]) -> Policy {
    policy(vec![group("web", &["a"])], devices)
}

fn devices(found: &[(&str, u32)]) -> Devices {
    let found = found.iter().map(|&(name, index)| {
        (name.to_owned(), Found { index, link_type: libc::ARPHRD_ETHER, ..Found::default() })
    });
    found.collect()
}

fn lines(report: &Report) -> Vec<String> {
    report.lines.iter().map(ToString::to_string).collect()
}

#[test]
fn a_policy_is_put_in_force_once() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    let report = bench.apply(web(&["eth0", "eth1"]), &there).unwrap();
    assert_eq!(lines(&report), ["attached eth0", "waiting for eth1"]);
    let fresh = ["forget 0", "reset 64", "forget 1", "reset 64", "publish 0", "attach 0 2"];
    assert_eq!(bench.fake.asked(), fresh);
    assert!(bench.agent.is_settled());

    let report = bench.apply(web(&["eth0", "eth1"]), &there).unwrap();
    assert!(lines(&report).is_empty());
    assert_eq!(report.published, 0);
    bench.agent.resync(&there).unwrap();
    assert!(bench.fake.asked().is_empty(), "doing it again changes nothing");
}

#[test]
fn nics_come_go_and_come_again() {
    let mut bench = Bench::new();
    bench.apply(web(&["eth0"]), &devices(&[])).unwrap();
    bench.fake.asked();

    let report = bench.agent.resync(&devices(&[("eth0", 2)])).unwrap();
    assert_eq!((lines(&report), report.published), (vec!["attached eth0".to_owned()], 1));
    assert_eq!(bench.fake.asked(), ["publish 0", "attach 0 2"]);

    let report = bench.agent.resync(&devices(&[])).unwrap();
    assert_eq!(lines(&report), ["gone eth0"]);
    assert_eq!(bench.fake.asked(), ["detach 0 2", "forget 0"]);

    let report = bench.agent.resync(&devices(&[("eth0", 5)])).unwrap();
    assert_eq!(lines(&report), ["attached eth0"]);
    assert_eq!(bench.fake.asked(), ["attach 0 5"]);
    assert_eq!(bench.catalog().nics[0].ifindex, Some(5));
}

#[test]
fn what_leaves_the_policy_is_taken_off_and_forgotten() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.apply(web(&["eth0", "eth1"]), &there).unwrap();
    bench.fake.asked();
    let report = bench.apply(web(&["eth1"]), &there).unwrap();
    assert_eq!(lines(&report), ["detached eth0"]);
    assert_eq!(bench.fake.asked(), ["detach 0 2", "withdraw 0"]);
    assert_eq!(bench.catalog().nics.len(), 1);
}

#[test]
fn what_left_the_policy_and_is_still_there_is_said_once_and_kept() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3), ("eth2", 4)]);
    let left =
        |bench: &Bench| -> Vec<String> { bench.catalog().left.into_iter().map(|left| left.device).collect() };
    bench.apply(web(&["eth0", "eth1", "eth2"]), &there).unwrap();
    bench.fake.refuses.lock().unwrap().insert("detach 2 4".into());
    let report = bench.apply(web(&["eth1"]), &there).unwrap();
    assert_eq!(
        report.warnings,
        ["the policy does not name eth0 any more, which is still there: not filtered now, everything passes"],
        "of eth2 the program could not be taken off"
    );
    assert_eq!(left(&bench), ["eth0"]);
    bench.fake.refuses.lock().unwrap().clear();
    let report = bench.agent.resync(&there).unwrap();
    assert!(report.warnings.len() == 1 && report.warnings[0].contains("name eth2 any more"), "{report:?}");
    assert_eq!(left(&bench), ["eth0", "eth2"]);

    let mut bench = bench.restart();
    assert!(bench.apply(web(&["eth1"]), &there).unwrap().warnings.is_empty(), "it is known");
    assert_eq!(left(&bench), ["eth0", "eth2"]);
    bench.agent.resync(&devices(&[("eth0", 7), ("eth1", 3), ("eth2", 4)])).unwrap();
    assert_eq!(left(&bench), ["eth2"], "eth0 was made anew, and was never filtered");
    bench.apply(web(&["eth1", "eth2"]), &there).unwrap();
    assert!(left(&bench).is_empty());
    bench.apply(web(&["eth1"]), &devices(&[("eth1", 3)])).unwrap();
    assert!(left(&bench).is_empty(), "eth2 is not there any more");
}

#[test]
fn a_device_that_is_not_there_is_warned_of_once() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("lo", 1)]);
    let report = bench.apply(web(&["eht0"]), &there).unwrap();
    assert_eq!(lines(&report), ["waiting for eht0"]);
    assert_eq!(
        report.warnings,
        [
            "this host has no device eht0 (did you mean eth0?): nothing is filtered for that part of the policy until one of that \
          name comes; devices that no NIC of it is about, and that are not filtered: eth0"
        ]
    );
    assert!(bench.agent.resync(&there).unwrap().warnings.is_empty());
    bench.apply(web(&["eth0"]), &there).unwrap();
    let report = bench.agent.resync(&devices(&[("lo", 1)])).unwrap();
    assert_eq!((lines(&report), report.warnings), (vec!["gone eth0".to_owned()], Vec::new()));
}

#[test]
fn a_failure_stops_its_nic_only_and_is_tried_again() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.fake.refuses.lock().unwrap().insert("publish 0".into());
    let report = bench.apply(web(&["eth0", "eth1"]), &there).unwrap();
    assert_eq!(lines(&report), ["attached eth1"]);
    assert_eq!(report.errors.len(), 1);
    assert!(!bench.agent.is_settled());
    assert!(!bench.fake.asked().contains(&"attach 0 2".to_owned()), "no NIC without a policy");

    bench.fake.refuses.lock().unwrap().clear();
    let report = bench.agent.resync(&there).unwrap();
    assert_eq!(lines(&report), ["attached eth0"]);
    assert_eq!(bench.fake.asked(), ["publish 0", "attach 0 2"]);
    assert!(bench.agent.is_settled());
}

/// The NICs of [`web`], at XDP.
fn at_xdp(devices: &[&str]) -> Policy {
    let mut parts = web(devices).into_parts();
    parts.nics.iter_mut().for_each(|nic| nic.hook = Hook::Xdp);
    Policy::new(parts).unwrap()
}

#[test]
fn a_hook_that_is_refused_leaves_the_other_in_force() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(web(&["eth0"]), &there).unwrap();
    bench.fake.asked();
    bench.fake.refuses.lock().unwrap().insert("attach 0 2 by xdp".into());
    let report = bench.apply(at_xdp(&["eth0"]), &there).unwrap();
    assert_eq!(report.errors.len(), 1);
    assert_eq!(bench.fake.asked(), ["publish 0", "attach 0 2 by xdp"], "nothing is taken off");
    assert_eq!((bench.catalog().nics[0].ifindex, bench.catalog().nics[0].hook), (Some(2), Hook::Tc));
    assert!(!bench.agent.is_settled());

    bench.fake.refuses.lock().unwrap().clear();
    bench.agent.resync(&there).unwrap();
    assert_eq!(bench.catalog().nics[0].hook, Hook::Xdp);
    assert!(bench.agent.is_settled());

    let mut bench = bench.restart();
    bench.apply(at_xdp(&["eth0"]), &there).unwrap();
    assert_eq!(bench.fake.asked(), ["publish 0", "attach 0 2 by xdp"]);
}

#[test]
fn a_slot_that_cannot_be_emptied_is_given_to_nobody() {
    let mut bench = Bench::new();
    let there = devices(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]);
    bench.apply(web(&["a", "b", "c", "d"]), &there).unwrap();
    bench.fake.asked();
    bench.fake.refuses.lock().unwrap().insert("detach 0 1".into());
    bench.apply(web(&["b", "c", "d", "e"]), &there).unwrap();
    assert_eq!(bench.fake.asked(), ["detach 0 1"]);
    assert!(bench.catalog().nic("a").is_some() && bench.catalog().nic("e").is_none());

    bench.fake.refuses.lock().unwrap().clear();
    let report = bench.agent.resync(&there).unwrap();
    assert_eq!(lines(&report), ["detached a", "attached e"]);
}

#[test]
fn a_restarted_agent_continues_slots_numbers_and_generations() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(web(&["other", "eth0"]), &there).unwrap();
    let before = bench.catalog();

    let mut bench = bench.restart();
    let report = bench.apply(web(&["eth0", "other"]), &there).unwrap();
    assert_eq!(lines(&report), ["attached eth0", "waiting for other"]);
    assert_eq!(bench.fake.asked(), ["publish 1", "attach 1 2"], "no counter is reset, no flow forgotten");
    let after = bench.catalog();
    assert_eq!(after.numbers, before.numbers);
    let generation = |catalog: &Catalog| catalog.nic("eth0").unwrap().generation;
    assert_eq!(generation(&after), generation(&before) + 1);
}

#[test]
fn a_refused_policy_changes_nothing() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(web(&["eth0"]), &there).unwrap();
    bench.fake.asked();
    let before = bench.catalog();
    let refused = bench.apply(web(&["a", "b", "c", "d", "e"]), &there).unwrap_err();
    assert!(matches!(refused, AgentError::TooManyNics { needed: 5, limit: 4 }));
    assert!(bench.fake.asked().is_empty());
    assert_eq!(bench.catalog(), before);
}

#[test]
fn a_device_without_ethernet_is_named() {
    let mut bench = Bench::new();
    let mut there = devices(&[("tun0", 2)]);
    bench.apply(web(&["tun0"]), &devices(&[])).unwrap();
    there.get_mut("tun0").unwrap().header = Header::Other;
    let refused = bench.apply(web(&["tun0"]), &there).unwrap_err();
    assert!(refused.concerns_policy() && refused.to_string().contains("tun0"));
    let report = bench.agent.resync(&there).unwrap();
    assert_eq!(report.errors.len(), 1, "and so it is when it comes later");
    assert!(!bench.agent.is_complete());
}

#[test]
fn a_tunnel_has_no_ethertypes_and_is_named() {
    let mut bench = Bench::new();
    let mut there = devices(&[("tun0", 2), ("eth0", 3)]);
    there.get_mut("tun0").unwrap().header = Header::None;
    let named = |device: &str, kinds: &[&str]| {
        let mut parts = web(&["tun0", "eth0"]).parts().clone();
        let nic = parts.nics.iter_mut().find(|nic| nic.device == device).unwrap();
        nic.ethertypes = kinds.iter().map(|kind| kind.parse().unwrap()).collect();
        Policy::new(parts).unwrap()
    };
    let refused = bench.apply(named("tun0", &["lldp"]), &there).unwrap_err();
    assert!(refused.concerns_policy() && refused.to_string().contains("device tun0"), "{refused}");
    bench.apply(named("tun0", &[]), &there).unwrap();
    // The EtherTypes that pass are part of the image.
    bench.fake.asked();
    bench.apply(named("eth0", &["lldp"]), &there).unwrap();
    assert_eq!(bench.fake.asked(), ["publish 1"]);
    bench.apply(named("eth0", &["lldp"]), &there).unwrap();
    assert!(bench.fake.asked().is_empty());
    bench.apply(named("eth0", &["eapol"]), &there).unwrap();
    assert_eq!(bench.fake.asked(), ["publish 1"]);
}

#[test]
fn a_policy_that_says_something_else_is_published_under_the_next_generation() {
    let mut bench = Bench::new();
    let mut there = devices(&[("eth0", 2)]);
    bench.apply(web(&["eth0"]), &there).unwrap();
    let first = bench.catalog().nics[0].generation;
    bench.fake.asked();
    bench.apply(policy(vec![group("web", &["b"])], &["eth0"]), &there).unwrap();
    assert_eq!(bench.fake.asked(), ["publish 0"]);
    assert_eq!(bench.catalog().nics[0].generation, first + 1);

    let address: IpAddr = "192.0.2.7".parse().unwrap();
    there.get_mut("eth0").unwrap().facts.addresses.push(address);
    let report = bench.agent.resync(&there).unwrap();
    assert_eq!(report.published, 1, "the NIC's addresses are part of its image");
}

#[test]
fn what_is_prepared_changes_nothing_until_it_is_enforced() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.agent.prepare(web(&["eth0"]), &there).unwrap();
    assert!(bench.fake.asked().is_empty() && !bench.dir.path().join("catalog.json").exists());
    assert!(bench.agent.is_settled(), "nothing is to be tried again");

    let refused = bench.agent.prepare(web(&["a", "b", "c", "d", "e"]), &there).unwrap_err();
    assert!(refused.is_refusal());
    bench.agent.enforce().unwrap();
    assert_eq!(bench.agent.nics(), (1, 1), "the one before the refused one is the next one");
    bench.fake.asked();
    bench.agent.enforce().unwrap();
    assert!(bench.fake.asked().is_empty(), "and it is enforced once");
}

#[test]
fn what_was_prepared_for_another_state_of_things_is_prepared_again() {
    let mut bench = Bench::new();
    bench.apply(web(&["eth0"]), &devices(&[("eth0", 2)])).unwrap();
    bench.agent.prepare(policy(vec![group("web", &["b"])], &["eth0"]), &devices(&[("eth0", 2)])).unwrap();
    // The device is recreated before the order to enforce.
    let there = devices(&[("eth0", 3)]);
    bench.agent.resync(&there).unwrap();
    bench.fake.asked();
    bench.agent.enforce().unwrap();
    assert!(bench.fake.asked().is_empty() && !bench.agent.is_settled());
    bench.agent.resync(&there).unwrap();
    assert_eq!(bench.fake.asked(), ["publish 0"]);
    assert!(bench.agent.is_settled());
}

#[test]
fn the_program_is_loaded_for_the_first_policy_and_that_is_tried_again() {
    let mut bench = Bench::new();
    let (fake, tries) = (bench.fake.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&tries);
    let load = move |_: &Catalog| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Err(AgentError::Stopped),
        _ => Ok(fake.clone()),
    };
    let tries = || tries.load(Ordering::Relaxed);
    let catalog = Catalog::new(LIMITS, Attachment::Auto);
    bench.agent = Agent::new(Box::new(load), catalog, bench.dir.path().join("catalog.json"), 1 << 13);
    let there = devices(&[("eth0", 2)]);
    assert!(bench.agent.prepare(web(&["a", "b", "c", "d", "e"]), &there).is_err());
    assert_eq!(tries(), 0, "a policy that is refused loads nothing");
    bench.agent.prepare(web(&["eth0"]), &there).unwrap();
    assert_eq!(tries(), 0);
    bench.agent.enforce().unwrap_err();
    assert!(!bench.agent.is_settled());
    let report = bench.agent.resync(&there).unwrap();
    assert_eq!((tries(), report.published), (2, 1));
}

#[test]
fn what_is_older_is_removed_when_nothing_is_missing() {
    let mut bench = Bench::new();
    *bench.fake.has_older.lock().unwrap() = true;
    bench.fake.refuses.lock().unwrap().insert("attach 1 3".to_owned());
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    let report = bench.apply(web(&["eth0", "eth1"]), &there).unwrap();
    assert_eq!(report.errors.len(), 1);
    assert!(!bench.fake.asked().iter().any(|asked| asked.starts_with("remove older")), "eth1 needs it still");

    bench.fake.refuses.lock().unwrap().clear();
    bench.fake.refuses.lock().unwrap().insert("remove older but 2 3".to_owned());
    bench.agent.resync(&there).unwrap();
    assert!(!bench.agent.is_settled(), "it is tried again");
    bench.fake.refuses.lock().unwrap().clear();
    bench.agent.resync(&there).unwrap();
    assert_eq!(bench.fake.asked().last().unwrap(), "remove older but 2 3");
    assert!(bench.agent.is_settled());
}
