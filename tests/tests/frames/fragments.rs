//! Datagrams in fragments, packet by packet through the program in the kernel: the later ones follow the first, in order.

use sg_common::verdict::Reason;
use sg_kernel::Program;

use crate::support::runs::{PASSES, Test, dropped, expect, inbound, judging, judging_nic};

pub(crate) const TESTS: &[Test] = &[
    ("fragments_follow_the_first_in_order", fragments_follow_the_first_in_order),
    ("fragments_of_a_dropped_datagram_are_dropped", fragments_of_a_dropped_datagram_are_dropped),
    ("a_policy_change_ends_a_datagram", a_policy_change_ends_a_datagram),
];

/// 16 bytes of a datagram to port 53, from byte `offset` of its payload on.
fn fragment(identification: u16, offset: u16, more: bool) -> Vec<u8> {
    let mut payload =
        if offset == 0 { vec![0x9c, 0x40, 0, 53, 0, 64, 0, 0] } else { vec![0, 53, 0, 53, 0, 53, 0, 53] };
    payload.extend([0; 8]);
    let mut frame = inbound(17, &payload);
    frame[18..20].copy_from_slice(&identification.to_be_bytes());
    let place = (offset / 8) | if more { 0x2000 } else { 0 };
    frame[20..22].copy_from_slice(&place.to_be_bytes());
    frame
}

/// The same in IPv6.
fn fragment_v6(identification: u32, offset: u16, more: bool) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 44, 64]);
    frame.extend([0x20; 32]);
    frame.extend([17, 0]);
    frame.extend((offset | u16::from(more)).to_be_bytes());
    frame.extend(identification.to_be_bytes());
    frame.extend([0x9c, 0x40, 0, 53, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame
}

fn fragments_follow_the_first_in_order() {
    use Program::Ingress;
    let mut datapath = judging("accept", "accept");
    let made: [&dyn Fn(u16, u16, bool) -> Vec<u8>; 2] =
        [&fragment, &|number, offset, more| fragment_v6(number.into(), offset, more)];
    for fragment in made {
        // Nothing goes before the first.
        expect(&mut datapath, Ingress, &fragment(1, 16, true), dropped(Reason::Fragment));
        expect(&mut datapath, Ingress, &fragment(1, 0, true), PASSES);
        // A gap: what is missing was not judged.
        expect(&mut datapath, Ingress, &fragment(1, 32, true), dropped(Reason::Fragment));
        expect(&mut datapath, Ingress, &fragment(1, 16, true), PASSES);
        // Once more, and half of it once more: other bytes may stand there.
        expect(&mut datapath, Ingress, &fragment(1, 16, true), dropped(Reason::FragmentOverlap));
        expect(&mut datapath, Ingress, &fragment(1, 24, true), dropped(Reason::FragmentOverlap));
        expect(&mut datapath, Ingress, &fragment(1, 32, false), PASSES);
        // Of another datagram, and the other way.
        expect(&mut datapath, Ingress, &fragment(2, 48, false), dropped(Reason::Fragment));
        expect(&mut datapath, Program::Egress, &fragment(1, 48, false), dropped(Reason::Fragment));
    }
}

fn fragments_of_a_dropped_datagram_are_dropped() {
    let mut datapath = judging("drop", "accept");
    expect(&mut datapath, Program::Ingress, &fragment(1, 0, true), dropped(Reason::Rule));
    expect(&mut datapath, Program::Ingress, &fragment(1, 16, false), dropped(Reason::Fragment));
}

fn a_policy_change_ends_a_datagram() {
    let mut datapath = judging("accept", "accept");
    expect(&mut datapath, Program::Ingress, &fragment(1, 0, true), PASSES);
    let (image, _) = judging_nic("drop", "accept", "");
    datapath.publish(0, &image.with_generation(2)).unwrap();
    expect(&mut datapath, Program::Ingress, &fragment(1, 16, false), dropped(Reason::Fragment));
}
