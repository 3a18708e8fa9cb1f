//! The match fields of rules by name. Documents, JSON and flags use the same names, and tests hold each of them to this list.
//!
//! The fields themselves are in [`Match`](super::Match). This file must never know their values.

use std::fmt;

/// A field of [`Match`](super::Match).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchField {
    /// The protocol.
    Protocol,
    /// The destination ports.
    Ports,
    /// The source ports.
    SourcePorts,
    /// The ICMP type.
    IcmpType,
    /// The ICMP code.
    IcmpCode,
    /// The remote.
    Remote,
    /// The local address.
    Local,
}

impl MatchField {
    /// All fields, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Protocol,
        Self::Ports,
        Self::SourcePorts,
        Self::IcmpType,
        Self::IcmpCode,
        Self::Remote,
        Self::Local,
    ];

    /// The key in documents and in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source_ports",
            Self::IcmpType => "icmp_type",
            Self::IcmpCode => "icmp_code",
            Self::Remote => "remote",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for MatchField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
