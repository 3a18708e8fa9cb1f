//! Lint of valid rules: rules that never decide a packet, and rules that are open to everybody.
//!
//! A rule is covered by another if the other matches every packet that it matches. A rule that an earlier one covers never
//! decides: it is redundant if both accept or neither does, and shadowed otherwise. Lint changes nothing. The native API calls
//! it.

use std::{borrow::Cow, collections::BTreeMap, thread};

use ipnet::IpNet;
use sg_api_types::{Finding, FindingKind, Severity};
use sg_common::packet::{has_ports, protocol::is_extension_header};
use sg_host::parallel::parallel_map;
use sg_model::{Lists, PortRange, Reach, join_port_ranges};
use sg_records::{Action, Direction, GroupId, Ids, NicType, Order, PortListId, PrefixListId, Protocol, Rule};

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
        let lists = StoredLists(state);
        let mut seen: BTreeMap<Option<u8>, Vec<(&Rule, Reach<'_, Ids>)>> = BTreeMap::new();
        for (_, rule) in rules {
            let reach = Reach::of(&lists, &rule.spec.matches);
            let own = reach.protocol();
            let candidates = seen.get(&None).into_iter().chain(own.and_then(|_| seen.get(&own))).flatten();
            let mut same_nics = candidates.filter(|(first, _)| first.spec.nic_type == rule.spec.nic_type);
            if let Some((first, _)) = same_nics.find(|(_, first)| first.covers(&reach)) {
                findings.push(never_asked(rule, first));
            }
            findings.extend(over_open(rule, &reach));
            findings.extend(extension_header(rule));
            seen.entry(own).or_default().push((rule, reach));
        }
    }
}

/// The entries of the lists of a state.
struct StoredLists<'a>(&'a State);

impl Lists<Ids> for StoredLists<'_> {
    fn prefixes(&self, list: &PrefixListId) -> Cow<'_, [IpNet]> {
        let entries = self.0.prefix_list(list).into_iter().flat_map(|list| &list.entries);
        entries.map(|entry| entry.cidr).collect()
    }

    fn joined_ports(&self, list: &PortListId) -> Cow<'_, [PortRange]> {
        let entries = self.0.port_list(list).into_iter().flat_map(|list| &list.entries);
        let ranges: Vec<PortRange> = entries.flat_map(|entry| entry.ports.ranges()).copied().collect();
        join_port_ranges(&ranges).into()
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

fn over_open(rule: &Rule, reach: &Reach<'_, Ids>) -> Option<Finding> {
    let accepts = rule.spec.action == Action::Accept;
    if rule.direction != Direction::Ingress || !accepts || !reach.is_from_everybody() {
        return None;
    }
    let every_port = reach
        .ports()
        .is_none_or(|all| all.iter().any(|range| range.first() <= 1 && range.last() == u16::MAX));
    let has_ports = reach.protocol().is_none_or(has_ports);
    let names: Vec<&str> = match reach.ports() {
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
    let Protocol::Number(number) = rule.spec.matches.protocol else { return None };
    is_extension_header(number).then(|| Finding {
        severity: Severity::Medium,
        kind: FindingKind::ExtensionHeader,
        rule: rule.id.clone(),
        group: rule.group.clone(),
        by: None,
        message: format!(
            "protocol {number} is an extension header of IPv6: this matches IPv4 packets only, those of IPv6 have the \
             protocol that stands behind it"
        ),
    })
}
