//! A case: a few frames about one datagram, and the lies that they tell. The same seed and number make the same case.
//!
//! It owns what a case is; what kinds there are stands in [`crate::stories`]. It must never know what a filter makes of
//! it: that is told by those who receive.

use std::net::{IpAddr, Ipv6Addr};

use fastrand::Rng;

use crate::{
    address::{SPOOFED, ends},
    combination::Combination,
    frames::{Ends, Family, Fragment, Link, Packet, Tag, frame, number},
    stories::STORIES,
};

/// The Ethernet address of another host.
const ELSEWHERE: [u8; 6] = [0x02, 0, 0, 0xee, 0xee, 0xee];
/// `ff02::1:ff00:0/104`.
const SOLICITED: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
/// That of a group.
const GROUP: [u8; 6] = [0x03, 0, 0, 0xee, 0xee, 0xee];

/// What happens in a case, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The sender sends a frame. Ethernet addresses of zeros stand for those of the wire.
    Frame(Vec<u8>),
    /// The receiver sends an IP packet, which is true.
    Reply(Vec<u8>),
}

/// A lie, or what else a filter may refuse for a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Fragments in another order than that of their bytes, or not all of them.
    Order,
    /// Fragments with bytes that others have, too.
    Overlap,
    /// A first fragment without all of its headers.
    TinyFirst,
    /// A header of a fragment within a fragment.
    Nested,
    /// An atomic fragment (RFC 6946).
    Atomic,
    /// More extension headers than most.
    ManyHeaders,
    /// An extension header that the packet ends within, or that is not what it says.
    BrokenChain,
    /// A length that is not that of the packet.
    Length,
    /// IP options.
    Options,
    /// VLAN tags.
    Tagged,
    /// An Ethernet address that is not the receiver's.
    Address,
    /// An IP address that is not the receiver's.
    Destination,
    /// A group's Ethernet address as the sender's.
    GroupSource,
    /// A transport header that is truncated, or lies.
    Transport,
    /// Bytes changed at random.
    Noise,
}

/// What the receiver began: replies to it may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The protocol.
    pub protocol: u8,
    /// The ports of the reply: from, to. For an echo, its identifier twice.
    pub ports: [u16; 2],
}

/// What the packets of a case are, as far as no receiver tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sends {
    /// Some say that they are fragments, or have extension headers.
    pub wrapped: bool,
    /// Some have nothing around what they carry.
    pub bare: bool,
    /// Some have bytes behind them only.
    pub trailed: bool,
}

impl Sends {
    fn note(&mut self, packet: &Packet, trailer: &[u8]) {
        let behind = packet.own.is_some_and(|own| own < packet.body.len());
        let extended = [number::HOP_BY_HOP, number::ROUTING, number::DESTINATION_OPTIONS];
        let extended = packet.ends.family() == Family::V6 && extended.contains(&packet.next);
        let kind = if packet.is_fragment || extended {
            &mut self.wrapped
        } else if behind || !trailer.is_empty() {
            &mut self.trailed
        } else {
            &mut self.bare
        };
        *kind = true;
    }
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed and the place in its row, which make it.
    pub origin: (u64, u64),
    /// The number that its source has.
    pub number: u32,
    /// Of which kind it is.
    pub story: &'static str,
    /// The ends of what the sender sends.
    pub ends: Ends,
    /// What happens.
    pub steps: Vec<Step>,
    /// What lies it tells.
    pub lies: Vec<Lie>,
    /// What the receiver began.
    pub opened: Vec<Opened>,
    /// How many VLAN tags its frames have.
    pub tags: usize,
    /// What its packets are.
    pub sends: Sends,
}

impl Case {
    /// The case at `place` in the row of `seed`, from the source with this number.
    #[must_use]
    pub fn tell((seed, place): (u64, u64), number: u32, combination: Combination) -> Self {
        let mut rng = Rng::with_seed(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let family = if rng.bool() { Family::V4 } else { Family::V6 };
        let spoofed = combination.from_guest() && rng.u8(..32) == 0;
        let number = if spoofed { number | SPOOFED } else { number };
        let total: u32 = STORIES.iter().map(|story| story.weight).sum();
        let mut drawn = rng.u32(..total);
        let story = STORIES.iter().find(|story| {
            let here = drawn < story.weight;
            drawn = drawn.wrapping_sub(story.weight);
            here
        });
        let mut teller = Teller::new(rng, ends(family, number), combination);
        let mut name = "";
        if let Some(story) = story {
            name = story.name;
            (story.tell)(&mut teller);
        }
        teller.noise();
        let Teller { ends, steps, mut lies, opened, tags, sends, .. } = teller;
        lies.sort_unstable();
        lies.dedup();
        Self {
            origin: (seed, place),
            number,
            story: name,
            ends,
            steps,
            lies,
            opened,
            tags: tags.len(),
            sends,
        }
    }

    /// How many frames it sends.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Frame(_))).count()
    }
}

/// Who tells a story: draws lots and writes frames.
pub struct Teller {
    /// The lots.
    pub rng: Rng,
    /// The ends of what is sent.
    pub ends: Ends,
    /// Whether a guest sends.
    pub from_guest: bool,
    tags: Vec<Tag>,
    link: Link,
    steps: Vec<Step>,
    lies: Vec<Lie>,
    opened: Vec<Opened>,
    sends: Sends,
}

