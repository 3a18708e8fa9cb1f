//! The name by which a policy may accept a frame that is neither IP nor ARP. It must never decide, nor name a frame that its
//! receiver takes for something else. Called by the datapath for frames that [`super::ethernet`] refused as not IP.

use super::{
    ETHERNET, Frame, Window as _, ethertype,
    vlan::{MAX_VLAN_TAGS, TAG},
};

/// Bytes of the header of an LLC frame without sequence numbers (IEEE 802.2).
const LLC: usize = 3;

/// Maximum number of leading bytes of a frame that determine its name.
pub const NAMED: usize = ETHERNET + MAX_VLAN_TAGS * TAG + LLC;

/// The name of a frame: its EtherType, or [`ethertype::STP`]; `None` if nothing may name it. It is never zero.
///
/// Tags that only carry a priority are skipped, as [`super::ethernet`] does. A frame of a VLAN has no name.
#[inline(always)]
pub fn name<F: Frame>(frame: &F) -> Option<u16> {
    const NETWORK: u16 = 0x0fff;
    let (mut tagged, mut most) = (0, MAX_VLAN_TAGS);
    if let Some(tag) = frame.tag() {
        tagged = tag.control;
        most = most.saturating_sub(1);
    }
    let mut tags = 0;
    while tags <= most {
        let offset = ETHERNET + tags * TAG;
        let kind = frame.window::<2>(offset - 2)?.be16(0);
        if !matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN) {
            return if tagged & NETWORK == 0 { of(frame, kind, offset) } else { None };
        }
        // All tags together, without a branch for each: the verifier would follow every one.
        tagged |= frame.window::<2>(offset)?.be16(0);
        tags += 1;
    }
    None
}

