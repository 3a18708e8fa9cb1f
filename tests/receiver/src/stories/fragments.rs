//! Fragments: in order and in any other, with lies about where they belong and where they end.

use crate::{
    frames::{Datagram, Extension, Family, Fragment, Packet, number, split},
    story::{Lie, Teller},
};

/// Rising places to split at, multiples of eight.
fn splits(teller: &mut Teller, length: usize) -> Vec<usize> {
    let wanted = teller.rng.usize(1..4);
    let mut splits: Vec<usize> = (0..wanted).map(|_| teller.rng.usize(..=length / 8) * 8).collect();
    splits.sort_unstable();
    splits.dedup();
    splits
}

/// Whether the first fragment lacks some of the headers.
fn note_tiny(teller: &mut Teller, datagram: &Datagram, fragments: &[Fragment]) {
    if fragments.first().is_some_and(|first| first.more && first.bytes.len() < datagram.chain + 20) {
        teller.lie(Lie::TinyFirst);
    }
}

/// A datagram long enough to be split, and its fragments.
fn made(teller: &mut Teller) -> (Datagram, Vec<Fragment>) {
    let length = teller.rng.usize(16..120);
    let data = teller.bytes(length);
    let transport = teller.transport_of(&data);
    let datagram = teller.datagram_of(&transport);
    let (identification, splits) = (teller.identification(), splits(teller, datagram.bytes.len()));
    let fragments = split(&datagram, identification, &splits);
    note_tiny(teller, &datagram, &fragments);
    (datagram, fragments)
}

pub(super) fn honest(teller: &mut Teller) {
    let (_, fragments) = made(teller);
    let before = if teller.once_in(4) { teller.extensions(2) } else { Vec::new() };
    // With the header of the fragment and at most three behind it.
    if before.len() > 1 {
        teller.lie(Lie::ManyHeaders);
    }
    for fragment in &fragments {
        let mut packet = fragment.packet(&before);
        packet.hop_limit = teller.hop_limit();
        let trailer = teller.padding();
        teller.send(&packet, &trailer);
    }
}

pub(super) fn shuffled(teller: &mut Teller) {
    let (_, mut fragments) = made(teller);
    teller.lie(Lie::Order);
    teller.rng.shuffle(&mut fragments);
    if teller.once_in(6) {
        fragments.pop();
    }
    teller.send_all(&fragments);
}

/// Fragments whose bytes lie over each other: another header is written over the first one, say.
pub(super) fn overlapping(teller: &mut Teller) {
    teller.lie(Lie::Overlap);
    let (datagram, mut fragments) = made(teller);
    let place = teller.rng.usize(..fragments.len());
    let mut again = fragments[place].clone();
    match teller.rng.u8(..5) {
        0 => {
            // Another header in the place of the first.
            let decoy = teller.decoy_of(datagram.first);
            let length = again.bytes.len();
            again.bytes = decoy;
            again.bytes.resize(length.max(8), 0);
            again.offset = 0;
            again.more = true;
        }
        1 => again.offset = again.offset.saturating_sub(8),
        2 => again.offset += 8,
        3 => {
            again.bytes.truncate(again.bytes.len().saturating_sub(8) / 8 * 8);
            again.more = true;
        }
        _ => again.more = !again.more,
    }
    let before = teller.rng.usize(..=fragments.len());
    if before < fragments.len() {
        teller.lie(Lie::Order);
    }
    fragments.insert(before, again);
    if teller.once_in(3) {
        teller.rng.shuffle(&mut fragments);
        teller.lie(Lie::Order);
    }
    teller.send_all(&fragments);
}

/// One fragment twice.
pub(super) fn again(teller: &mut Teller) {
    teller.lie(Lie::Overlap);
    let (_, mut fragments) = made(teller);
    let place = teller.rng.usize(..fragments.len());
    let again = fragments[place].clone();
    let to = teller.rng.usize(place..=fragments.len());
    fragments.insert(to, again);
    teller.send_all(&fragments);
}