impl Teller {
    fn new(mut rng: Rng, ends: Ends, combination: Combination) -> Self {
        let mut lies = Vec::new();
        let tag = |control| Tag { kind: 0x8100, control };
        let tags = match rng.u8(..64) {
            0..=2 => vec![tag(0)],
            3 => vec![tag(0), tag(0)],
            4 => vec![Tag { kind: 0x88a8, control: 0 }, tag(0)],
            5 => vec![tag(0xe000)],
            6 => vec![tag(5)],
            7 => vec![tag(0); rng.usize(3..5)],
            _ => Vec::new(),
        };
        if !tags.is_empty() {
            lies.push(Lie::Tagged);
        }
        let to = match rng.u8(..100) {
            0 => [0xff; 6],
            1 => [0x33, 0x33, 0, 0, 0, 1],
            2 => ELSEWHERE,
            _ => [0; 6],
        };
        if to != [0; 6] {
            lies.push(Lie::Address);
        }
        let from = if rng.u8(..100) == 0 { GROUP } else { [0; 6] };
        if from == GROUP {
            lies.push(Lie::GroupSource);
        }
        let from_guest = combination.from_guest();
        Self {
            rng,
            ends,
            from_guest,
            tags,
            link: Link { from, to },
            steps: Vec::new(),
            lies,
            opened: Vec::new(),
            sends: Sends::default(),
        }
    }

    /// The family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.ends.family()
    }

    /// Whether something happens that does once in `times`.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.rng.u32(..times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// Where there is none.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())]
    }

    /// Random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.rng.u8(..)).collect()
    }

    /// Sends what comes to the group of those who may have the receiver's IPv6 address (RFC 4291 2.7.1).
    pub fn to_those_who_may_have_it(&mut self) {
        if let IpAddr::V6(to) = self.ends.to {
            let [.., a, b, c] = to.octets();
            self.ends.to =
                Ipv6Addr::from_bits(SOLICITED | u128::from(u32::from_be_bytes([0, a, b, c]))).into();
            self.link.to = [0x33, 0x33, 0xff, a, b, c];
        }
    }

    /// Sends what comes to another host's Ethernet address: a switch floods such frames.
    pub fn to_another_host(&mut self) {
        self.link.to = ELSEWHERE;
        self.lie(Lie::Address);
    }

    /// Notes a lie.
    pub fn lie(&mut self, lie: Lie) {
        self.lies.push(lie);
    }

    /// Notes what the receiver began, and has it sent.
    pub fn reply(&mut self, opened: Opened, packet: &Packet) {
        self.opened.push(opened);
        self.steps.push(Step::Reply(packet.bytes()));
    }

    /// Sends a packet, with `trailer` behind it.
    pub fn send(&mut self, packet: &Packet, trailer: &[u8]) {
        self.sends.note(packet, trailer);
        self.send_bytes(packet.kind(), &packet.bytes(), trailer);
    }

    /// Sends these bytes as a packet of this `EtherType`. What no wire carries is truncated.
    pub fn send_bytes(&mut self, kind: u16, packet: &[u8], trailer: &[u8]) {
        let mut bytes = frame(self.link, &self.tags, kind, packet, trailer);
        bytes.truncate(1500);
        self.steps.push(Step::Frame(bytes));
    }

    /// Sends fragments as they are, in this order.
    pub fn send_all(&mut self, fragments: &[Fragment]) {
        for fragment in fragments {
            self.send(&fragment.packet(&[]), &[]);
        }
    }

    /// Changes the steps that there are.
    pub fn steps(&mut self) -> &mut Vec<Step> {
        &mut self.steps
    }

    /// Now and then, changes what was written: a byte here or there, a truncated frame, said again or out of turn.
    fn noise(&mut self) {
        if !self.once_in(16) || self.steps.is_empty() {
            return;
        }
        self.lie(Lie::Noise);
        let place = self.rng.usize(..self.steps.len());
        match self.rng.u8(..6) {
            0 => {
                let step = self.steps[place].clone();
                self.lie(Lie::Overlap);
                self.steps.push(step);
            }
            1 => {
                let other = self.rng.usize(..self.steps.len());
                self.lie(Lie::Order);
                self.steps.swap(place, other);
            }
            2 => {
                let end = self.rng.usize(1..24);
                if let Step::Frame(frame) = &mut self.steps[place] {
                    frame.truncate(frame.len().saturating_sub(end).max(14));
                }
            }
            _ => self.change_byte(place),
        }
    }

    /// Changes a byte, but none of the addresses: they tell which case a frame belongs to.
    fn change_byte(&mut self, place: usize) {
        let start = 14 + 4 * self.tags.len();
        let (header, addresses, sum) = match self.family() {
            Family::V4 => (20, 12..20, true),
            Family::V6 => (40, 8..40, false),
        };
        let mends = sum && !self.once_in(8);
        let (mut at, value) = (self.rng.usize(..header + 24), self.rng.u8(..));
        if addresses.contains(&at) {
            at = addresses.end;
        }
        let Step::Frame(frame) = &mut self.steps[place] else { return };
        let Some(byte) = frame.get_mut(start + at) else { return };
        *byte = value;
        if !mends {
            return;
        }
        // A header with a wrong checksum would tell nobody anything.
        let words = usize::from(frame[start] & 0x0f);
        if let Some(header) = frame.get_mut(start..start + (words * 4).max(20)) {
            header[10..12].fill(0);
            let sum = crate::frames::internet(&[header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
}
