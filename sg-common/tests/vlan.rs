//! VLAN tags: in the frame, or taken off it, they say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod frames;

use frames::{ipv4, tcp};
use sg_common::{
    packet::{Bytes, ETHERNET, Frame, Parsed, Tag, ethertype, is_plain, parse},
    verdict::Reason,
};

/// A frame of which somebody took the outer tag off.
struct Untagged<'a> {
    frame: &'a [u8],
    tag: Option<Tag>,
}

impl Frame for Untagged<'_> {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.frame.len()
    }

    fn is_large(&self) -> bool {
        false
    }

    fn tag(&self) -> Option<Tag> {
        self.tag
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        self.frame.window(offset)
    }
}

const fn q(control: u16) -> Tag {
    Tag { kind: ethertype::VLAN, control }
}

const fn ad(control: u16) -> Tag {
    Tag { kind: ethertype::SERVICE_VLAN, control }
}

/// A SYN behind these tags.
fn behind(tags: &[Tag]) -> Vec<u8> {
    let plain = ipv4(6, &tcp(40_000, 22, 2));
    let tags: Vec<u8> =
        tags.iter().flat_map(|tag| [tag.kind.to_be_bytes(), tag.control.to_be_bytes()].concat()).collect();
    [&plain[..ETHERNET - 2], &tags, &plain[ETHERNET - 2..]].concat()
}

#[test]
fn a_packet_is_in_the_network_that_its_tags_name() {
    for (tags, vlan) in [
        (&[][..], ""),
        (&[q(0xa000)][..], ""),
        (&[q(7)], "7"),
        (&[ad(7)], "ad.7"),
        (&[ad(0), q(7)], "7"),
        (&[ad(7), q(0)], "ad.7"),
        (&[ad(7), q(8)], "ad.7/8"),
        (&[q(7), q(0xe008)], "7/8"),
    ] {
        let Parsed::Packet(packet) = parse(&&behind(tags)[..]) else { panic!("{tags:?}") };
        assert_eq!(packet.vlan.to_string(), vlan);
        assert_eq!((packet.source_port, packet.l4_selector), (40_000, 22));
        if let Some((outer, inner)) = tags.split_first() {
            let Parsed::Packet(taken_off) = parse(&Untagged { frame: &behind(inner), tag: Some(*outer) })
            else {
                panic!("{tags:?}")
            };
            assert_eq!(taken_off.vlan, packet.vlan);
        }
    }
}

#[test]
fn two_tags_are_looked_through_and_no_third_one() {
    for tags in [[q(1), q(2), q(3)], [q(0); 3], [ad(1), q(2), q(0)]] {
        assert_eq!(parse(&&behind(&tags)[..]), Parsed::Refused(Reason::NotIp));
        let frame = behind(&tags[1..]);
        assert_eq!(parse(&Untagged { frame: &frame, tag: Some(tags[0]) }), Parsed::Refused(Reason::NotIp));
        assert!(matches!(parse(&Untagged { frame: &frame, tag: None }), Parsed::Packet(_)));
    }
}

#[test]
fn a_truncated_tag_is_malformed() {
    let frame = behind(&[q(5)]);
    for end in ETHERNET..ETHERNET + 4 {
        assert_eq!(parse(&&frame[..end]), Parsed::Refused(Reason::Malformed), "{end}");
    }
}

#[test]
fn a_plain_frame_is_of_ipv4_whole_and_without_a_tag() {
    const FRAGMENT: usize = ETHERNET + 6;
    let plain = behind(&[]);
    let with = |at: usize, what: u16| [&plain[..at], &what.to_be_bytes(), &plain[at + 2..]].concat();
    let of = |kind| with(ETHERNET - 2, kind);
    for (what, frame, tag, wanted) in [
        ("IPv4", plain.clone(), None, true),
        ("IPv4 behind a tag that was taken off", plain.clone(), Some(q(5)), false),
        ("IPv4 behind a priority that was", plain.clone(), Some(q(0)), false),
        ("IPv4 behind a tag", behind(&[q(5)]), None, false),
        ("IPv6", of(ethertype::IPV6), None, false),
        ("ARP", of(ethertype::ARP), None, false),
        ("IPv6 behind a tag that was taken off", of(ethertype::IPV6), Some(q(5)), false),
        ("not to be fragmented", with(FRAGMENT, 0x4000), None, true),
        ("more of it follows", with(FRAGMENT, 0x2000), None, false),
        ("the last of it", with(FRAGMENT, 1), None, false),
        ("the last of a long one", with(FRAGMENT, 0x1000), None, false),
        ("the headers alone", plain[..ETHERNET + 20].to_vec(), None, true),
        ("half a header", plain[..ETHERNET + 19].to_vec(), None, false),
        ("half of the other", plain[..ETHERNET - 1].to_vec(), None, false),
    ] {
        assert_eq!(is_plain(&Untagged { frame: &frame, tag }), wanted, "{what}");
    }
}