/// The name of a payload at `offset` whose preceding two bytes are `kind`.
#[inline(always)]
fn of<F: Frame>(frame: &F, kind: u16, offset: usize) -> Option<u16> {
    /// Destination and source SAP of the spanning tree, and "unnumbered information".
    const SPANNING_TREE: (u16, u8) = (0x4242, 0x03);
    if kind >= ethertype::FIRST {
        return Some(kind);
    }
    // It is a length: the receiver discards a shorter frame, and ignores the excess of a longer one (`llc_fixup_skb`,
    // `net/llc/llc_input.c`).
    let length = kind as usize;
    if length < LLC || offset + length > frame.length() {
        return None;
    }
    let llc = frame.window::<LLC>(offset)?;
    if (llc.be16(0), llc.byte(2)) == SPANNING_TREE { Some(ethertype::STP) } else { None }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{vec, vec::Vec};

    use super::{
        super::{Bytes, Tag},
        *,
    };

    const LLDP: u16 = 0x88cc;

    fn frame(header: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 5][..], header, payload].concat()
    }

    fn named(frame: &[u8]) -> Option<u16> {
        name(&frame)
    }

    #[test]
    fn an_ethertype_is_a_name_whatever_stands_behind_it() {
        for number in [0x0600, LLDP, 0x8915, 0xffff] {
            for payload in [&[][..], &[0; 46]] {
                assert_eq!(named(&frame(&number.to_be_bytes(), payload)), Some(number));
            }
        }
        for length in 0..14 {
            assert_eq!(named(&frame(&LLDP.to_be_bytes(), &[])[..length]), None, "{length}");
        }
    }

    /// A frame whose tag was stripped, or of which only the front can be read.
    struct Partly<'a> {
        bytes: &'a [u8],
        tag: Option<Tag>,
        front: usize,
    }

    impl Frame for Partly<'_> {
        type Window<const N: usize> = Bytes<N>;
        fn length(&self) -> usize {
            self.bytes.len()
        }
        fn is_large(&self) -> bool {
            false
        }
        fn tag(&self) -> Option<Tag> {
            self.tag
        }
        fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
            (&self.bytes[..self.front.min(self.bytes.len())]).window(offset)
        }
    }

    #[test]
    fn a_priority_is_looked_through_and_a_network_is_not() {
        let tagged = |tags: &[(u16, u16)], kind: u16, payload: &[u8]| {
            let tags = tags.iter().flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()]);
            let header: Vec<u8> = tags.chain([kind.to_be_bytes()]).flatten().collect();
            frame(&header, payload)
        };
        let stp = [&[0x42, 0x42, 3][..], &[0; 35]].concat();
        for (kind, payload, number) in [(LLDP, &[0; 46][..], LLDP), (38, &stp, ethertype::STP)] {
            for (tags, passes) in [
                (&[(0x8100, 0)][..], true),
                (&[(0x8100, 0xf000)], true),
                (&[(0x88a8, 0)], true),
                (&[(0x88a8, 0), (0x8100, 0xe000)], true),
                (&[(0x8100, 1)], false),
                (&[(0x8100, 0x0fff)], false),
                (&[(0x88a8, 0xe001)], false),
                (&[(0x8100, 0), (0x8100, 7)], false),
                (&[(0x8100, 7), (0x8100, 0)], false),
                (&[(0x8100, 0), (0x8100, 0), (0x8100, 0)], false),
            ] {
                let wanted = passes.then_some(number);
                let whole = tagged(tags, kind, payload);
                assert_eq!(named(&whole), wanted, "{tags:x?}");
                // The kernel or a device stripped the first one.
                let (kind_taken, control) = tags[0];
                let rest = tagged(&tags[1..], kind, payload);
                let tag = Some(Tag { kind: kind_taken, control });
                let taken = Partly { bytes: &rest, tag, front: usize::MAX };
                assert_eq!(name(&taken), wanted, "{tags:x?}");
                for length in 0..14 + tags.len() * 4 {
                    assert_eq!(named(&whole[..length]), None, "{length}");
                }
            }
        }
    }

    #[test]
    fn the_front_of_a_frame_has_its_name() {
        let front = |bytes: &[u8], front| name(&Partly { bytes, tag: None, front });
        let stp = [&[0x42, 0x42, 3][..], &[0; 35]].concat();
        let priorities = [0x88, 0xa8, 0, 0, 0x81, 0, 0xe0, 0];
        let longest = frame(&[&priorities[..], &[0, 38]].concat(), &stp);
        assert_eq!(front(&longest, NAMED), Some(ethertype::STP));
        assert_eq!(front(&longest, NAMED - 1), None, "and no less of it");
        for header in [&[0x88, 0xcc][..], &[0x81, 0, 0, 0, 0x88, 0xcc], &[0, 38]] {
            let whole = frame(header, &stp);
            assert!(front(&whole, NAMED).is_some_and(|number| named(&whole) == Some(number)));
        }
    }

    #[test]
    fn the_spanning_tree_is_known_by_its_header_within_its_length() {
        const STP: [u8; 3] = [0x42, 0x42, 3];
        let llc = |length: u16, header: [u8; 3], behind: usize| {
            named(&frame(&length.to_be_bytes(), &[&header[..], &vec![0; behind]].concat()))
        };
        let stp = Some(ethertype::STP);
        assert_eq!(llc(38, STP, 35), stp);
        assert_eq!(llc(38, STP, 43), stp, "padded");
        assert_eq!(llc(3, STP, 0), stp);
        assert_eq!(llc(0x5ff, STP, 0x5fc), stp);
        for (length, header, behind, what) in [
            (38, STP, 34, "longer than the frame"),
            (2, STP, 43, "the header does not end within its length"),
            (0, STP, 43, "no length"),
            (38, [0x42, 0x42, 0x13], 35, "another control"),
            (38, [0x42, 0x43, 3], 35, "another source"),
            (38, [0x43, 0x42, 3], 35, "a group"),
            (38, [0xaa, 0xaa, 3], 35, "SNAP"),
            (38, [0xff, 0xff, 3], 35, "Novell's raw 802.3"),
            (38, [0xe0, 0xe0, 3], 35, "IPX"),
        ] {
            assert_eq!(llc(length, header, behind), None, "{what}");
        }
        for behind in 0..3 {
            assert_eq!(named(&frame(&[0, 38], &STP[..behind])), None, "truncated");
        }
        assert_eq!(named(&frame(&0x0600_u16.to_be_bytes(), &STP)), Some(0x0600), "no length");
    }
}
