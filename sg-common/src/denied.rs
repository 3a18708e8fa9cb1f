//! What was dropped or rejected, aggregated: how a packet is named, how far the name is folded while there are too many, and the
//! entry that counts. Verdicts never depend on it, and no count is lost: an entry is read once more after nobody can write it.
//!
//! ```text
//! packet ─► DeniedKey ─► DENIED_V4 | DENIED_V6 ─► index ─► DENIED[index]: DeniedEntry      read by the agent through mmap
//!           new: FREE ring of indexes; too many new ones: remote folded to its prefix, then everything to the decision
//! ```
//!
//! It must never read a clock or a map. The datapath calls it, and readers of the entries.

use crate::{
    flow::{Direction, PortsProtoNic},
    packet::{Address, Family, Packet},
    verdict::Decision,
};

/// New names of one NIC that may be counted each second; beyond that they are folded. Twice as many at once after a pause.
pub const NEW_PER_SECOND: u64 = 2_000;

/// The prefix lengths to which remote addresses are folded: of IPv4, and of IPv6.
pub const FOLDED_TO: [u8; 2] = [24, 48];

/// How much of a packet's name an entry has left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fold {
    /// Nothing.
    Exact = 0,
    /// All of the remote address but its prefix, see [`FOLDED_TO`].
    Prefix = 1,
    /// Everything but the NIC, the direction and the decision.
    Others = 2,
}

impl Fold {
    /// Decodes the number of a fold.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number {
            0 => Self::Exact,
            1 => Self::Prefix,
            _ => Self::Others,
        }
    }
}

/// The decision on a packet, its direction, and what is known of it, in one word: the [`Decision`], whose bits 42 to 62 are zero,
/// and in bits 42 to 46 the direction, the fold (two bits), whether the packet was parsed, and whether it belongs to no NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Origin(u64);

impl Origin {
    const DIRECTION: u32 = 42;
    const FOLD: u32 = 43;
    const PARSED: u64 = 1 << 45;
    const NO_NIC: u64 = 1 << 46;
    const MARKS: u64 = 0x1f << Self::DIRECTION;

    /// The decision on a packet of a NIC that goes in `direction`.
    #[inline(always)]
    #[must_use]
    pub const fn new(decision: Decision, direction: Direction, is_parsed: bool) -> Self {
        let parsed = if is_parsed { Self::PARSED } else { 0 };
        Self(decision.word() | (direction as u64) << Self::DIRECTION | parsed)
    }

    /// The decision on a packet of no NIC, whose direction is unknown.
    #[inline(always)]
    #[must_use]
    pub const fn of_host(decision: Decision) -> Self {
        Self(decision.word() | Self::NO_NIC)
    }

    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self(word)
    }

    /// The decision; `None` if the word is none.
    #[inline(always)]
    #[must_use]
    pub const fn decision(self) -> Option<Decision> {
        Decision::from_word(self.0 & !Self::MARKS)
    }

    /// The direction of the packet.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of(self.0 >> Self::DIRECTION & 1)
    }

    /// What is left out.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> Fold {
        Fold::of(self.0 >> Self::FOLD & 3)
    }

    /// Whether the packet was parsed; if not, it has no addresses.
    #[inline(always)]
    #[must_use]
    pub const fn is_parsed(self) -> bool {
        self.0 & Self::PARSED != 0
    }

    /// Whether the packet belongs to no NIC: the local address is then the index of its device.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_host(self) -> bool {
        self.0 & Self::NO_NIC != 0
    }

    #[inline(always)]
    const fn folded(self, fold: Fold) -> Self {
        Self(self.0 & !(3 << Self::FOLD) | (fold as u64) << Self::FOLD)
    }
}

/// The name of packets that are counted together. 48 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DeniedKey {
    /// The remote address, upper half, see [`Address`].
    pub remote_high: u64,
    /// The remote address, lower half.
    pub remote_low: u64,
    /// The local address, upper half.
    pub local_high: u64,
    /// The local address, lower half.
    pub local_low: u64,
    /// NIC, protocol and family; instead of the local port the one that the packet was sent to, or the ICMP type and code. The
    /// remote port is zero.
    pub l4: PortsProtoNic,
    /// Why.
    pub origin: Origin,
}

