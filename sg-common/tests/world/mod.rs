//! Two hostile ends of one TCP connection past a filter on the server's NIC, and what must hold once its rule is gone. They send,
//! lie about numbers, wait; the agent ages flows, tables forget. The filter is whoever implements [`Filter`]: the functions of
//! `sg_common` here, the program in the kernel in `tests/tests/conntrack/revocation.rs`. Of its code nothing is used here.

#![allow(unreachable_pub, reason = "this file is part of two programs")]

use std::fmt::Write as _;

const FIN: u8 = 1;
pub const SYN: u8 = 2;
const RST: u8 = 4;
pub const ACK: u8 = 16;

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// What the rules say of the outbound direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// What no rule matches may leave: a basic group.
    Loose,
    /// Nothing may: an enterprise group.
    Tight,
}

/// A segment with so many bytes of data.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub end: usize,
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub data: usize,
}

impl Segment {
    fn sequence_end(&self) -> u32 {
        let marks = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.sequence.wrapping_add(self.data as u32).wrapping_add(marks)
    }
}

/// What stands between them. The rule that lets the client in is there at first.
pub trait Filter {
    /// Whether the segment passes.
    fn passes(&mut self, segment: &Segment) -> bool;
    /// So many seconds go by.
    fn wait(&mut self, seconds: u64);
    /// What the agent does every few seconds.
    fn age(&mut self);
    /// Connections that have ended make room for others.
    fn forget_closed(&mut self);
    /// The rule is taken away.
    fn revoke(&mut self);
    /// What is known of the connection, for the log.
    fn known(&mut self) -> String;
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It carries bytes to the server and passed.
    Reaches,
    /// It carries bytes to the server and was dropped.
    Blocked,
    /// It is none of these.
    Other,
}

/// For how long connections that nobody knows are taken over.
const TAKEOVER: u64 = 910;

pub struct World<F> {
    pub filter: F,
    pub rules: Rules,
    random: u64,
    now: u64,
    rule_stands: bool,
    /// The number of each end's next byte.
    pub next: [u32; 2],
    /// The numbers that replies to SYNs of the server would acknowledge, since the rule is gone.
    asked: Vec<u32>,
    /// The server asked for a connection, and the client replied.
    pub is_another: bool,
    /// Bytes that reached the server while the rule stood.
    pub delivered: usize,
    pub log: String,
}

