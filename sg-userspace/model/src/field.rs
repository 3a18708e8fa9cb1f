//! The match fields of rules by name. Documents, JSON and flags use the same names, and tests hold each of them to this list.
//!
//! The fields themselves are in [`Match`](super::Match). This file must never know their values.

use std::fmt;

use super::{HeaderNumbers, match_numbers};

/// Which packets have a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of them.
    Every,
    /// TCP, UDP, SCTP, DCCP and UDP-Lite.
    Ported,
    /// ICMP and ICMPv6.
    Icmp,
}

macro_rules! fields {
    ({} $(($name:ident $variant:ident $max:literal $scope:ident $what:tt $rule:tt $packet:tt))*) => {
        /// A field of [`Match`](super::Match).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MatchField {
            /// The protocol.
            Protocol,
            /// The destination ports.
            Ports,
            /// The source ports.
            SourcePorts,
            $(#[doc = $rule] $variant,)*
            /// The address family.
            Family,
            /// The remote.
            Remote,
            /// The local address.
            Local,
        }

        impl MatchField {
            /// All fields, in the order in which they are listed.
            pub const ALL: [Self; 6 + HeaderNumbers::COUNT] =
                [Self::Protocol, Self::Ports, Self::SourcePorts, $(Self::$variant,)* Self::Family, Self::Remote, Self::Local];

            /// The key in documents and in JSON.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self {
                    Self::Protocol => "protocol",
                    Self::Ports => "ports",
                    Self::SourcePorts => "source_ports",
                    $(Self::$variant => stringify!($name),)*
                    Self::Family => "family",
                    Self::Remote => "remote",
                    Self::Local => "local",
                }
            }

            /// The name of a number as the clouds would write it, for columns of files: `IcmpType`.
            #[must_use]
            pub const fn variant(self) -> &'static str {
                match self {
                    Self::Protocol => "Protocol",
                    Self::Ports => "Ports",
                    Self::SourcePorts => "SourcePorts",
                    $(Self::$variant => stringify!($variant),)*
                    Self::Family => "Family",
                    Self::Remote => "Remote",
                    Self::Local => "Local",
                }
            }

            /// Which packets have the field.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self {
                    Self::Protocol | Self::Family | Self::Remote | Self::Local => Scope::Every,
                    Self::Ports | Self::SourcePorts => Scope::Ported,
                    $(Self::$variant => Scope::$scope,)*
                }
            }
        }
    };
}
match_numbers! { [fields] {} }

impl fmt::Display for MatchField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
