//! Lint of valid rules: rules that never decide a packet, and rules that are open to everybody.
//!
//! A rule is covered by another if the other matches every packet that it matches. A rule that an earlier one covers never
//! decides: it is redundant if both accept or neither does, and shadowed otherwise. Lint changes nothing. The native API calls
//! it.

use std::{borrow::Cow, collections::BTreeMap, slice, thread};

use ipnet::IpNet;
use sg_api_types::{Finding, FindingKind, Severity};
use sg_common::packet::protocol::is_extension_header;
use sg_host::parallel::parallel_map;
use sg_model::PortRange;
use sg_records::{Action, Direction, GroupId, NicType, Order, Ports, PrefixList, Protocol, Remote, Rule};

use super::{Refusal, State};

/// The rules to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All groups, each by itself.
    All,
    /// One group by itself.
    Group(String),
    /// All groups of a NIC together, in its order.
    Nic(String),
}

/// Ports of administration and data services, which should not be open to everybody.
const SENSITIVE: [(u16, &str); 12] = [
    (22, "SSH"),
    (23, "Telnet"),
    (135, "RPC"),
    (445, "SMB"),
    (1433, "SQL Server"),
    (2375, "Docker"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5432, "PostgreSQL"),
    (6379, "Redis"),
    (9200, "Elasticsearch"),
    (27017, "MongoDB"),
];

/// Checks rules and returns the findings.
///
/// # Errors
/// If the scope names an object that does not exist.
pub fn lint(state: &State, scope: &Scope) -> Result<Vec<Finding>, Refusal> {
    let mut findings = Vec::new();
    match scope {
        Scope::All => {
            let groups: Vec<&GroupId> = state.groups().keys().collect();
            let threads = thread::available_parallelism().map_or(1, usize::from);
            let found = parallel_map(groups.len(), threads, |jobs| {
                let of = |job: usize| {
                    let mut found = Vec::new();
                    of_groups(state, &groups[job..=job], Order::Merged, None, &mut found);
                    (job, found)
                };
                jobs.map(of).collect()
            });
            findings = found.concat();
        }
        Scope::Group(group) => {
            of_groups(state, &[&state.find_group(group)?.id], Order::Merged, None, &mut findings);
        }
        Scope::Nic(nic) => {
            let nic = state.find_target(nic)?;
            let order =
                nic.vpc.as_ref().and_then(|vpc| state.vpc(vpc)).map(|vpc| vpc.order).unwrap_or_default();
            let groups: Vec<&GroupId> = nic.groups.iter().collect();
            let network = nic.vpc.is_none().then_some(nic.nic_type);
            of_groups(state, &groups, order, network, &mut findings);
        }
    }
    findings.sort_by(|a, b| {
        (a.severity, a.kind, &a.group, &a.rule).cmp(&(b.severity, b.kind, &b.group, &b.rule))
    });
    Ok(findings)
}

fn of_groups(
    state: &State,
    groups: &[&GroupId],
    order: Order,
    network: Option<NicType>,
    findings: &mut Vec<Finding>,
) {
    for direction in Direction::ALL {
        let mut rules: Vec<(usize, &Rule)> = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            let all = state.rules_of(group).map(AsRef::as_ref);
            let all = all.filter(|rule: &&Rule| rule.direction == direction && rule.spec.enabled);
            let all = all.filter(|rule| network.is_none_or(|network| rule.spec.nic_type == network));
            rules.extend(all.map(|rule| (place, rule)));
        }
        // The order in which rules are evaluated; see the model's precedence.
        rules.sort_by_key(|&(place, rule)| {
            let before = if order == Order::Sequence { place } else { 0 };
            (before, rule.spec.priority, rule.spec.action, place, rule.serial)
        });
        // Two rules can match the same packet only if they have the same protocol, or one has all.
        let mut seen: BTreeMap<Option<Protocol>, Vec<Reach<'_>>> = BTreeMap::new();
        for (_, rule) in rules {
            let reach = Reach::of(state, rule);
            let key = |protocol| (protocol != Protocol::All).then_some(protocol);
            let own = key(rule.spec.protocol);
            let candidates = seen.get(&None).into_iter().chain(own.and_then(|_| seen.get(&own))).flatten();
            if let Some(first) = candidates.into_iter().find(|first| first.covers(&reach)) {
                findings.push(never_asked(rule, first.rule));
            }
            findings.extend(over_open(rule, &reach));
            findings.extend(extension_header(rule));
            seen.entry(own).or_default().push(reach);
        }
    }
}