impl<F: Filter> World<F> {
    pub fn new(seed: u64, filter: impl FnOnce(Rules) -> F) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = [any(&mut random) as u32, any(&mut random) as u32];
        let rules = if any(&mut random).is_multiple_of(3) { Rules::Tight } else { Rules::Loose };
        Self {
            filter: filter(rules),
            rules,
            random,
            now: 0,
            rule_stands: true,
            next,
            asked: Vec::new(),
            is_another: false,
            delivered: 0,
            log: String::new(),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        any(&mut self.random) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// The connection opens under the eyes of the filter or was there before it, lives, and perhaps ends.
    pub fn live(&mut self) {
        if self.one_in(4) {
            // The server, which has something to say, or the client.
            let first = if self.rules == Rules::Loose && self.one_in(2) { SERVER } else { CLIENT };
            self.send(first, ACK, 100, [0, 0]);
        } else {
            self.send(CLIENT, SYN, 0, [0, 0]);
            self.send(SERVER, SYN | ACK, 0, [0, 0]);
            if self.one_in(10) {
                return;
            }
            self.send(CLIENT, ACK, 0, [0, 0]);
        }
        for _ in 0..self.below(12) {
            let (end, data) = (self.below(2) as usize, self.pick(&[0, 0, 1, 100, 1_400]));
            self.send(end, ACK, data, [0, 0]);
            self.wait(&[0, 1, 2, 20]);
        }
        match self.below(6) {
            0 => self.send(CLIENT, RST, 0, [0, 0]),
            1 => self.send(SERVER, RST | ACK, 0, [0, 0]),
            2 => {
                for end in [CLIENT, SERVER] {
                    self.send(end, FIN | ACK, 0, [0, 0]);
                    self.send(end ^ 1, ACK, 0, [0, 0]);
                }
                Sent::Other
            }
            3 => self.send(CLIENT, FIN | ACK, 0, [0, 0]),
            _ => Sent::Other,
        };
        if self.one_in(3) {
            self.wait(&[1, 4, 100, 900, 905]);
            self.age();
        }
    }

    /// The rule goes.
    pub fn revoke(&mut self) {
        self.rule_stands = false;
        self.filter.revoke();
        self.note("the rule is gone");
    }

    /// One step of whoever likes to do something.
    pub fn step(&mut self) -> Sent {
        match self.below(12) {
            0 | 1 => self.wait(&[1, 3, 4, 29, 31, 400, 909, 910, 911, 5_000, 1 << 33]),
            2 => self.age(),
            // What made room for others is of nobody. While connections are taken over, that is what it says.
            3 if self.now > TAKEOVER + 1 && self.one_in(3) => {
                self.filter.forget_closed();
                self.note("what has ended is forgotten");
            }
            _ => {
                let end = self.below(2) as usize;
                let flags = [ACK, ACK, ACK, RST, RST | ACK, FIN | ACK, FIN, SYN | ACK, SYN, 0, 0xff];
                let (flags, data) = (self.pick(&flags), self.pick(&[0, 0, 1, 100, 1_400]));
                let off = [self.off(), self.off()];
                return self.send(end, flags, data, off);
            }
        }
        Sent::Other
    }

    fn wait(&mut self, times: &[u64]) {
        let seconds = self.pick(times);
        self.now += seconds;
        self.filter.wait(seconds);
    }

    fn age(&mut self) {
        self.filter.age();
        self.note("aged");
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.log, "{} {what}: {}", self.now, self.filter.known());
    }

    /// How far a number is off: not at all, mostly.
    fn off(&mut self) -> u32 {
        match self.below(8) {
            0 => any(&mut self.random) as u32,
            1 => self.below(1 << 18) as u32,
            2 => (self.below(3_000) as u32).wrapping_neg(),
            _ => 0,
        }
    }

    /// An end sends a segment, whose numbers are off by so much, past the filter.
    fn send(&mut self, end: usize, flags: u8, data: usize, off: [u32; 2]) -> Sent {
        let sequence = self.next[end].wrapping_add(off[0]);
        let acknowledgement = if flags & ACK == 0 { 0 } else { self.next[end ^ 1].wrapping_add(off[1]) };
        let segment = Segment { end, flags, sequence, acknowledgement, data };
        let passes = self.filter.passes(&segment);
        self.note(&format!("{segment:?} passes: {passes}"));
        if passes && off == [0, 0] {
            self.next[end] = segment.sequence_end();
        }
        if !self.rule_stands {
            self.note_another(&segment, passes);
        }
        match (end == CLIENT && data > 0, passes) {
            (true, true) => {
                self.delivered += if self.rule_stands { data } else { 0 };
                Sent::Reaches
            }
            (true, false) => Sent::Blocked,
            (false, _) => Sent::Other,
        }
    }

    /// The server asks for a connection, and the client replies: the bytes that follow are of that one. Nothing else is.
    fn note_another(&mut self, segment: &Segment, passes: bool) {
        let syn = segment.flags & (SYN | ACK) == SYN;
        if segment.end == SERVER && syn && passes {
            self.asked.push(segment.sequence_end());
        }
        if segment.end == CLIENT && !self.asked.is_empty() {
            let ahead = |asked: &u32| segment.acknowledgement.wrapping_sub(*asked).cast_signed();
            let near = |asked: &u32| ahead(asked).unsigned_abs() <= 1 << 18;
            self.is_another |= syn || segment.flags & ACK != 0 && self.asked.iter().any(near);
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
fn any(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
