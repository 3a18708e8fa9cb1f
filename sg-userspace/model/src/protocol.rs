//! Protocols by name and number: of packets, which have one, and of rules, which may mean every one.
//!
//! This file must never know what a protocol's packets hold. Documents, records, probes and `sgctl` read and show protocols.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sg_common::packet::protocol;
use thiserror::Error;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::text::digits;

/// The protocols that have a name in documents and probes.
const NAMES: [(&str, u8); 6] = [
    ("tcp", protocol::TCP),
    ("udp", protocol::UDP),
    ("icmp", protocol::ICMP),
    ("icmpv6", protocol::ICMPV6),
    ("gre", protocol::GRE),
    ("sctp", protocol::SCTP),
];

/// A protocol number that is parsed and displayed as a name if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolName(pub u8);

/// A text that is not the protocol of a packet. (`all` is valid in a rule, but not for a packet.)
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no protocol: allowed are tcp, udp, icmp, icmpv6, gre, sctp and 0 to 255")]
pub struct UnknownProtocol {
    /// The text as given.
    pub found: String,
}

impl FromStr for ProtocolName {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, number)| number);
        named.or_else(|| digits(text)).map(Self).ok_or_else(|| UnknownProtocol { found: text.to_owned() })
    }
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|&&(_, number)| number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "protocol {}", self.0),
        }
    }
}

/// Protocol of a rule: `all`, a name in any case such as `tcp`, or a number from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// Every protocol.
    All,
    /// One protocol, by its IANA number.
    Number(u8),
}

impl PartialSchema for Protocol {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).examples(["tcp"]).into()
    }
}

impl ToSchema for Protocol {}

/// A text that is not a protocol of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no protocol: allowed are tcp, udp, icmp, icmpv6, gre, sctp, all and 0 to 255")]
pub struct ProtocolError {
    /// The text.
    pub found: String,
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let name: Result<ProtocolName, _> = text.parse();
        name.map(|name| Self::Number(name.0)).map_err(|_| ProtocolError { found: text.to_owned() })
    }
}

impl TryFrom<String> for Protocol {
    type Error = ProtocolError;

    fn try_from(text: String) -> Result<Self, ProtocolError> {
        text.parse()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Number(number) => {
                let name = ProtocolName(*number).to_string();
                f.write_str(name.strip_prefix("protocol ").unwrap_or(&name))
            }
        }
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_numbers() {
        for (text, number) in [("tcp", 6), ("ICMPv6", 58), ("0", 0), ("255", 255), ("047", 47)] {
            assert_eq!(text.parse(), Ok(ProtocolName(number)), "{text}");
        }
        for text in ["", "all", "256", "-1", "+6", " 6", "icmp6", "6.0"] {
            assert_eq!(text.parse::<ProtocolName>(), Err(UnknownProtocol { found: text.to_owned() }));
        }
    }

    #[test]
    fn a_number_without_a_name_is_written_as_a_number() {
        assert_eq!(ProtocolName(132).to_string(), "sctp");
        assert_eq!(ProtocolName(50).to_string(), "protocol 50");
    }
}