fn never_asked(rule: &Rule, first: &Rule) -> Finding {
    let accepts = |rule: &Rule| rule.spec.action == Action::Accept;
    let (severity, kind, what) = match (accepts(rule), accepts(first)) {
        (true, true) | (false, false) if rule.spec.action == first.spec.action => {
            (Severity::Low, FindingKind::Redundant, "does the same")
        }
        // One drops, the other rejects.
        (true, true) | (false, false) => {
            (Severity::Low, FindingKind::Redundant, "lets nothing through either")
        }
        (false, true) => (Severity::High, FindingKind::Shadowed, "does the opposite"),
        (true, false) => (Severity::Medium, FindingKind::Shadowed, "does the opposite"),
    };
    let message = format!("rule {} is asked first, matches all that this one matches, and {what}", first.id);
    let (rule, group) = (rule.id.clone(), rule.group.clone());
    Finding { severity, kind, rule, group, by: Some(first.id.clone()), message }
}

fn over_open(rule: &Rule, reach: &Reach<'_>) -> Option<Finding> {
    let everybody = reach.remote.as_ref().is_none_or(|nets| nets.iter().any(|net| net.prefix_len() == 0));
    if rule.direction != Direction::Ingress || rule.spec.action != Action::Accept || !everybody {
        return None;
    }
    let every_port = reach
        .ports
        .as_ref()
        .is_none_or(|all| all.iter().any(|range| range.first() <= 1 && range.last() == u16::MAX));
    let has_ports = matches!(rule.spec.protocol, Protocol::All | Protocol::Number(6 | 17 | 33 | 132 | 136));
    let names: Vec<&str> = match &reach.ports {
        Some(ranges) if has_ports => SENSITIVE
            .into_iter()
            .filter(|(port, _)| ranges.iter().any(|range| range.contains(*port)))
            .map(|(_, name)| name)
            .collect(),
        _ => Vec::new(),
    };
    let message = if has_ports && every_port {
        "everybody may connect to every port".to_owned()
    } else if !names.is_empty() {
        format!("everybody may connect to {}", names.join(", "))
    } else {
        return None;
    };
    let (rule, group) = (rule.id.clone(), rule.group.clone());
    Some(Finding { severity: Severity::High, kind: FindingKind::OverOpen, rule, group, by: None, message })
}

fn extension_header(rule: &Rule) -> Option<Finding> {
    let Protocol::Number(number) = rule.spec.protocol else { return None };
    is_extension_header(number).then(|| Finding {
        severity: Severity::Medium,
        kind: FindingKind::ExtensionHeader,
        rule: rule.id.clone(),
        group: rule.group.clone(),
        by: None,
        message: format!(
            "protocol {number} is an extension header of IPv6: this rule matches IPv4 packets only, those of IPv6 have the \
             protocol that stands behind it"
        ),
    })
}

/// The packets that a rule matches, with lists expanded.
struct Reach<'a> {
    rule: &'a Rule,
    /// `None`: any remote. Groups are not expanded; see `group`.
    remote: Option<Cow<'a, [IpNet]>>,
    group: Option<&'a GroupId>,
    ports: Option<Cow<'a, [PortRange]>>,
    source_ports: Option<Cow<'a, [PortRange]>>,
}