/// A [`DeniedKey`] of IPv4: the kernel hashes 24 bytes in half the time of 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DeniedKeyV4 {
    /// The remote address in the upper half, the local one in the lower. One word: the kernel compares keys in words, right after
    /// they were written, and a load of what was stored in parts waits.
    pub ends: u64,
    /// As in [`DeniedKey::l4`].
    pub l4: PortsProtoNic,
    /// Why.
    pub origin: Origin,
}

impl DeniedKeyV4 {
    /// The narrow form of a key; meaningless unless its family is IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn of(key: &DeniedKey) -> Self {
        Self { ends: key.remote_high << 32 | key.local_high & 0xffff_ffff, l4: key.l4, origin: key.origin }
    }
}

impl DeniedKey {
    /// Fills in the name of a packet of NIC `slot`.
    #[inline(always)]
    pub fn name(&mut self, slot: u16, origin: Origin, packet: &Packet) {
        self.origin = origin;
        if !origin.is_parsed() {
            self.clear();
            self.l4 = PortsProtoNic::new((0, 0), slot, 0, Family::V4);
            return;
        }
        self.l4 = PortsProtoNic::new((0, port_of(packet)), slot, packet.protocol, packet.family);
        match origin.direction() {
            Direction::Ingress => self.write(&packet.source, &packet.destination),
            Direction::Egress => self.write(&packet.destination, &packet.source),
        }
    }

    /// Names the packets that the device with this index received for no NIC.
    #[inline(always)]
    pub const fn name_device(&mut self, device: u32, origin: Origin) {
        self.clear();
        self.local_high = device as u64;
        self.l4 = PortsProtoNic::new((0, 0), 0, 0, Family::V4);
        self.origin = origin;
    }

    #[inline(always)]
    const fn clear(&mut self) {
        (self.remote_high, self.remote_low, self.local_high, self.local_low) = (0, 0, 0, 0);
    }

    #[inline(always)]
    fn write(&mut self, remote: &Address, local: &Address) {
        self.remote_high = remote.high;
        self.remote_low = remote.low;
        self.local_high = local.high;
        self.local_low = local.low;
    }

    /// The place of a name's hint among this many.
    #[inline(always)]
    #[must_use]
    pub const fn place(&self, places: u32) -> u32 {
        // Multiplication carries every bit upwards. Whoever finds two names with one place makes their packets cost more, no more.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let ends = (self.remote_high ^ self.remote_low.rotate_left(32)).wrapping_mul(ODD)
            ^ self.local_high
            ^ self.local_low.rotate_left(32);
        let all =
            (ends.wrapping_mul(ODD) ^ self.l4.word() ^ self.origin.word().rotate_left(24)).wrapping_mul(ODD);
        (((all >> 32) * places as u64) >> 32) as u32
    }

    /// Leaves out what `fold` says. A name is folded further only.
    #[inline(always)]
    pub const fn fold(&mut self, fold: Fold) {
        self.origin = self.origin.folded(fold);
        match fold {
            Fold::Exact => {}
            Fold::Prefix => {
                self.remote_low = 0;
                match self.l4.family() {
                    Family::V4 => self.remote_high &= 0xffff_ff00,
                    Family::V6 => self.remote_high &= 0xffff_ffff_ffff_0000,
                }
            }
            Fold::Others => {
                self.clear();
                self.l4 = PortsProtoNic::new((0, 0), self.l4.nic(), 0, Family::V4);
            }
        }
    }
}

/// The port that a packet was sent to, or its ICMP type and code.
#[inline(always)]
const fn port_of(packet: &Packet) -> u16 {
    if packet.is_later_fragment() { 0 } else { packet.l4_selector }
}

