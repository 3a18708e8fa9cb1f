//! The rules that new groups begin with: those of a template, and those of default groups.
//!
//! This file says which rules they are, from what the vendors document; `groups` creates the groups. It must never change a group that
//! is there.

use ipnet::Ipv4Net;
use sg_api_types::GroupTemplate;
use sg_model::{PortRange, Priority};
use sg_records::{Direction, Group, GroupType, Match, OnlyFamily, Ports, Protocol, Remote, RuleSpec};

use super::{Field, Refusal};

const TCP: u8 = 6;
const ICMP: u8 = 1;

/// The rules of a template, for a new group.
pub(super) fn rules_of(
    template: GroupTemplate,
    group: &Group,
) -> Result<Vec<(Direction, RuleSpec)>, Refusal> {
    match (template, group.kind) {
        (GroupTemplate::None, _) => Ok(Vec::new()),
        (GroupTemplate::Standard, GroupType::Closed) => Ok(within(group).collect()),
        (GroupTemplate::Standard, _) if group.vpc.is_none() => {
            let allowed = "none: in the classic network a rule is for the NICs that face one of two networks, so add rules that say it";
            Err(Refusal::invalid(Field::Template, "standard", allowed))
        }
        // What Alibaba Cloud's console adds to a new group.
        (GroupTemplate::Standard, GroupType::Basic) => Ok(common(&[80, 443, 22, 3389]).collect()),
        (GroupTemplate::Standard, GroupType::Enterprise) => {
            let out = (Direction::Egress, last(Match::of(Protocol::All)));
            Ok(common(&[80, 443, 22, 3389]).chain([out]).collect())
        }
    }
}

/// The rules of a default group: SSH, RDP and ping from everywhere; of a closed one those of the template.
pub(super) fn of_default(group: &Group) -> Vec<(Direction, RuleSpec)> {
    match group.kind {
        GroupType::Closed => within(group).collect(),
        GroupType::Basic | GroupType::Enterprise => common(&[22, 3389]).collect(),
    }
}

/// What comes from the group itself, and all that leaves. By family, as Huawei Cloud's rules are of one.
fn within(group: &Group) -> impl Iterator<Item = (Direction, RuleSpec)> {
    let of_both = |direction, remote: Remote| {
        OnlyFamily::ALL.map(|family| {
            let family = Some(family);
            (direction, last(Match { family, remote: remote.clone(), ..Match::of(Protocol::All) }))
        })
    };
    let itself = of_both(Direction::Ingress, Remote::Group(group.id.clone()));
    itself.into_iter().chain(of_both(Direction::Egress, Remote::Any))
}

/// Connections to these ports, and ping, from every IPv4 address.
fn common(ports: &[u16]) -> impl Iterator<Item = (Direction, RuleSpec)> {
    let from_everywhere = |number: u8, ports| {
        let remote = Remote::Net(Ipv4Net::default().into());
        (Direction::Ingress, last(Match { ports, remote, ..Match::of(Protocol::Number(number)) }))
    };
    let ranges = ports.iter().filter_map(|port| PortRange::new(*port, *port));
    let connections = ranges.map(move |range| from_everywhere(TCP, Ports::Ranges(vec![range])));
    connections.chain([from_everywhere(ICMP, Ports::Any)])
}

/// A rule that accepts, behind all others.
fn last(matches: Match) -> RuleSpec {
    let priority = Priority::LAST.get();
    RuleSpec { priority, matches, ..RuleSpec::accept(Protocol::All) }
}