impl<'a> Reach<'a> {
    fn of(state: &State, rule: &'a Rule) -> Self {
        let ports = |ports: &'a Ports| match ports {
            Ports::Any => None,
            Ports::Ranges(set) => Some(Cow::Borrowed(set.ranges())),
            Ports::List(list) => Some(Cow::Owned(state.port_list(list).map_or_else(Vec::new, |list| {
                list.entries.iter().flat_map(|entry| entry.ports.ranges()).copied().collect()
            }))),
        };
        let (mut remote, mut group) = (Some(Cow::default()), None);
        match &rule.spec.remote {
            Remote::Any => remote = None,
            Remote::Net(net) => remote = Some(Cow::Borrowed(slice::from_ref(net))),
            Remote::Group(named) => group = Some(named),
            Remote::PrefixList(list) => {
                let entries = |list: &PrefixList| list.entries.iter().map(|entry| entry.cidr).collect();
                remote = state.prefix_list(list).map(|list| Cow::Owned(entries(list)));
            }
        }
        let (to, from) = (ports(&rule.spec.ports), ports(&rule.spec.source_ports));
        Self { rule, remote, group, ports: to, source_ports: from }
    }

    /// Whether `self` contains every packet of `other`.
    fn covers(&self, other: &Self) -> bool {
        let (one, two) = (&self.rule.spec, &other.rule.spec);
        let icmp = match (one.icmp_type, one.icmp_code) {
            (None, _) => true,
            (kind, None) => kind == two.icmp_type,
            both => both == (two.icmp_type, two.icmp_code),
        };
        let local = match (one.local, two.local) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(two)) => contains(one, two),
        };
        let remote = || match (&self.remote, &other.remote) {
            (None, _) => true,
            (Some(_), _) if self.group.is_some() => self.group == other.group,
            (Some(_), None) => false,
            (Some(_), Some(_)) if other.group.is_some() => false,
            (Some(ones), Some(twos)) => twos.iter().all(|two| ones.iter().any(|one| contains(*one, *two))),
        };
        (one.protocol == Protocol::All || one.protocol == two.protocol)
            && one.nic_type == two.nic_type
            && icmp
            && local
            && remote()
            && spans(self.ports.as_deref(), other.ports.as_deref())
            && spans(self.source_ports.as_deref(), other.source_ports.as_deref())
    }
}

fn contains(outer: IpNet, inner: IpNet) -> bool {
    // By bits: this runs for every pair of rules.
    match (outer, inner) {
        (IpNet::V4(outer), IpNet::V4(inner)) => {
            let differ = outer.addr().to_bits() ^ inner.addr().to_bits();
            outer.prefix_len() <= inner.prefix_len()
                && differ.checked_shr(32 - u32::from(outer.prefix_len())).unwrap_or(0) == 0
        }
        (IpNet::V6(outer), IpNet::V6(inner)) => {
            let differ = outer.addr().to_bits() ^ inner.addr().to_bits();
            outer.prefix_len() <= inner.prefix_len()
                && differ.checked_shr(128 - u32::from(outer.prefix_len())).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Whether `outer` contains every port of `inner`; adjacent ranges are joined.
fn spans(outer: Option<&[PortRange]>, inner: Option<&[PortRange]>) -> bool {
    let (outer, inner) = match (outer, inner) {
        (None, _) => return true,
        (Some(_), None) => return false,
        (Some(outer), Some(inner)) => (outer, inner),
    };
    let mut sorted: Vec<(u32, u32)> =
        outer.iter().map(|range| (u32::from(range.first()), u32::from(range.last()))).collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in sorted {
        match joined.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = (*end).max(last),
            _ => joined.push((first, last)),
        }
    }
    inner.iter().all(|range| {
        joined
            .iter()
            .any(|(first, last)| *first <= u32::from(range.first()) && u32::from(range.last()) <= *last)
    })
}
