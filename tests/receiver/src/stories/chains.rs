//! IPv6 extension headers: many, and chains that go on behind the packet's end. IPv4 has none: there the same is done
//! with the packet's length.

use super::lengths;
use crate::{
    frames::{Datagram, Extension, Family, Packet, number},
    story::{Lie, Teller},
};

pub(super) fn headers(teller: &mut Teller) {
    if teller.family() == Family::V4 {
        return lengths::options(teller);
    }
    let made = teller.transport();
    let extensions = teller.extensions(9);
    let mut packet = Datagram::new(teller.ends, &extensions, made.protocol, &made.bytes).whole();
    packet.hop_limit = teller.hop_limit();
    let trailer = teller.padding();
    teller.send(&packet, &trailer);
}

/// The packet ends within its chain of headers or behind it; what would follow stands in the trailer.
pub(super) fn unfinished(teller: &mut Teller) {
    if teller.family() == Family::V4 {
        return lengths::truncated(teller);
    }
    teller.lie(Lie::BrokenChain);
    teller.lie(Lie::Length);
    let wanted = teller.rng.usize(1..4);
    let extensions: Vec<Extension> = (0..wanted).map(|place| teller.extension(place == 0)).collect();
    let decoy = teller.decoy();
    let datagram = Datagram::new(teller.ends, &extensions, decoy.protocol, &decoy.bytes);
    let mut packet: Packet = datagram.whole();
    packet.hop_limit = teller.hop_limit();
    packet.own = Some(match teller.rng.u8(..4) {
        0 => datagram.chain,
        1 => teller.rng.usize(..=datagram.chain / 8) * 8,
        _ => teller.rng.usize(..=datagram.chain),
    });
    if teller.once_in(8) {
        packet.next = number::NONE;
    }
    teller.send(&packet, &[]);
}
