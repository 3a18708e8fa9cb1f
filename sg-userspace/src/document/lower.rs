//! The tree → a policy.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    address,
    error::Notice,
    names::{Directory, Looks, named},
    node::{Node, Value},
    ports,
    problem::Problem,
    read::{Failure, Fields, Read},
    rule,
};
use crate::model::{
    Direction, Established, Group, GroupIndex, GroupType, InvalidPolicy, InvalidReason, MidStream, Nic,
    Place, Policy, PolicyParts, PortListIndex, PortRange, Precedence, PrefixListIndex, Rule, Takeover,
    Unmatched, identifies,
};

const KEYS: &[&str] = &[
    "precedence",
    "established",
    "mid_stream",
    "takeover",
    "default",
    "prefix_lists",
    "port_lists",
    "members",
    "groups",
    "nics",
];

const GROUP_KEYS: &[&str] = &["type", "inner_access", "description", "ingress", "egress"];

const PRECEDENCES: &[(&str, Precedence)] =
    &[("sequence", Precedence::Sequence), ("merged", Precedence::Merged)];

const ESTABLISHED: &[(&str, Established)] =
    &[("revalidate", Established::Revalidate), ("keep", Established::Keep)];

const DEFAULTS: &[(&str, Unmatched)] = &[("drop", Unmatched::Drop), ("reject", Unmatched::Reject)];
const MID_STREAM: &[(&str, MidStream)] = &[("loose", MidStream::Loose), ("strict", MidStream::Strict)];

const GROUP_TYPES: &[(&str, GroupType)] =
    &[("basic", GroupType::Basic), ("enterprise", GroupType::Enterprise)];

const INNER_ACCESS: &[(&str, bool)] = &[("accept", true), ("drop", false)];

const PREFIX: &str = "write an address or CIDR, such as 203.0.113.0/24 or \"2001:db8::/32\"";

/// Further warnings of a document are counted, not kept.
const MAX_WARNINGS: usize = 1000;

/// The policy of a document, and what may not be meant.
pub(super) struct Lowered<'d> {
    pub(super) policy: Policy,
    pub(super) warnings: Vec<(&'d Node, Notice)>,
}

/// Converts the tree of a document.
pub(super) fn lower(root: &Node) -> Read<'_, Lowered<'_>> {
    let fields = root.fields(KEYS)?;
    let entries = |key, what| fields.read(key, |node| named(what, node)).map(Option::unwrap_or_default);
    let prefix_lists = entries("prefix_lists", "a prefix list")?;
    let port_lists = entries("port_lists", "a port list")?;
    let groups = entries("groups", "a group")?;
    let mut lowering = Lowering {
        prefix_lists: Directory::new("prefix list", PrefixListIndex, &prefix_lists),
        port_lists: Directory::new("port list", PortListIndex, &port_lists),
        groups: Directory::new("group", GroupIndex, &groups),
        precedence: fields.read("precedence", |node| node.one_of(PRECEDENCES))?.unwrap_or_default(),
        established: fields.read("established", |node| node.one_of(ESTABLISHED))?.unwrap_or_default(),
        mid_stream: fields.read("mid_stream", |node| node.one_of(MID_STREAM))?.unwrap_or_default(),
        takeover: fields.read("takeover", takeover)?.unwrap_or_default(),
        default: fields.read("default", |node| node.one_of(DEFAULTS))?.unwrap_or_default(),
        warnings: Vec::new(),
        not_kept: 0,
    };
    let parts = PolicyParts {
        prefix_lists: each(prefix_lists, |name, list| Ok((name.to_owned(), lowering.prefixes(list)?)))?,
        port_lists: each(port_lists, |name, list| Ok((name.to_owned(), port_ranges(list)?)))?,
        members: fields.read("members", |node| lowering.members(node))?.unwrap_or_default(),
        groups: each(groups, |name, group| lowering.group(name, group))?,
        nics: fields.read("nics", |node| lowering.nics(node))?.unwrap_or_default(),
    };
    let policy = Policy::new(parts).map_err(|invalid| blame(root, invalid))?;
    if lowering.not_kept > 0 {
        lowering.warnings.push((root, Notice::More { count: lowering.not_kept }));
    }
    Ok(Lowered { policy, warnings: lowering.warnings })
}

/// `takeover`: a number of seconds, or a word.
fn takeover(node: &Node) -> Read<'_, Takeover> {
    let read = match &node.value {
        Value::Integer(seconds) => u32::try_from(*seconds).ok().map(Takeover::Seconds),
        // A number in quotes is a text, here as elsewhere.
        Value::Text(text) => text.parse().ok().filter(|read| matches!(read, Takeover::Named(_))),
        _ => None,
    };
    read.ok_or_else(|| node.unfit(Takeover::ALLOWED))
}

fn each<'d, T>(
    entries: Vec<(&'d str, &'d Node)>,
    mut read: impl FnMut(&'d str, &'d Node) -> Read<'d, T>,
) -> Read<'d, Vec<T>> {
    entries.into_iter().map(|(name, node)| read(name, node)).collect()
}

/// The conversion of one document: what its names refer to, and the warnings.
pub(super) struct Lowering<'d> {
    pub(super) prefix_lists: Directory<'d, PrefixListIndex>,
    pub(super) port_lists: Directory<'d, PortListIndex>,
    pub(super) groups: Directory<'d, GroupIndex>,
    /// Applies to every NIC: a document has one setting for all.
    pub(super) precedence: Precedence,
    /// Applies to every NIC, too.
    pub(super) established: Established,
    /// Applies to every NIC, too.
    pub(super) mid_stream: MidStream,
    /// Applies to every NIC, too.
    pub(super) takeover: Takeover,
    pub(super) default: Unmatched,
    warnings: Vec<(&'d Node, Notice)>,
    not_kept: usize,
}

