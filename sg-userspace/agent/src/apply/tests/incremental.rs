//! A chain of changes, of which the agent compiles and publishes only the affected images, gives every NIC the image that
//! compiling the whole policy would.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use sg_compile::{Image, ImageOptions, Patch, Patchable, compile};
use sg_kernel::Attachment;
use sg_model::{
    Action, Addresses, Established, GroupIndex, GroupType, HeaderNumbers, Match, Policy, PolicyParts,
    PortListIndex, PortRange, Ports, Precedence, PrefixListIndex, Priority, Protocol, Remote, Role, Rule,
    Service,
};

use crate::{
    apply::{
        agent::Agent,
        enforcer::{Enforcer, EnforcerError},
    },
    host::{
        catalog::Catalog,
        devices::{Devices, Found},
        numbers::nic_block,
    },
    samples::LIMITS,
};

const BUDGET: usize = 1 << 13;

/// A policy with every feature.
const EVERYTHING: &str = r#"
prefix_lists: { office: [203.0.113.0/24, "2001:db8:1::/48"], branch: [198.51.100.0/24] }
port_lists: { web: [80, 443], more: [8080-8090] }
members: { ops: [10.1.0.7], web: [10.1.0.8, "2001:db8::8"] }
groups:
  web:
    ingress:
      - { id: a, protocol: tcp, ports: { port_list: web }, remote: any }
      - { id: b, protocol: tcp, ports: 22, remote: { group: ops } }
      - { id: c, protocol: udp, ports: 53, source_ports: 1024-65535, remote: 192.0.2.0/24, priority: 7 }
      - { id: d, protocol: icmp, icmp_type: 8, remote: { prefix_list: office } }
      - { id: e, protocol: gre, action: drop }
      - { id: f, protocol: tcp, ports: 25, enabled: false }
    egress: [ { id: g, protocol: tcp, ports: 25, action: drop } ]
  ops: { inner_access: drop, ingress: [ { id: a, protocol: all, remote: 10.9.0.0/16, local: 10.0.0.1 } ] }
  quiet: {}
  strict: { type: enterprise, egress: [ { id: a, protocol: all, remote: { prefix_list: branch } } ] }
nics:
  - { device: n0, addresses: [10.0.0.1], groups: [web, ops] }
  - { device: n1, addresses: [10.0.0.2, "2001:db8::2"], groups: [ops] }
  - { device: n2, role: guest, addresses: [10.0.0.3], groups: [quiet] }
  - { device: n3, addresses: [10.0.0.4], groups: [strict] }
"#;

fn everything() -> PolicyParts {
    let policy = sg_document::parse("policy.yaml", EVERYTHING.as_bytes()).unwrap().policy;
    policy.into_parts()
}

fn entry(text: &str) -> Addresses {
    text.parse().unwrap()
}

