//! Random sequences of packets: connections with all that happens to them, datagrams, pings, and errors.
//!
//! They are recordings: what is sent does not depend on what arrived, so both filters meet the same.

use std::net::IpAddr;

use fastrand::Rng;
use sg_common::flow::Direction;

use crate::differential::{
    packet::{ACK, Body, FIN, Packet, RST, SYN, Segment},
    policy::PORTS,
    rig::{LOCAL, Step},
};

/// What one end of a connection sent.
#[derive(Clone, Copy)]
struct Side {
    next: u32,
}

/// Two ends that exchange packets.
struct TestFlow {
    /// The way of its first packet.
    first: Direction,
    remote: IpAddr,
    local: IpAddr,
    /// Of the end that begins, and of the other one; for an echo, the identifier twice.
    ports: [u16; 2],
    kind: Kind,
    /// By the end that sends.
    sides: [Side; 2],
    sent: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Echo,
    Query,
}

/// `count` packets between the local end and `remotes`.
pub(crate) fn random(random: &mut Rng, remotes: &[IpAddr], count: usize) -> Vec<Step> {
    let mut flows: Vec<TestFlow> = Vec::new();
    let mut steps = Vec::with_capacity(count);
    while steps.len() < count {
        let which = random.usize(..flows.len() + 2);
        if which >= flows.len() {
            flows.push(TestFlow::new(random, remotes, flows.len() as u16));
        }
        let which = which.min(flows.len() - 1);
        let flow = &mut flows[which];
        for mut step in flow.go_on(random) {
            if random.u8(..50) == 0 {
                step.packet.spoiled = true;
            }
            flow.sent.push(step.clone());
            steps.push(step);
        }
    }
    steps.truncate(count);
    steps
}

impl TestFlow {
    fn new(random: &mut Rng, remotes: &[IpAddr], number: u16) -> Self {
        let remote = remotes[random.usize(..remotes.len())];
        let kind = match random.u8(..10) {
            0..=5 => Kind::Tcp,
            6..=7 => Kind::Udp,
            8 => Kind::Echo,
            _ => Kind::Query,
        };
        let first = if random.u8(..3) > 0 { Direction::Ingress } else { Direction::Egress };
        let port = 20_000 + number;
        let service = PORTS[random.usize(..PORTS.len())].wrapping_add(random.u16(..3)).wrapping_sub(1);
        let ports = if matches!(kind, Kind::Tcp | Kind::Udp) { [port, service] } else { [port, port] };
        Self {
            first,
            remote,
            local: LOCAL[usize::from(remote.is_ipv6())],
            ports,
            kind,
            sides: [Side { next: 1_000 }, Side { next: 900_000 }],
            sent: Vec::new(),
        }
    }

    /// A packet from the end that began (`from_responder` is false) or from the other one.
    fn step(&self, from_responder: bool, body: impl FnOnce([u16; 2]) -> Body) -> Step {
        let direction = if from_responder { self.first.reversed() } else { self.first };
        let (from, to) = match direction {
            Direction::Ingress => (self.remote, self.local),
            Direction::Egress => (self.local, self.remote),
        };
        let [one, other] = self.ports;
        let body = body(if from_responder { [other, one] } else { [one, other] });
        Step { direction, packet: Packet::new(from, to, body) }
    }

    fn segment(&mut self, from_responder: bool, flags: u8, payload: u16) -> Step {
        let [own, other] = [from_responder, !from_responder]
            .map(|from_responder| self.sides[usize::from(from_responder)].next);
        let acknowledged = if flags & ACK == 0 { 0 } else { other };
        let long = u32::from(payload) + u32::from(flags & (SYN | FIN) != 0);
        self.sides[usize::from(from_responder)].next = own.wrapping_add(long);
        self.raw(from_responder, [own, acknowledged], flags, payload)
    }

    fn raw(&self, from_responder: bool, numbers: [u32; 2], flags: u8, payload: u16) -> Step {
        self.step(from_responder, |ports| Body::Tcp(Segment { ports, numbers, flags, payload }))
    }

    /// The next packet, or the next few.
    fn go_on(&mut self, random: &mut Rng) -> Vec<Step> {
        if !self.sent.is_empty() && random.u8(..8) == 0 {
            return vec![self.error(random)];
        }
        let from_responder = random.bool() && !self.sent.is_empty();
        match self.kind {
            Kind::Tcp => self.tcp(random, from_responder),
            Kind::Udp => vec![self.step(from_responder, |ports| Body::Udp { ports })],
            Kind::Echo | Kind::Query => vec![self.question(random, from_responder)],
        }
    }

