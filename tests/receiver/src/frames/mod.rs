//! The writer: Ethernet frames byte by byte, true or lying.
//!
//! It owns what headers look like (RFC 791, 8200, 768, 9293, 792, 4443, 9260, IEEE 802.1Q) and must never read one: what
//! arrived is told by the receiver. It shares nothing with the parser that is tested, see `tests/independence.rs`.

mod ethernet;
mod fragment;
mod ip;
mod sums;
pub mod transport;

use std::net::IpAddr;

pub use ethernet::{Link, Tag, frame};
pub use fragment::{Fragment, split};
pub use ip::{Datagram, Extension, Packet, number};
pub use sums::{crc32c, internet};

/// The address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// Who sends a packet, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The sender.
    pub from: IpAddr,
    /// Whom it is for.
    pub to: IpAddr,
}

impl Ends {
    /// The family of both.
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.from.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// Those of the reply.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// The bytes of an address.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
