//! A TCP connection as its two ends send it, packet for packet, and what its entry says of each.

#![allow(dead_code, reason = "each test binary needs some of it")]

use sg_common::{
    flow::{Direction, FlowEntry, Found, State, flags},
    packet::Packet,
    verdict::{Decision, Reason, Verdict},
};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

pub(crate) const ACCEPT: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);
pub(crate) const DROP: Decision = Decision::new(Verdict::Drop, Reason::Default, 3);

/// The two ends of a connection, each with the number that its next byte has.
pub(crate) struct TwoEnds {
    pub(crate) next: [u32; 2],
    pub(crate) entry: Option<FlowEntry>,
}

/// Packets that the end that opened sends.
pub(crate) const ORIGINAL: usize = 0;
pub(crate) const REPLY: usize = 1;

impl TwoEnds {
    pub(crate) fn new() -> Self {
        Self { next: [u32::MAX - 1, 5_000], entry: None }
    }

    /// A packet as its end would send it.
    pub(crate) fn packet(&self, protocol: u8, side: usize, tcp_flags: u8, data: usize) -> Packet {
        let acknowledgement = if tcp_flags & ACK == 0 { 0 } else { self.next[side ^ 1] };
        let (sequence, header) = (self.next[side], 20);
        let packet = Packet { protocol, tcp_flags, sequence, acknowledgement, header, ..Packet::EMPTY };
        Packet { transport: 34, end: 34 + 20 + data, ..packet }
    }

    pub(crate) fn see(&mut self, side: usize, packet: &Packet) {
        let way = if side == ORIGINAL { Direction::Egress } else { Direction::Ingress };
        match &mut self.entry {
            Some(entry) => entry.observe(packet, way, 60, 1),
            None => self.entry = Some(FlowEntry::open(packet, way, ACCEPT, 1, 60, 0)),
        }
    }

    pub(crate) fn send(&mut self, protocol: u8, side: usize, tcp_flags: u8, data: usize) {
        let packet = self.packet(protocol, side, tcp_flags, data);
        self.see(side, &packet);
        self.next[side] = packet.sequence_end();
    }

    /// How far it has come, and how it ends; not how it began.
    pub(crate) fn state(&self) -> (u8, u8) {
        self.entry.map(|entry| (entry.state(), entry.flags() & !flags::SYN)).unwrap()
    }

    /// A connection over which both ends have sent data.
    pub(crate) fn established() -> Self {
        Self::established_from(Self::new().next)
    }

    /// The same with these first numbers.
    pub(crate) fn established_from(next: [u32; 2]) -> Self {
        let mut connection = Self { next, entry: None };
        for (side, tcp_flags, data) in [
            (ORIGINAL, SYN, 0),
            (REPLY, SYN | ACK, 0),
            (ORIGINAL, ACK, 700),
            (REPLY, ACK, 1400),
            (ORIGINAL, ACK, 0),
        ] {
            connection.send(6, side, tcp_flags, data);
        }
        assert_eq!(connection.state(), (State::Established as u8, 0));
        connection
    }
}

/// What the entry says under `generation` of the policy.
pub(crate) fn find(entry: &mut FlowEntry, side: usize, packet: &Packet, generation: u32, now: u64) -> Found {
    recorded(entry, side, packet, (false, generation), now)
}

pub(crate) fn recorded(
    entry: &mut FlowEntry,
    side: usize,
    packet: &Packet,
    (judged, generation): (bool, u32),
    now: u64,
) -> Found {
    match entry.find(packet, way(side), (false, judged), (generation, true), now) {
        Found::Passes(decision) => {
            entry.observe(packet, way(side), 60, now);
            Found::Decided(decision)
        }
        found => found,
    }
}

pub(crate) fn way(side: usize) -> Direction {
    if side == ORIGINAL { Direction::Egress } else { Direction::Ingress }
}