/// The first fragment ends within the chain of headers, or behind it; a trailer says how it might go on.
pub(super) fn headless(teller: &mut Teller) {
    teller.lie(Lie::TinyFirst);
    let transport = teller.transport();
    let extensions: Vec<Extension> = if teller.family() == Family::V6 {
        (0..teller.rng.usize(1..4)).map(|place| teller.extension(place == 0)).collect()
    } else {
        Vec::new()
    };
    // Where the chain goes on behind the first fragment, what it says may be another thing than the truth.
    let datagram = Datagram::new(teller.ends, &extensions, transport.protocol, &transport.bytes);
    let reach = datagram.chain / 8 + usize::from(teller.once_in(2));
    let at = teller.rng.usize(..=reach.max(1)) * 8;
    let fragments = split(&datagram, teller.identification(), &[at.max(8)]);
    for (place, fragment) in fragments.iter().enumerate() {
        let mut packet = fragment.packet(&[]);
        packet.hop_limit = 255;
        let trailer = if place == 0 { continued(teller, &datagram, fragment) } else { Vec::new() };
        teller.send(&packet, &trailer);
    }
}

/// What a reader that goes on behind the first fragment's end would take for its next headers.
fn continued(teller: &mut Teller, datagram: &Datagram, first: &Fragment) -> Vec<u8> {
    if teller.once_in(4) {
        return Vec::new();
    }
    let decoy = teller.decoy();
    let protocol = if teller.family() == Family::V4 { datagram.first } else { decoy.protocol };
    if first.bytes.len() < datagram.chain {
        // Here an extension header should begin.
        let extension = Extension { number: 0, bytes: vec![protocol, 0, 1, 4, 0, 0, 0, 0] };
        return [extension.bytes, decoy.bytes].concat();
    }
    let whole = if teller.once_in(2) { decoy.bytes } else { teller.decoy_of(datagram.first) };
    whole[(first.bytes.len() - datagram.chain).min(whole.len())..].to_vec()
}

/// Eight bytes of transport header in the first fragment, or sixteen.
pub(super) fn tiny(teller: &mut Teller) {
    teller.lie(Lie::TinyFirst);
    let transport = teller.transport();
    let datagram = Datagram::new(teller.ends, &[], transport.protocol, &transport.bytes);
    let at = teller.pick(&[8, 16]);
    let fragments = split(&datagram, teller.identification(), &[at]);
    for fragment in &fragments {
        let trailer = teller.padding();
        teller.send(&fragment.packet(&[]), &trailer);
    }
}

/// Each fragment has a trailer: who takes it for the fragment's own expects the next one elsewhere.
pub(super) fn trailing(teller: &mut Teller) {
    let (datagram, mut fragments) = made(teller);
    if teller.once_in(2) && fragments.len() > 1 {
        // The second begins where the trailer of the first ends.
        teller.lie(Lie::Order);
        let gap = teller.rng.usize(1..5) * 8;
        for fragment in &mut fragments[1..] {
            fragment.offset += gap;
        }
        for fragment in &fragments.clone() {
            let trailer = teller.bytes(gap);
            teller.send(&fragment.packet(&[]), &trailer);
        }
        // And what was left out comes last.
        let bytes = teller.decoy_of(datagram.first);
        let mut missing = fragments[0].clone();
        missing.offset = fragments[0].bytes.len();
        missing.bytes = bytes;
        missing.bytes.resize(gap, 0);
        missing.more = true;
        teller.send(&missing.packet(&[]), &[]);
        return;
    }
    for fragment in &fragments {
        let trailer = teller.padding();
        teller.send(&fragment.packet(&[]), &trailer);
    }
}

/// A fragment says that it is longer than its frame, and another one fills in or repeats the rest.
pub(super) fn beyond(teller: &mut Teller) {
    teller.lie(Lie::Length);
    let (_, fragments) = made(teller);
    let liar = teller.rng.usize(..fragments.len());
    for (place, fragment) in fragments.iter().enumerate() {
        let mut packet = fragment.packet(&[]);
        if place == liar {
            packet.own = Some(packet.body.len() + teller.rng.usize(1..9) * 8);
        }
        teller.send(&packet, &[]);
        if place == liar && teller.once_in(2) {
            teller.send(&fragment.packet(&[]), &[]);
        }
    }
}