/// What is counted of packets with one name. 128 bytes, no padding, integers only.
///
/// The program adds to the counts atomically and never takes away; the reader notes in the entry itself what it has reported, so
/// that a reader that continues after another ended reports nothing twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DeniedEntry {
    /// Zero if the entry is free. Written last by the program, first by the reader.
    pub used: u64,
    /// The name.
    pub key: DeniedKey,
    /// Packets and bytes that are not in [`Self::packets`] and [`Self::bytes`] yet, see [`Recent`]: one atomic addition for a packet
    /// costs half as much as two.
    pub recent: Recent,
    /// Packets.
    pub packets: u64,
    /// Bytes, including Ethernet headers.
    pub bytes: u64,
    /// Time of the first packet, in jiffies.
    pub first: u64,
    /// Time of the last packet, in jiffies.
    pub last: u64,
    /// Of the last packet: the generation of the policy in the upper half, its source port in the lower one.
    pub latest: u64,
    /// The reader's: packets that were reported.
    pub reported_packets: u64,
    /// The reader's: bytes that were reported.
    pub reported_bytes: u64,
    /// The reader's: not zero from before the name is removed until the entry is free. A program that starts then does not find the
    /// entry.
    pub unnamed: u64,
}

/// Packets and bytes in one word: bytes in the lower 44 bits, packets above them. Whoever finds it [`is_full`](Self::is_full) moves
/// it to words of their own; no bit is lost before that, as long as no packet has more than 2^24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Recent(u64);

impl Recent {
    const PACKETS: u32 = 44;
    const FULL: u64 = 1 << 62;

    /// One packet of `length` bytes.
    #[inline(always)]
    #[must_use]
    pub const fn one(length: u64) -> Self {
        Self(1 << Self::PACKETS | length)
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self(word)
    }

    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Packets.
    #[inline(always)]
    #[must_use]
    pub const fn packets(self) -> u64 {
        self.0 >> Self::PACKETS
    }

    /// Bytes.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 & ((1 << Self::PACKETS) - 1)
    }

    /// Whether it holds 2^18 packets or more, of the 2^20 that it can.
    #[inline(always)]
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.0 >= Self::FULL
    }
}

impl DeniedEntry {
    /// The generation and the source port of a packet, for [`Self::latest`].
    #[inline(always)]
    #[must_use]
    pub const fn latest_of(generation: u32, source_port: u16) -> u64 {
        (generation as u64) << 32 | source_port as u64
    }
}

/// What the program and the reader know of the entries of one NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DeniedNic {
    /// Rate limit of new names that are exact, and of those folded to a prefix, see [`Pace`].
    pub due: [u64; 2],
    /// Entries of this NIC. Counted up by the program and down by the reader, atomically.
    pub entries: u64,
    /// Zero.
    pub spare: u64,
}

/// Where the ring of free entries begins and ends. Both only grow: the place of a number is its remainder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DeniedRing {
    /// The next free entry. The program draws from here, atomically.
    pub head: u64,
    /// Behind the last one. Written by the reader.
    pub tail: u64,
}

/// The rate of new names.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time in jiffies.
    pub now: u64,
    /// Jiffies per second.
    pub hertz: u32,
}

impl Pace {
    /// Parts of a jiffy.
    const FINE: u32 = 16;

    /// The time when the next new name is due, in parts of a jiffy, if one more may be counted after `due`. Two CPUs that ask at
    /// once may both get yes: one more name is no harm.
    #[inline(always)]
    #[must_use]
    pub const fn spend(self, due: u64) -> Option<u64> {
        let (now, second) = (self.now << Self::FINE, (self.hertz as u64) << Self::FINE);
        let lead = due.wrapping_sub(now).cast_signed();
        let lead = if lead > 0 { lead.cast_unsigned() } else { 0 };
        if lead > 2 * second { None } else { Some(now.wrapping_add(lead + second / NEW_PER_SECOND)) }
    }
}

/// Whether one more entry may be taken for a name folded like this. `free` entries of `all` are left, the NIC has `own`.
///
/// A NIC has at most half of the entries for names of packets, and an eighth of all stays for the names of decisions alone, of
/// which a policy has few.
#[inline(always)]
#[must_use]
pub const fn has_room(fold: Fold, free: u64, own: u64, all: u64) -> bool {
    match fold {
        Fold::Exact => free > all / 4 && own < all / 2,
        Fold::Prefix => free > all / 8 && own < all / 8 * 5,
        Fold::Others => free > 0,
    }
}

const _: () = assert!(
    size_of::<DeniedKey>() == 48
        && size_of::<DeniedKeyV4>() == 24
        && size_of::<DeniedEntry>() == 128
        && size_of::<DeniedNic>() == 32
        && size_of::<DeniedRing>() == 16
);

#[cfg(test)]
mod tests;
