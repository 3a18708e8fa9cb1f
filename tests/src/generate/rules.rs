//! Random rules: everything a rule can say, with ties and overlaps.

use std::net::IpAddr;

use fastrand::Rng;
use ipnet::IpNet;
use sg_common::packet::protocol;
use sg_model::{
    Action, Bounded, Family, GroupIndex, HeaderNumbers, Indices, Match, PortListIndex, PortRange, Ports,
    PrefixListIndex, Priority, Protocol, Remote, Rule,
};

use super::{
    address::{self, width},
    pick,
    world::World,
};

/// Few, so that packets have them: the default, the bounds, one whose lowest bits are zero, and EF.
pub(super) const DSCPS: [u8; 5] = [0, 1, 8, 46, 63];

/// Ports that somebody once got wrong.
const EDGES: [u16; 10] = [0, 1, 22, 53, 80, 443, 1023, 1024, 40_000, 65_535];

pub(super) fn rule(random: &mut Rng, world: &World, id: String) -> Rule {
    let (protocol, ports, source_ports, message) = service(random, world);
    let only = Match::<Indices>::of(protocol).conditions().service.family();
    let family = only.unwrap_or_else(|| pick::family(random));
    let mut numbers = message.map_or(HeaderNumbers::NONE, |(kind, code)| HeaderNumbers::icmp(kind, code));
    if random.u8(..6) == 0 {
        numbers.dscp = Bounded::new(pick::of(random, DSCPS));
    }
    Rule {
        id,
        enabled: random.u8(..10) > 0,
        action: pick::of(random, [Action::Accept, Action::Accept, Action::Drop, Action::Reject]),
        priority: priority(random),
        matches: Match {
            protocol,
            ports,
            source_ports,
            numbers,
            family: (random.u8(..6) == 0).then(|| family.into()),
            remote: remote(random, world, family),
            local: (random.u8(..6) == 0).then(|| prefix_around(world.local(random, family), random)),
        },
        description: None,
    }
}

/// Few different ones, so that ties are common.
fn priority(random: &mut Rng) -> Priority {
    let number = pick::of(random, [1, 1, 1, 2, 2, 3, 50, 99, 100]);
    Priority::new(number).unwrap_or(Priority::FIRST)
}

/// Protocol, destination ports, source ports, ICMP type and code.
fn service(random: &mut Rng, world: &World) -> (Protocol, Ports, Ports, Option<(u8, Option<u8>)>) {
    match random.u8(..12) {
        0..2 => (Protocol::All, Ports::Any, Ports::Any, None),
        2..8 => {
            let protocol = pick::of(random, [protocol::TCP, protocol::TCP, protocol::UDP, protocol::SCTP]);
            (Protocol::Number(protocol), ports(random, world, 8), ports(random, world, 2), None)
        }
        8..11 => {
            let protocol = pick::of(random, [protocol::ICMP, protocol::ICMPV6]);
            let message = random.bool().then(|| message(random));
            (Protocol::Number(protocol), Ports::Any, Ports::Any, message)
        }
        _ => (Protocol::Number(random.u8(..)), Ports::Any, Ports::Any, None),
    }
}

/// None in `10 - said` of ten.
fn ports(random: &mut Rng, world: &World, said: u8) -> Ports {
    if random.u8(..10) >= said {
        Ports::Any
    } else if world.port_lists > 0 && random.u8(..4) == 0 {
        Ports::List(PortListIndex(random.usize(..world.port_lists)))
    } else {
        Ports::Ranges((0..random.usize(1..4)).map(|_| port_range(random)).collect())
    }
}

/// A single port, a few, or up to all of them.
pub(super) fn port_range(random: &mut Rng) -> PortRange {
    let first = port(random);
    let last = match random.u8(..4) {
        0 => first,
        1 => first.saturating_add(random.u16(..16)),
        2 => random.u16(first..),
        _ => port(random),
    };
    let whole = || PortRange::new(0, u16::MAX);
    PortRange::new(first.min(last), first.max(last)).or_else(whole).unwrap_or_else(|| port_range(random))
}

pub(super) fn port(random: &mut Rng) -> u16 {
    if random.bool() { pick::of(random, EDGES) } else { random.u16(..) }
}

/// Echo, unreachable and anything, in either family's numbers.
fn message(random: &mut Rng) -> (u8, Option<u8>) {
    let kind = if random.bool() { pick::of(random, [0, 3, 8, 128, 129, 255]) } else { random.u8(..) };
    let code = random.bool().then(|| pick::of(random, [0, 1, 4, 255]));
    (kind, code)
}

fn remote(random: &mut Rng, world: &World, family: Family) -> Remote {
    match random.u8(..10) {
        0..2 => Remote::Any,
        2..7 => Remote::Net(prefix_around(world.remote(random, family), random)),
        7..9 => Remote::Group(GroupIndex(random.usize(..world.groups))),
        _ if world.prefix_lists > 0 => {
            Remote::PrefixList(PrefixListIndex(random.usize(..world.prefix_lists)))
        }
        _ => Remote::Any,
    }
}

/// A prefix of any length that holds `base`.
pub(super) fn prefix_around(base: IpAddr, random: &mut Rng) -> IpNet {
    address::prefix(base, random.u32(..=width(address::family_of(base))))
}
