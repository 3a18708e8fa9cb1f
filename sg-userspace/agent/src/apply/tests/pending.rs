//! Changes that are to be confirmed, over a fake kernel: which steps, in which order, and what the catalog says meanwhile.

use jiff::Timestamp;
use sg_model::{Hook, Nic, Policy, PolicyParts};

use super::{super::enforcer::Settle, *};
use crate::apply::pending::{Confirm, Standing};

impl Bench {
    /// Begins a change, and returns what the kernel was asked.
    fn change(&mut self, policy: Policy, devices: &Devices) -> Vec<String> {
        self.fake.asked();
        let confirm = Confirm { seconds: 60, owner: "uid 0".to_owned() };
        self.agent.prepare_until(policy, devices, confirm).unwrap();
        let report = self.agent.enforce().unwrap();
        assert!(report.errors.is_empty(), "{report:?}");
        self.fake.asked()
    }

    /// Settles it, and returns what the kernel was asked.
    fn settle(&mut self, how: Settle, devices: &Devices) -> (Standing, Vec<String>) {
        let standing = self.agent.settle(None, how).unwrap();
        self.agent.forget_confirmed();
        let report = self.agent.resync(devices).unwrap();
        assert!(report.errors.is_empty(), "{report:?}");
        self.agent.forget_reverted();
        (standing, self.fake.asked())
    }

    fn rules(&self) -> Vec<(String, u32)> {
        let groups = &self.agent.catalog.numbers.groups;
        groups[0].ingress.iter().map(|rule| (rule.id.clone(), rule.number)).collect()
    }
}

fn rules(ids: &[&str], devices: &[&str]) -> Policy {
    policy(vec![group("web", ids)], devices)
}

#[test]
fn what_is_in_force_is_kept_before_anything_changes() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    let asked = bench.change(rules(&["b"], &["eth0", "eth1"]), &there);
    let at = |what: &str| asked.iter().position(|asked| asked.starts_with(what)).unwrap();
    assert_eq!(asked[0], "keep [0] [(1, \"nothing\")]", "{asked:?}");
    assert!(at("begin 1 for 60") < at("publish 0") && at("publish 1") < at("attach 1 3"), "{asked:?}");
    let pending = bench.catalog().pending.unwrap();
    assert_eq!((pending.id, pending.owner.as_str(), pending.kept), (1, "uid 0", [0, 1].into()));
    assert_eq!(pending.before.groups[0].ingress[0].id, "a");
}

#[test]
fn another_change_waits_until_it_is_settled() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    let confirm = || Confirm { seconds: 60, owner: String::new() };
    let refused = bench.agent.prepare_until(rules(&["a"], &["eth0"]), &there, confirm()).unwrap_err();
    assert!(matches!(refused, AgentError::NothingBefore), "{refused}");
    assert!(matches!(bench.agent.settle(None, Settle::Confirm), Err(AgentError::NothingPending)));
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    bench.change(rules(&["b"], &["eth0"]), &there);
    let refused = bench.agent.prepare(rules(&["c"], &["eth0"]), &there).unwrap_err();
    assert!(matches!(refused, AgentError::PendingConfirmation { id: 1, .. }), "{refused}");
    let refused = bench.agent.prepare_until(rules(&["c"], &["eth0"]), &there, confirm()).unwrap_err();
    assert!(matches!(refused, AgentError::PendingConfirmation { id: 1, .. }), "{refused}");
    assert!(matches!(
        bench.agent.settle(Some(7), Settle::Confirm),
        Err(AgentError::OtherPending { asked: 7, id: 1 })
    ));
    bench.settle(Settle::Confirm, &there);
    bench.apply(rules(&["c"], &["eth0"]), &there).unwrap();
    assert_eq!(bench.change(rules(&["d"], &["eth0"]), &there)[1], "begin 2 for 60", "ids go on");
}

#[test]
fn what_is_over_is_published_anew_with_the_numbers_it_had() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.apply(rules(&["a", "b"], &["eth0"]), &there).unwrap();
    let before = (bench.rules(), bench.agent.catalog.nics[0].generation);
    bench.change(rules(&["b", "c"], &["eth0", "eth1"]), &there);
    let changed = bench.rules();
    *bench.fake.is_over.lock().unwrap() = true;
    let (standing, asked) = bench.settle(Settle::Confirm, &there);
    assert_eq!(standing, Standing::Reverted { id: 1 }, "whatever was asked");
    for wanted in ["publish 0", "detach 1 3", "withdraw 1", "forget what was kept"] {
        assert!(asked.iter().any(|asked| asked == wanted), "{wanted}: {asked:?}");
    }
    let (rules, generation) = (bench.rules(), bench.agent.catalog.nics[0].generation);
    assert_eq!((rules, generation), (before.0, before.1 + 2), "flows are judged again");
    let (catalog, number_of_c) = (bench.catalog(), changed[1].1);
    assert!(catalog.pending.is_none() && catalog.numbers.vacant.contains(&number_of_c), "{catalog:?}");
    assert_eq!(catalog.nics.len(), 1);
    assert!(bench.agent.is_settled());
}

