//! The steps of NICs of a document, over counters that are made up.

use jiff::{SignedDuration, Timestamp};
use sg_agent::{Catalog, GroupNumbers, Numbers, Origin, Outcome, RuleNumber};
use sg_common::abi::Counter;
use sg_kernel::{Attachment, Limits};

use super::*;
use crate::last_hits::Used;

const POLICY: &str = "
prefix_lists: { office: [192.0.2.0/24] }
port_lists: { web: [80, 443] }
groups:
  web:
    inner_access: accept
    ingress:
      - { id: late, priority: 9, protocol: tcp, ports: { port_list: web } }
      - { id: office, protocol: tcp, ports: 22, remote: { prefix_list: office } }
      - { id: off, enabled: false, protocol: all }
  ops:
    inner_access: drop
    ingress: [{ id: no, action: drop, protocol: all, remote: { group: web } }]
nics:
  - { device: eth0, addresses: [10.0.0.5], groups: [web, ops] }
  - { device: eth1, addresses: [10.0.0.6], groups: [ops] }
";

fn policy() -> Policy {
    sg_document::parse("p", POLICY.as_bytes()).unwrap().policy
}

fn look(policy: Policy, rows: Vec<Row>, at: Timestamp) -> Look {
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let mut catalog = Catalog::new(limits, Attachment::Auto);
    catalog.numbers = Numbers {
        groups: vec![
            GroupNumbers {
                name: "ops".to_owned(),
                intra_group: None,
                ingress: vec![RuleNumber { id: "no".to_owned(), action: Outcome::Drop, number: 320 }],
                egress: Vec::new(),
            }
            .into(),
        ],
        ..Numbers::default()
    };
    let mut in_force = InForce::new(catalog, Origin::Store);
    in_force.policy = Some(policy.into());
    Look { in_force: in_force.into(), rows, others: Vec::new(), at }
}

fn lines(nic: &EffectiveNic) -> Vec<String> {
    nic.steps
        .iter()
        .map(|step| {
            let who = step.rule.as_deref().or(step.group.as_deref()).unwrap_or("default");
            format!("{} {who} {} {}", step.direction, step.action, step.matches)
        })
        .collect()
}

#[test]
fn steps_are_in_order_of_evaluation_and_name_what_they_match() {
    let look = look(policy(), Vec::new(), Timestamp::UNIX_EPOCH);
    let policy = look.in_force.policy.as_deref().unwrap();
    let steps = Steps::new(policy, &look);
    let nic = |view| steps.of(&policy.nics()[0], &look.in_force, view, None);
    assert_eq!(
        lines(&nic(View::InOrder)),
        [
            "ingress web accept members of group:web",
            "ingress office accept tcp ports 22 remote prefix-list:office",
            "ingress late accept tcp ports port-list:web remote any",
            "ingress no drop all remote group:web",
            "ingress default drop everything else",
            "egress default accept everything else",
        ]
    );
    let by_group = nic(View::ByGroup);
    let rules: Vec<(&str, bool)> =
        by_group.steps.iter().filter_map(|step| Some((step.rule.as_deref()?, step.enabled))).collect();
    assert_eq!(rules, [("late", true), ("office", true), ("off", false), ("no", true)]);
    assert_eq!((by_group.groups.join(","), by_group.attached), ("web,ops".to_owned(), false));
}

#[test]
fn a_rule_is_unused_once_it_was_observed_for_so_long() {
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let days = |days: i64| now - SignedDuration::from_hours(24 * days);
    let row = |rule: &str, since, last_hit| Row {
        owner: Owner::Rule { group: "web".to_owned(), direction: Direction::Ingress, rule: rule.to_owned() },
        counter: Counter { packets: 7, bytes: 700 },
        used: Some(Used { since, last_hit }),
    };
    let rows = vec![row("late", days(40), Some(days(20))), row("office", days(25), None)];
    let look = look(policy(), rows, now);
    let policy = look.in_force.policy.as_deref().unwrap();
    let steps = Steps::new(policy, &look);
    let unused = |age: &str| {
        let nic = steps.of(&policy.nics()[0], &look.in_force, View::InOrder, Some(age.parse().unwrap()));
        nic.steps.into_iter().filter_map(|step| step.rule).collect::<Vec<_>>()
    };
    assert_eq!(unused("30d"), [""; 0], "nobody knows yet of `office`, and `no` is not observed at all");
    assert_eq!(unused("24d"), ["office"]);
    assert_eq!(unused("20d"), ["office", "late"]);
    let counted = steps.of(&policy.nics()[0], &look.in_force, View::InOrder, None);
    let late = counted.steps.iter().find(|step| step.rule.as_deref() == Some("late")).unwrap();
    assert_eq!((late.count.packets, late.last_hit), (7, Some(days(20))));
}
