//! A problem of a document and its place.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

use super::{
    place::{KeyPath, Position},
    problem::Problem,
    words::Excerpt,
};
use crate::model::Carrier;

/// Why a document is not a valid policy. Displayed as
/// `policy.yaml:12:18: groups.web.ingress[0].ports: found "90-80": a range goes from low to high, write 80-90`.
#[derive(Debug, Error)]
pub struct DocumentError {
    /// The name of the document, usually that of its file.
    pub file: String,
    /// The position; `None` if the whole file is meant.
    pub at: Option<Position>,
    /// The path of keys. Empty at the root, and if the text could not be parsed into a tree.
    pub path: KeyPath,
    /// What is wrong, and what would be right.
    pub problem: Box<Problem>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, path, problem } = self;
        write_place(f, file, *at, path)?;
        write!(f, "{problem}")
    }
}

/// Something in a valid document that may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name of the document.
    pub file: String,
    /// The position.
    pub at: Position,
    /// The path of keys.
    pub path: KeyPath,
    /// What may be wrong.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, path, notice } = self;
        write_place(f, file, Some(*at), path)?;
        write!(f, "{notice}")
    }
}

/// The message of a [`Warning`], displayed like an error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Notice {
    /// A CIDR with host bits.
    #[error("{written} has bits beyond its length: read as {read}")]
    HostBits {
        /// The CIDR as written.
        written: Excerpt,
        /// The prefix as understood.
        read: IpNet,
    },
    /// A guest for which the document names no addresses.
    #[error(
        "guest {device} has no addresses here, and the host end of its NIC rarely has them: name them; \
         until one is known, anti-spoofing is off unless anti_spoofing says true"
    )]
    GuestWithoutAddresses {
        /// The NIC's device.
        device: String,
    },
    /// A member that is ignored.
    #[error(
        "{address} is link-local: on every link somebody may have it, so it makes nobody a member; a rule may name it \
         as its remote"
    )]
    LinkLocalMember {
        /// The member's address.
        address: IpAddr,
    },
    /// A rule for a protocol number that no IPv6 packet has.
    #[error(
        "protocol {protocol} is an extension header of IPv6: this rule matches IPv4 packets only, those of IPv6 have the \
         protocol that stands behind it"
    )]
    ExtensionHeader {
        /// The protocol number.
        protocol: u8,
    },
    /// An EtherType whose frames carry other packets.
    #[error("{0}")]
    Carrier(
        /// The EtherType.
        Carrier,
    ),
    /// More warnings than anyone reads.
    #[error("{count} more warnings of this document are not shown")]
    More {
        /// The number of warnings not shown.
        count: usize,
    },
}

fn write_place(f: &mut fmt::Formatter<'_>, file: &str, at: Option<Position>, path: &KeyPath) -> fmt::Result {
    write!(f, "{file}:")?;
    if let Some(at) = at {
        write!(f, "{at}:")?;
    }
    f.write_str(" ")?;
    if path.0.is_empty() { Ok(()) } else { write!(f, "{path}: ") }
}