impl<'d> Lowering<'d> {
    pub(super) fn warn(&mut self, node: &'d Node, notice: Notice) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push((node, notice));
        } else {
            self.not_kept += 1;
        }
    }

    /// An address or a prefix, normalised. `allowed` describes the valid values.
    pub(super) fn prefix(&mut self, node: &'d Node, allowed: &'static str) -> Read<'d, IpNet> {
        let written = address::prefix(node, allowed)?;
        let read = written.trunc();
        if written != read {
            self.warn(node, Notice::HostBits { written: node.excerpt(), read });
        }
        Ok(read)
    }

    fn prefixes(&mut self, list: &'d Node) -> Read<'d, Vec<IpNet>> {
        let prefixes = list.items("write a list of addresses and CIDRs, [203.0.113.0/24]")?;
        prefixes.map(|prefix| self.prefix(prefix, PREFIX)).collect()
    }

    fn members(&mut self, node: &'d Node) -> Read<'d, BTreeMap<GroupIndex, Vec<IpAddr>>> {
        let groups = node.entries("write a mapping, GROUP: [ADDRESS]")?;
        groups
            .map(|(group, members)| {
                let members = members.items("write a list of addresses, [10.0.0.5]")?;
                Ok((
                    self.groups.find(group)?,
                    members.map(|member| self.member(member)).collect::<Read<'_, _>>()?,
                ))
            })
            .collect()
    }

    fn member(&mut self, node: &'d Node) -> Read<'d, IpAddr> {
        let address = address::address(node)?;
        if !identifies(address) {
            self.warn(node, Notice::LinkLocalMember { address });
        }
        Ok(address)
    }

    fn group(&mut self, name: &str, node: &'d Node) -> Read<'d, Group> {
        let fields = node.fields(GROUP_KEYS)?;
        let kind = fields.read("type", |node| node.one_of(GROUP_TYPES))?.unwrap_or(GroupType::Basic);
        let inner_access = fields.read("inner_access", |node| node.one_of(INNER_ACCESS))?;
        Ok(Group {
            name: name.to_owned(),
            kind,
            inner_access: inner_access.unwrap_or(kind == GroupType::Basic),
            description: fields.read("description", rule::description)?.flatten(),
            ingress: self.rules(fields, name, Direction::Ingress)?,
            egress: self.rules(fields, name, Direction::Egress)?,
        })
    }

    fn rules(&mut self, fields: Fields<'d>, group: &str, direction: Direction) -> Read<'d, Vec<Rule>> {
        let Some(rules) = fields.get(key_of(direction)) else { return Ok(Vec::new()) };
        let nodes = rules.items("write a list of rules, - { protocol: tcp, ports: 22 }")?;
        let rules = nodes
            .clone()
            .enumerate()
            .map(|(position, rule)| self.rule(rule, || format!("{group}/{}/{position}", key_of(direction))));
        let rules: Vec<Rule> = rules.collect::<Read<'_, _>>()?;
        let mut looks = Looks::default();
        for (rule, node) in rules.iter().zip(nodes) {
            looks.enter("a rule", &rule.id, node.get("id").unwrap_or(node))?;
        }
        Ok(rules)
    }

    fn nics(&mut self, node: &'d Node) -> Read<'d, Vec<Nic>> {
        let nics = node.items("write a list of NICs, - { device: eth0, groups: [NAME] }")?;
        nics.map(|nic| self.nic(nic)).collect()
    }
}

fn port_ranges(list: &Node) -> Read<'_, Vec<PortRange>> {
    let mut ranges = Vec::new();
    for item in list.items("write a list of ports and ranges, [80, 8080-8090]")? {
        ranges.append(&mut ports::ranges(item, ports::IN_A_LIST)?);
    }
    Ok(ranges)
}

/// The key of a group that holds the rules of a direction.
fn key_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// Maps an error of the model to the node that caused it.
fn blame(root: &Node, invalid: InvalidPolicy) -> Failure<'_> {
    let InvalidPolicy { place, reason } = invalid;
    let node = node_of(root, &place).unwrap_or(root);
    let culprit = match &reason {
        InvalidReason::EnterpriseInnerAccess => node.get("inner_access"),
        InvalidReason::DuplicateRule { .. } => node.get("id"),
        InvalidReason::MixedFamilies { second, .. } => node.get(second),
        InvalidReason::GuestIpsec | InvalidReason::XdpIpsec => node.get("ipsec"),
        InvalidReason::Ethertypes(_) => node.get("ethertypes"),
        InvalidReason::GuestXdp => node.get("hook"),
        InvalidReason::GroupCount { .. } => node.get("groups"),
        InvalidReason::Duplicate { .. } => node.get("device"),
        InvalidReason::Dangling { .. }
        | InvalidReason::GroupTwice { .. }
        | InvalidReason::MixedTypes { .. } => None,
    };
    culprit.unwrap_or(node).fails(Problem::Invalid(reason))
}

fn node_of<'d>(root: &'d Node, place: &Place) -> Option<&'d Node> {
    let group = |GroupIndex(position): GroupIndex| root.get("groups")?.value_at(position);
    let nic = |position| root.get("nics")?.item(position);
    match *place {
        Place::Group(index) => group(index),
        Place::Rule(rule) => group(rule.group)?.get(key_of(rule.direction))?.item(rule.position),
        Place::Nic(position) => nic(position),
        Place::NicGroup(position, item) => nic(position)?.get("groups")?.item(item),
    }
}
