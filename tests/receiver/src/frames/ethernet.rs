//! The Ethernet header, and VLAN tags behind it.

/// `EtherType` numbers (IEEE 802 numbers).
pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

/// The Ethernet addresses of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The sender's.
    pub from: [u8; 6],
    /// Whom it is for.
    pub to: [u8; 6],
}

/// A VLAN tag (IEEE 802.1Q; 802.1ad).
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// 0x8100, or 0x88a8.
    pub kind: u16,
    /// Priority and network.
    pub control: u16,
}

/// A frame: `kind` announces what `payload` is, and behind it stands `trailer`, which belongs to nothing.
#[must_use]
pub fn frame(link: Link, tags: &[Tag], kind: u16, payload: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + tags.len() * 4 + payload.len() + trailer.len());
    frame.extend(link.to);
    frame.extend(link.from);
    for tag in tags {
        frame.extend(tag.kind.to_be_bytes());
        frame.extend(tag.control.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame.extend(trailer);
    frame
}
