//! Mutations of an engine: bugs that somebody could make. A comparison that does not find them would not
//! find a real one either.

use std::cmp::Reverse;

use ipnet::IpNet;
use sg_check::EngineKind;
use sg_common::packet::protocol;
use sg_model::{
    Group, Match, PolicyParts, PortRange, Ports, Precedence, Priority, Protocol, Remote, Role, Rule,
};

use super::engines::{self, Opponent, Size};
use crate::support::runs::AskedOf;

pub(crate) const ASKED: &[AskedOf] = &[("mutations_are_caught", &EngineKind::ALL, are_caught)];

/// What is wrong, and how to make it wrong.
type Bug = (&'static str, fn(&mut PolicyParts));

const BUGS: &[Bug] = &[
    ("the last port of a range is left out", |parts| each_range(parts, last_port_left_out)),
    ("the first port of a range is left out", |parts| each_range(parts, first_port_left_out)),
    ("prefixes are one bit too short", |parts| each_prefix(parts, one_bit_shorter)),
    ("prefixes are one bit too long", |parts| each_prefix(parts, one_bit_longer)),
    ("drop does not stand before accept", |parts| rank(parts, |rule, place| (rule.priority, place))),
    ("the last rule of a tie is asked first", |parts| {
        rank(parts, |rule, place| (rule.priority, rule.action, Reverse(place)));
    }),
    ("groups are merged where they stand in sequence, and the other way round", |parts| {
        for nic in &mut parts.nics {
            nic.precedence = match nic.precedence {
                Precedence::Sequence => Precedence::Merged,
                Precedence::Merged => Precedence::Sequence,
            };
        }
    }),
    ("disabled rules are asked", |parts| each_rule(parts, |rule| rule.enabled = true)),
    ("the source port is not asked", |parts| {
        each_rule(parts, |rule| {
            rule.matches.source_ports = Ports::Any;
        });
    }),
    ("the local end is not asked", |parts| each_rule(parts, |rule| rule.matches.local = None)),
    ("icmp and icmpv6 are mistaken for one another", |parts| {
        each_rule(parts, |rule| {
            let Match { protocol, remote, local: None, .. } = &mut rule.matches else { return };
            if let (Protocol::Number(number), false) = (protocol, matches!(remote, Remote::Net(_))) {
                *number = match *number {
                    protocol::ICMP => protocol::ICMPV6,
                    protocol::ICMPV6 => protocol::ICMP,
                    other => other,
                };
            }
        });
    }),
    ("the ICMP code is not asked", |parts| {
        each_rule(parts, |rule| {
            rule.matches.numbers.icmp_code = None;
        });
    }),
    ("the DSCP is not asked", |parts| each_rule(parts, |rule| rule.matches.numbers.dscp = None)),
    ("the family is not asked", |parts| each_rule(parts, |rule| rule.matches.family = None)),
    ("a remote group is everyone", |parts| {
        each_rule(parts, |rule| {
            if matches!(rule.matches.remote, Remote::Group(_)) {
                rule.matches.remote = Remote::Any;
            }
        });
    }),
    ("members elsewhere are forgotten", |parts| parts.members.clear()),
    ("inner access is forgotten", |parts| {
        parts.groups.iter_mut().for_each(|group| group.inner_access = false);
    }),
    ("the last group of a NIC is forgotten", |parts| {
        for nic in parts.nics.iter_mut().filter(|nic| nic.groups.len() > 1) {
            nic.groups.pop();
        }
    }),
    ("nothing keeps a guest from lying about its address", |parts| {
        for nic in parts.nics.iter_mut().filter(|nic| nic.role == Role::Guest) {
            nic.anti_spoofing_written = Some(false);
        }
    }),
];

/// Whether a comparison finds every one of them in `engine`.
fn are_caught(engine: EngineKind) {
    for &(bug, spoil) in BUGS {
        let size = Size { policies: 300, probes: 100 };
        let Err(disagreement) = engines::run(Opponent { engine, spoil }, size) else {
            panic!("nobody noticed that {bug}");
        };
        // An engine that says nothing is another bug than the mutation.
        assert!(disagreement.found.is_ok(), "{bug}: {disagreement}");
    }
}

fn each_rule(parts: &mut PolicyParts, change: impl Fn(&mut Rule)) {
    for group in &mut parts.groups {
        group.ingress.iter_mut().chain(&mut group.egress).for_each(&change);
    }
}

fn each_range(parts: &mut PolicyParts, change: fn(PortRange) -> PortRange) {
    let all = |ranges: &mut [PortRange]| ranges.iter_mut().for_each(|range| *range = change(*range));
    parts.port_lists.iter_mut().for_each(|(_, ranges)| all(ranges));
    each_rule(parts, |rule| {
        if let Ports::Ranges(ranges) = &mut rule.matches.ports {
            all(ranges);
        }
    });
}

fn last_port_left_out(range: PortRange) -> PortRange {
    range.last().checked_sub(1).and_then(|last| PortRange::new(range.first(), last)).unwrap_or(range)
}

fn first_port_left_out(range: PortRange) -> PortRange {
    range.first().checked_add(1).and_then(|first| PortRange::new(first, range.last())).unwrap_or(range)
}

fn each_prefix(parts: &mut PolicyParts, change: fn(IpNet) -> IpNet) {
    each_rule(parts, |rule| {
        if let Remote::Net(prefix) = &mut rule.matches.remote {
            *prefix = change(*prefix);
        }
    });
}

fn one_bit_shorter(prefix: IpNet) -> IpNet {
    prefix.supernet().unwrap_or(prefix)
}

fn one_bit_longer(prefix: IpNet) -> IpNet {
    IpNet::new(prefix.addr(), prefix.prefix_len() + 1).unwrap_or(prefix)
}

/// Gives the rules of each group priorities of their own, in the order of `key`. Only for sequences: merged
/// groups would have to be ranked together.
fn rank<K: Ord>(parts: &mut PolicyParts, key: impl Fn(&Rule, usize) -> K) {
    let rank = |rules: &mut Vec<Rule>| {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|&place| key(&rules[place], place));
        for (position, place) in order.into_iter().enumerate() {
            let number = u8::try_from(position + 1).ok().and_then(Priority::new);
            rules[place].priority = number.expect("generated groups have fewer than 100 rules a direction");
        }
    };
    if parts.nics.iter().all(|nic| nic.precedence == Precedence::Sequence) {
        for Group { ingress, egress, .. } in &mut parts.groups {
            rank(ingress);
            rank(egress);
        }
    }
}