/// A named change of a policy, at a place that the number selects.
type Change = (&'static str, fn(&mut PolicyParts, usize));

const CHANGES: &[Change] = &[
    ("nothing", |_, _| {}),
    ("the lists change places", |parts, _| parts.prefix_lists.swap(0, 1)),
    ("a prefix more", |parts, at| parts.prefix_lists[at % 2].1.push(entry("192.0.2.128/25"))),
    ("a range more", |parts, at| parts.prefix_lists[at % 2].1.push(entry("192.0.2.1-192.0.2.9"))),
    ("a prefix less", |parts, at| {
        let list = &mut parts.prefix_lists[at % 2].1;
        let left = list.entries().count().saturating_sub(1);
        *list = list.entries().take(left).collect();
    }),
    ("a port more", |parts, at| parts.port_lists[at % 2].1.push(PortRange::new(7, 9).unwrap())),
    ("a port less", |parts, at| _ = parts.port_lists[at % 2].1.pop()),
    ("a member more", |parts, at| {
        parts.members.entry(GroupIndex(at % 4)).or_default().push("10.1.0.9".parse().unwrap());
    }),
    ("a member less", |parts, at| {
        parts.members.entry(GroupIndex(at % 4)).or_default().pop();
    }),
    ("inner access", |parts, at| {
        let group = &mut parts.groups[at % 3];
        group.inner_access = !group.inner_access;
    }),
    ("a description", |parts, at| parts.groups[at % 4].description = Some(at.to_string())),
    ("a rule more", |parts, at| {
        let rule = rules(parts, 0)[0].clone();
        let id = format!("new-{at}-{}", rules(parts, at).len());
        rules(parts, at).push(Rule { id, ..rule });
    }),
    ("a rule less", |parts, at| _ = rules(parts, at).pop()),
    ("rules in another order", |parts, at| rules(parts, at).reverse()),
    ("a rule with another id", |parts, at| each(parts, at, |rule, _| rule.id.push('x'))),
    ("enabled", |parts, at| each(parts, at, |rule, _| rule.enabled = !rule.enabled)),
    ("action", |parts, at| {
        each(parts, at, |rule, _| {
            rule.action = if rule.action == Action::Accept { Action::Drop } else { Action::Accept };
        });
    }),
    ("priority", |parts, at| {
        each(parts, at, |rule, at| rule.priority = Priority::new(at as u8 % 100 + 1).unwrap());
    }),
    ("ports", |parts, at| {
        each(parts, at, |rule, at| {
            let ports = [
                Ports::Any,
                Ports::Ranges(vec![PortRange::new(at as u16, 60_000).unwrap()]),
                Ports::List(PortListIndex(at % 2)),
            ];
            let (destination, source) = (ports[at % 3].clone(), ports[at / 3 % 3].clone());
            let Match { remote, local, .. } = rule.matches.clone();
            rule.matches = Match {
                ports: destination,
                source_ports: source,
                remote,
                local,
                ..Match::of(Protocol::Number(6))
            };
        });
    }),
    ("ICMP messages", |parts, at| {
        each(parts, at, |rule, at| {
            if let Service::Icmp { .. } = rule.matches.conditions().service {
                let kind = (!at.is_multiple_of(3)).then_some(at as u8);
                let code = at.is_multiple_of(2).then_some(1);
                rule.matches.numbers =
                    kind.map_or(HeaderNumbers::NONE, |kind| HeaderNumbers::icmp(kind, code));
            }
        });
    }),
    ("protocol", |parts, at| {
        each(parts, at, |rule, at| {
            let protocol = [Protocol::All, Protocol::Number(at as u8 % 100 + 150)][at % 2];
            let Match { remote, local, .. } = rule.matches.clone();
            rule.matches = Match { remote, local, ..Match::of(protocol) };
        });
    }),
    ("remote", |parts, at| {
        each(parts, at, |rule, at| {
            rule.matches.remote = [
                Remote::Any,
                Remote::Net("192.0.2.7/32".parse().unwrap()),
                Remote::Group(GroupIndex(at % 4)),
                Remote::PrefixList(PrefixListIndex(at % 2)),
            ][at % 4];
        });
    }),
    ("local", |parts, at| {
        each(parts, at, |rule, at| rule.matches.local = [None, Some("10.0.0.2/32".parse().unwrap())][at % 2]);
    }),
    ("an address more", |parts, at| parts.nics[at % 4].addresses.push("10.0.0.77".parse().unwrap())),
    ("an address less", |parts, at| _ = parts.nics[at % 4].addresses.pop()),
    ("role", |parts, at| parts.nics[at % 4].role = [Role::Guest, Role::Host][at % 2]),
    ("anti-spoofing", |parts, at| {
        parts.nics[at % 4].anti_spoofing_written = [None, Some(true), Some(false)][at % 3];
    }),
    ("order", |parts, at| {
        parts.nics[at % 4].precedence = [Precedence::Merged, Precedence::Sequence][at % 2];
    }),
    ("live flows", |parts, at| {
        parts.nics[at % 4].established = [Established::Keep, Established::Revalidate][at % 2];
    }),
    ("groups in another order", |parts, at| parts.nics[at % 4].groups.reverse()),
    ("a group more", |parts, at| {
        let (nic, group) = (&mut parts.nics[at % 3], GroupIndex(at / 3 % 3));
        if !nic.groups.contains(&group) {
            nic.groups.push(group);
        }
    }),
    ("a group less", |parts, at| {
        let groups = &mut parts.nics[at % 4].groups;
        if groups.len() > 1 {
            groups.remove(0);
        }
    }),
    ("another type", |parts, _| {
        let group = &mut parts.groups[3];
        let basic = group.kind == GroupType::Basic;
        group.kind = if basic { GroupType::Enterprise } else { GroupType::Basic };
        group.inner_access = false;
    }),
    ("a NIC goes and another comes", |parts, at| parts.nics[at % 4].device.push('x')),
];

fn rules(parts: &mut PolicyParts, at: usize) -> &mut Vec<Rule> {
    let group = &mut parts.groups[at % 4];
    if (at / 4).is_multiple_of(2) { &mut group.ingress } else { &mut group.egress }
}

fn each(parts: &mut PolicyParts, at: usize, change: impl Fn(&mut Rule, usize)) {
    for rule in rules(parts, at) {
        change(rule, at);
    }
}

/// A fake kernel that keeps the images it is given.
#[derive(Clone, Default)]
pub(super) struct Keeper {
    pub(super) images: Arc<Mutex<BTreeMap<u16, Image>>>,
    pub(super) moods: Arc<Mutex<Moods>>,
}

/// The state of such a kernel.
#[derive(Default)]
pub(super) struct Moods {
    /// The number of patched images.
    pub(super) patched: usize,
    /// Whether patches are refused.
    pub(super) unpatchable: bool,
    /// Whether publishing fails.
    pub(super) failing: bool,
}

impl Enforcer for Keeper {
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        if self.moods.lock().unwrap().failing {
            return images.iter().map(|_| Err("refused by the test".into())).collect();
        }
        let mut kept = self.images.lock().unwrap();
        kept.extend(images.iter().map(|&(slot, image)| (slot, image.clone())));
        images.iter().map(|_| Ok(())).collect()
    }
    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError> {
        let mut moods = self.moods.lock().unwrap();
        if moods.unpatchable {
            return Ok(false);
        }
        moods.patched += 1;
        let mut kept = self.images.lock().unwrap();
        let image = kept.get_mut(&slot).unwrap();
        let mut patchable = Patchable::new(image.clone());
        patchable.apply(patch);
        *image = patchable.image().clone();
        Ok(true)
    }
    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError> {
        self.images.lock().unwrap().remove(&slot);
        Ok(())
    }
}