/// A fragment without bytes, or with a number of them that is no multiple of eight though more follow.
pub(super) fn empty(teller: &mut Teller) {
    teller.lie(Lie::Length);
    teller.lie(Lie::TinyFirst);
    let (_, mut fragments) = made(teller);
    let place = teller.rng.usize(..fragments.len());
    let mut odd = fragments[place].clone();
    odd.bytes.truncate(if teller.once_in(2) { 0 } else { teller.rng.usize(..12) });
    if teller.once_in(2) {
        odd.more = teller.rng.bool();
    }
    if teller.once_in(2) {
        fragments[place] = odd;
    } else {
        fragments.insert(place, odd);
    }
    teller.send_all(&fragments);
}

/// A header of a fragment inside the first fragment, or behind another one. IPv4 has no such thing: there the datagram
/// goes beyond the largest length.
pub(super) fn nested(teller: &mut Teller) {
    teller.lie(Lie::Nested);
    teller.lie(Lie::TinyFirst);
    let (datagram, fragments) = made(teller);
    if teller.family() == Family::V4 {
        let mut last = fragments[fragments.len() - 1].clone();
        last.offset = 65_528 - 8 * teller.rng.usize(..3);
        last.more = false;
        teller.send_all(&fragments);
        return teller.send(&last.packet(&[]), &[]);
    }
    let inner = Fragment {
        ends: datagram.ends,
        identification: teller.identification(),
        next: datagram.first,
        offset: if teller.once_in(2) { 0 } else { 8 },
        more: teller.rng.bool(),
        bytes: Vec::new(),
    };
    if teller.once_in(2) {
        // The datagram itself has the header.
        let mut bytes = inner.header().bytes;
        bytes[0] = datagram.first;
        bytes.extend(&datagram.bytes);
        let within =
            Datagram { ends: datagram.ends, first: number::FRAGMENT, bytes, chain: datagram.chain + 8 };
        let at = teller.rng.usize(1..5) * 8;
        let fragments = split(&within, teller.identification(), &[at]);
        teller.send_all(&fragments);
    } else {
        // Each fragment has two.
        for fragment in &fragments {
            teller.send(&fragment.packet(&[inner.header()]), &[]);
        }
    }
}

/// A fragment that is all of its datagram (RFC 6946), perhaps while others of the same number are on their way.
pub(super) fn atomic(teller: &mut Teller) {
    teller.lie(Lie::Atomic);
    let datagram = teller.datagram();
    let identification = teller.identification();
    let mut fragments = split(&datagram, identification, &[]);
    if teller.once_in(3) {
        let other = teller.datagram();
        fragments.extend(split(&other, identification, &[24]));
        teller.lie(Lie::Order);
        teller.lie(Lie::Overlap);
        teller.lie(Lie::TinyFirst);
        teller.rng.shuffle(&mut fragments);
    }
    for fragment in &fragments {
        let mut packet: Packet = fragment.packet(&[]);
        packet.hop_limit = teller.hop_limit();
        let trailer = teller.padding();
        teller.send(&packet, &trailer);
    }
}

/// The fragments of a datagram say different things of what it is.
pub(super) fn two_protocols(teller: &mut Teller) {
    teller.lie(Lie::Order);
    let (_, mut fragments) = made(teller);
    let other = teller.decoy().protocol;
    let place = teller.rng.usize(..fragments.len());
    fragments[place].next = other;
    teller.send_all(&fragments);
}

/// Two datagrams with one number, whose fragments come mixed: one that is accepted, one that may not be.
pub(super) fn two_datagrams(teller: &mut Teller) {
    teller.lie(Lie::Order);
    teller.lie(Lie::Overlap);
    let identification = teller.identification();
    let (one, other) = (teller.decoy(), teller.transport());
    let mut all = Vec::new();
    for mut transport in [one, other] {
        transport.bytes.resize(transport.bytes.len().max(48), 0);
        let datagram = teller.datagram_of(&transport);
        note_tiny(teller, &datagram, &split(&datagram, 0, &[24]));
        all.push(split(&datagram, identification, &[24]));
    }
    let mut mixed = all.concat();
    if teller.once_in(2) {
        teller.rng.shuffle(&mut mixed);
    } else {
        mixed.swap(0, 2);
    }
    teller.send_all(&mixed);
}