#[test]
fn a_nic_that_leaves_and_a_hook_that_changes_wait_for_the_confirmation() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.apply(rules(&["a"], &["eth0", "eth1"]), &there).unwrap();
    let parts = rules(&["a"], &["eth0"]).parts().clone();
    let nics = parts.nics.iter().map(|nic| Nic { hook: Hook::Xdp, ..nic.clone() }).collect();
    let asked = bench.change(Policy::new(PolicyParts { nics, ..parts }).unwrap(), &there);
    assert!(asked.contains(&"attach 0 2 by xdp, too".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|asked| asked.starts_with("detach") || asked.starts_with("withdraw")));
    assert_eq!(bench.catalog().nics.len(), 2, "it is in force");
    // A change of devices in the window changes nothing of that.
    let more = devices(&[("eth0", 2), ("eth1", 3), ("eth2", 4)]);
    bench.agent.resync(&more).unwrap();
    let asked = bench.fake.asked();
    assert!(!asked.iter().any(|asked| asked.starts_with("detach")), "{asked:?}");
    let (standing, asked) = bench.settle(Settle::Confirm, &more);
    assert_eq!(standing, Standing::Confirmed { id: 1 });
    for wanted in ["forget what was kept", "detach 1 3", "withdraw 1", "attach 0 2 by xdp"] {
        assert!(asked.iter().any(|asked| asked == wanted), "{wanted}: {asked:?}");
    }
    assert_eq!(bench.catalog().nics.len(), 1);
}

#[test]
fn another_agent_continues_it_or_finds_it_over() {
    for is_over in [false, true] {
        let mut bench = Bench::new();
        let there = devices(&[("eth0", 2)]);
        let (first, second) = (rules(&["a"], &["eth0"]), rules(&["b"], &["eth0"]));
        bench.apply(first.clone(), &there).unwrap();
        bench.change(second.clone(), &there);
        let mut next = bench.restart();
        *next.fake.is_over.lock().unwrap() = is_over;
        let found = next.agent.found_pending().unwrap().unwrap();
        if is_over {
            assert_eq!(found, Standing::Reverted { id: 1 });
            next.agent.prepare_before(first, &there).unwrap();
        } else {
            assert!(matches!(found, Standing::Pending { id: 1, .. }), "{found:?}");
            next.agent.prepare_resumed(second, first, Timestamp::MAX, &there).unwrap();
            assert_eq!(next.agent.pending().unwrap().deadline, Timestamp::MAX, "by the kernel's clock");
        }
        assert!(next.agent.enforce().unwrap().errors.is_empty());
        next.agent.forget_reverted();
        let rule = next.rules()[0].0.clone();
        assert_eq!(
            (rule.as_str(), next.catalog().pending.is_some()),
            if is_over { ("a", false) } else { ("b", true) }
        );
        if !is_over {
            next.settle(Settle::Cancel, &there);
            assert_eq!((next.rules()[0].0.as_str(), next.catalog().pending), ("a", None));
        }
    }
}

#[test]
fn what_is_confirmed_or_over_and_not_wholly_done_lets_no_other_change_begin() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    let confirm = || Confirm { seconds: 60, owner: String::new() };
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    bench.change(rules(&["b"], &["eth0"]), &there);
    bench.agent.settle(None, Settle::Confirm).unwrap();
    assert!(bench.agent.is_confirmed() && bench.catalog().pending.is_some(), "until it is recorded");
    let refused = bench.agent.prepare(rules(&["c"], &["eth0"]), &there).unwrap_err();
    assert!(matches!(refused, AgentError::Unsettled { id: 1 }), "{refused}");
    bench.agent.forget_confirmed();
    assert!(bench.catalog().pending.is_none());

    bench.change(rules(&["c"], &["eth0"]), &there);
    bench.fake.refuses.lock().unwrap().insert("publish 0".to_owned());
    bench.agent.settle(None, Settle::Cancel).unwrap();
    assert_eq!(bench.agent.resync(&there).unwrap().errors.len(), 1);
    bench.agent.forget_reverted();
    let refused = bench.agent.prepare_until(rules(&["d"], &["eth0"]), &there, confirm()).unwrap_err();
    assert!(matches!(refused, AgentError::Unsettled { id: 2 }), "{refused}");
    // One that needs no confirmation may be all that helps.
    bench.agent.prepare(rules(&["d"], &["eth0"]), &there).unwrap();
    assert_eq!(bench.agent.enforce().unwrap().errors.len(), 1);
    // Somebody who comes late does not bring back what was before.
    let late = bench.agent.settle(Some(2), Settle::Cancel).unwrap();
    assert_eq!(late, Standing::Reverted { id: 2 });
    bench.fake.refuses.lock().unwrap().clear();
    assert!(bench.agent.resync(&there).unwrap().errors.is_empty());
    bench.agent.forget_reverted();
    assert_eq!((bench.rules()[0].0.as_str(), bench.catalog().pending), ("d", None));
}

#[test]
fn a_change_that_cannot_be_kept_changes_nothing() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    for refused in ["keep [0] []", "begin 1 for 60"] {
        bench.fake.refuses.lock().unwrap().insert(refused.to_owned());
        let confirm = Confirm { seconds: 60, owner: String::new() };
        bench.agent.prepare_until(rules(&["b"], &["eth0"]), &there, confirm).unwrap();
        bench.fake.asked();
        let error = bench.agent.enforce().unwrap_err();
        assert!(matches!(error, AgentError::CannotGoBack { .. }), "{error}");
        assert!(!bench.fake.asked().iter().any(|asked| asked.starts_with("publish")));
        bench.fake.refuses.lock().unwrap().clear();
        assert_eq!((bench.rules()[0].0.as_str(), bench.catalog().pending), ("a", None));
    }
    assert!(bench.agent.is_settled());
}