pub(super) struct Host {
    pub(super) agent: Agent<Keeper>,
    pub(super) kept: Keeper,
    _dir: tempfile::TempDir,
}

impl Host {
    pub(super) fn new(budget_words: usize) -> Self {
        let (dir, kept) = (tempfile::tempdir().unwrap(), Keeper::default());
        let loaded = kept.clone();
        let load = Box::new(move |_: &Catalog| Ok(loaded.clone()));
        let limits = sg_kernel::Limits { nics: 16, counters: 4096, ..LIMITS };
        let catalog = Catalog::new(limits, Attachment::Auto);
        let agent = Agent::new(load, catalog, dir.path().join("catalog.json"), budget_words);
        Self { agent, kept, _dir: dir }
    }

    /// Puts `parts` in force, compares every image with a freshly compiled one, and returns how many were published and how many
    /// compiled.
    fn apply(&mut self, parts: &PolicyParts, after: &str) -> (usize, usize) {
        let policy = Policy::new(parts.clone()).unwrap();
        self.agent.prepare(policy.clone(), &devices(parts)).unwrap();
        let compiled = self.agent.next.as_ref().unwrap().prepared.compiled.len();
        let report = self.agent.enforce().unwrap();
        assert!(report.errors.is_empty());
        let kept = self.kept.images.lock().unwrap();
        assert_eq!(kept.len(), parts.nics.len());
        for nic in policy.nics() {
            let record = self.agent.records.iter().find(|record| record.nic.device == nic.device).unwrap();
            let record = &record.nic;
            let options = ImageOptions {
                generation: record.generation,
                counters: nic_block(record.slot),
                budget_words: BUDGET,
            };
            let numbers = &self.agent.catalog.numbers;
            let anew = compile(&policy, nic, &options, &mut |decider| numbers.counter(record.slot, decider))
                .unwrap();
            assert!(kept[&record.slot] == anew, "after {after}: {} has another image", nic.device);
        }
        (report.published, compiled)
    }
}

/// A device for each NIC.
pub(super) fn devices(parts: &PolicyParts) -> Devices {
    let found = |index| Found { index, link_type: libc::ARPHRD_ETHER, ..Found::default() };
    (2..).zip(&parts.nics).map(|(index, nic)| (nic.device.clone(), found(index))).collect()
}

/// Skips changes that make no valid policy.
fn change(parts: &PolicyParts, which: usize, at: usize) -> Option<PolicyParts> {
    let mut changed = parts.clone();
    CHANGES[which].1(&mut changed, at);
    Policy::new(changed.clone()).is_ok().then_some(changed)
}

#[test]
fn every_change_reaches_the_nics_that_it_concerns() {
    for (which, (what, _)) in CHANGES.iter().enumerate() {
        for at in 0..12 {
            let mut host = Host::new(BUDGET);
            host.apply(&everything(), "nothing");
            if let Some(changed) = change(&everything(), which, at) {
                host.apply(&changed, what);
                host.apply(&everything(), what);
            }
        }
    }
}

#[test]
fn a_change_costs_what_it_touches() {
    let mut host = Host::new(BUDGET);
    assert_eq!(host.apply(&everything(), "nothing"), (4, 4));
    assert_eq!(host.apply(&everything(), "nothing"), (0, 0));
    let mut parts = everything();
    let rule = Rule { id: "new".to_owned(), ..parts.groups[0].egress[0].clone() };
    parts.groups[2].egress.push(rule);
    assert_eq!(host.apply(&parts, "a rule of the group of one NIC"), (1, 1));
    parts.members.entry(GroupIndex(1)).or_default().push("10.1.0.99".parse().unwrap());
    assert_eq!(host.apply(&parts, "a member of a group that another NIC's rule names"), (1, 1));
    parts.groups[0].ingress[4].description = Some("tunnels".to_owned());
    parts.groups[0].name.push('x');
    // A group with another name: its rules count anew.
    assert_eq!(host.apply(&parts, "a name"), (1, 1));
    parts.nics.reverse();
    assert_eq!(host.apply(&parts, "the order of the NICs"), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn a_chain_of_changes_ends_where_the_last_policy_alone_does(
        chain in proptest::collection::vec((0..CHANGES.len(), 0..24_usize), 1..12),
    ) {
        let (mut host, mut parts) = (Host::new(BUDGET), everything());
        host.apply(&parts, "nothing");
        for (which, at) in chain {
            if let Some(changed) = change(&parts, which, at) {
                parts = changed;
                host.apply(&parts, CHANGES[which].0);
            }
        }
    }
}