    fn question(&self, random: &mut Rng, from_responder: bool) -> Step {
        let [question, reply] = match (self.kind, self.remote.is_ipv4()) {
            // A timestamp and its reply (RFC 792); IPv6 has none.
            (Kind::Query, true) => [13, 14],
            // A node information query and its reply (RFC 4620).
            (Kind::Query, false) => [139, 140],
            (_, true) => [8, 0],
            (_, false) => [128, 129],
        };
        // Now and then a reply comes from the end that asks.
        let kind = if from_responder == (random.u8(..6) > 0) { reply } else { question };
        self.step(from_responder, |ports| Body::Icmp { kind, code: 0, identifier: ports[0] })
    }

    fn tcp(&mut self, random: &mut Rng, from_responder: bool) -> Vec<Step> {
        if self.sent.is_empty() {
            return match random.u8(..10) {
                0..=5 => vec![
                    self.segment(false, SYN, 0),
                    self.segment(true, SYN | ACK, 0),
                    self.segment(false, ACK, 0),
                ],
                6 => vec![self.segment(false, SYN, 0)],
                // A flow that began before anybody looked; and backscatter.
                7..=8 => vec![self.segment(false, ACK, 20)],
                _ => {
                    let flags = [RST, RST | ACK, FIN | ACK, SYN | ACK];
                    vec![self.segment(false, flags[random.usize(..4)], 0)]
                }
            };
        }
        let [own, other] = [from_responder, !from_responder]
            .map(|from_responder| self.sides[usize::from(from_responder)].next);
        let far = own.wrapping_add(random.u32(..) | 1 << 24);
        vec![match random.u8(..14) {
            0..=6 => self.segment(from_responder, ACK, random.u16(..100)),
            7 => self.segment(from_responder, FIN | ACK, 0),
            8 => self.raw(from_responder, [own, other], RST | ACK, 0),
            9 => self.raw(from_responder, [own, 0], RST, 0),
            // Forged.
            10 => self.raw(from_responder, [far, other], [RST, ACK, FIN | ACK][random.usize(..3)], 0),
            // The same question again, or another with the same ports.
            11 => self.raw(from_responder, [if from_responder { 900_000 } else { 1_000 }, 0], SYN, 0),
            12 => {
                self.sides = [Side { next: random.u32(..) }, Side { next: random.u32(..) }];
                return vec![
                    self.segment(from_responder, SYN, 0),
                    self.segment(!from_responder, SYN | ACK, 0),
                    self.segment(from_responder, ACK, 0),
                ];
            }
            _ => self.segment(from_responder, SYN | ACK, 0),
        }]
    }

    /// An error about a packet of this flow, or about one that there never was.
    fn error(&self, random: &mut Rng) -> Step {
        let about = &self.sent[random.usize(..self.sent.len())];
        let kinds: &[(u8, u8)] = if self.remote.is_ipv4() {
            // Unreachable, needs fragments, source quench, redirect, exceeded, problem.
            &[(3, 1), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)]
        } else {
            &[(1, 4), (2, 0), (3, 0), (4, 1), (100, 0)]
        };
        let (kind, code) = kinds[random.usize(..kinds.len())];
        let mut packet = about.packet.clone();
        packet.spoiled = false;
        let mut to = packet.from;
        match random.u8(..8) {
            // For somebody else.
            0 => {
                to = if self.remote.is_ipv4() {
                    [10, 254, 0, 9].into()
                } else {
                    [0xfd04, 0, 0, 0, 0, 0, 0, 9].into()
                }
            }
            // About a packet that nobody sent.
            1 => match &mut packet.body {
                Body::Tcp(segment) => segment.ports[0] ^= 0x4000,
                Body::Udp { ports } => ports[0] ^= 0x4000,
                Body::Icmp { identifier, .. } => *identifier ^= 0x4000,
                Body::Error { .. } | Body::Other(_) => {}
            },
            _ => {}
        }
        // Any router may say so.
        let router: IpAddr =
            if self.remote.is_ipv4() { [10, 253, 0, 1].into() } else { [0xfd05, 0, 0, 0, 0, 0, 0, 1].into() };
        let from = if random.bool() { about.packet.to } else { router };
        let body = Body::Error { kind, code, about: Box::new(packet) };
        Step { direction: about.direction.reversed(), packet: Packet::new(from, to, body) }
    }
}
