//! Protocol names and numbers.

use std::{fmt, str::FromStr};

use sg_common::packet::protocol;
use thiserror::Error;

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
        // `parse` alone would accept "+6" too.
        let number = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        named.or_else(number).map(Self).ok_or_else(|| UnknownProtocol { found: text.to_owned() })
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
