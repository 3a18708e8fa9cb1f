//! A problem and its place.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

use super::{
    place::{KeyPath, Position},
    problem::Problem,
    words::Excerpt,
};
use crate::model::Carrier;

/// Why a document is not a policy. Reads like
/// `policy.yaml:12:18: groups.web.ingress[0].ports: found "90-80": a range goes from low to high, write 80-90`.
#[derive(Debug, Error)]
pub struct DocumentError {
    /// The name of the document, in general that of its file.
    pub file: String,
    /// Where, unless the whole file is meant.
    pub at: Option<Position>,
    /// Where, in terms of keys. Empty at the root and where the text is no tree yet.
    pub path: KeyPath,
    /// What, and what would be right.
    pub problem: Box<Problem>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, path, problem } = self;
        write_place(f, file, *at, path)?;
        write!(f, "{problem}")
    }
}

/// Something in a document that is a policy, but perhaps not the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name of the document.
    pub file: String,
    /// Where.
    pub at: Position,
    /// Where, in terms of keys.
    pub path: KeyPath,
    /// What.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, path, notice } = self;
        write_place(f, file, Some(*at), path)?;
        write!(f, "{notice}")
    }
}

/// What a [`Warning`] says. It is shown like an error, and is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Notice {
    /// A CIDR with host bits.
    #[error("{written} has bits beyond its length: read as {read}")]
    HostBits {
        /// As written.
        written: Excerpt,
        /// As understood.
        read: IpNet,
    },
    /// A guest whose addresses the document does not name.
    #[error(
        "guest {device} has no addresses here, and the host end of its NIC rarely has them: name them; \
         until one is known, anti-spoofing is off unless anti_spoofing says true"
    )]
    GuestWithoutAddresses {
        /// The device.
        device: String,
    },
    /// A member that is none.
    #[error(
        "{address} is link-local: on every link somebody may have it, so it makes nobody a member; a rule may name it \
         as its remote"
    )]
    LinkLocalMember {
        /// The address.
        address: IpAddr,
    },
    /// A rule for a protocol whose number an IPv6 packet never has.
    #[error(
        "protocol {protocol} is an extension header of IPv6: this rule matches IPv4 packets only, those of IPv6 have the \
         protocol that stands behind it"
    )]
    ExtensionHeader {
        /// The number.
        protocol: u8,
    },
    /// Frames that carry others.
    #[error("{0}")]
    Carrier(
        /// Which.
        Carrier,
    ),
    /// There are more warnings than anyone reads.
    #[error("{count} more warnings of this document are not shown")]
    More {
        /// How many.
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
