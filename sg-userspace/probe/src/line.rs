//! Parses a probe from a JSON object.

use std::{borrow::Cow, collections::HashMap, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use sg_model::{Direction, Policy, ProtocolName, flat};
use thiserror::Error;

use super::{InvalidProbe, Probe, ProbeParts};

/// Why a line is not a probe. The reader of lines adds the file and the line number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineReason {
    /// Not a JSON object, an unknown or missing field, or an impossible value.
    #[error("column {column}: {message}")]
    Json {
        /// The column, from 1.
        column: usize,
        /// What was found and what is allowed.
        message: String,
    },
    /// A NIC that the policy does not have.
    #[error("nic {found:?} is not in the policy: its NICs are {known}")]
    UnknownNic {
        /// The name as given.
        found: String,
        /// The policy's NICs, or the first of them.
        known: String,
    },
    /// Fields that do not form a packet.
    #[error(transparent)]
    Invalid(#[from] InvalidProbe),
}

/// Parses lines into probes for one policy.
#[derive(Debug)]
pub struct Reader<'a> {
    policy: &'a Policy,
    nics: HashMap<&'a str, usize>,
}

impl<'a> Reader<'a> {
    /// Creates a reader of probes for `policy`.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        let nics =
            policy.nics().iter().enumerate().map(|(nic, found)| (found.device.as_str(), nic)).collect();
        Self { policy, nics }
    }

    /// Parses one line.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn probe(&self, line: &[u8]) -> Result<Probe, LineReason> {
        if line.trim_ascii_start().first() != Some(&b'{') {
            let message = "a probe is one JSON object".to_owned();
            return Err(LineReason::Json { column: 1, message });
        }
        let flat: Flat<'_> = serde_json::from_slice(line).map_err(|error| {
            // serde_json appends a position whose line is always 1 here.
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
            LineReason::Json { column: error.column(), message }
        })?;
        let Written { nic, direction, protocol, src, dst, sport, dport, numbers } = flat.into();
        let parts = ProbeParts {
            nic: self.nic(&nic)?,
            direction: match direction {
                WrittenDirection::Ingress => Direction::Ingress,
                WrittenDirection::Egress => Direction::Egress,
            },
            protocol: protocol.0,
            source: src.0,
            destination: dst.0,
            source_port: sport.map(|Number(port)| port as u16),
            destination_port: dport.map(|Number(port)| port as u16),
            numbers,
        };
        Ok(Probe::new(parts)?)
    }

    /// The position of the NIC `device`.
    ///
    /// # Errors
    /// If the policy has none.
    pub fn nic(&self, device: &str) -> Result<usize, LineReason> {
        const SHOWN: usize = 8;
        self.nics.get(device).copied().ok_or_else(|| {
            let mut known: Vec<_> = self.policy.nics().iter().map(|nic| nic.device.as_str()).collect();
            let more = if known.len() > SHOWN { " and others" } else { "" };
            known.truncate(SHOWN);
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") + more };
            LineReason::UnknownNic { found: device.to_owned(), known }
        })
    }
}

flat! {
    of packets;
    /// The object. `null` equals absent for optional fields.
    struct Written<'a> as
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    Flat {
        @[serde(borrow)]
        nic: Cow<'a, str>,
        direction: WrittenDirection,
        protocol: WrittenProtocol,
        src: Address,
        dst: Address,
        sport: Option<Number<65_535>>,
        dport: Option<Number<65_535>>,
    } ..numbers {}
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenDirection {
    Ingress,
    Egress,
}

struct WrittenProtocol(u8);
struct Address(IpAddr);

/// A number from 0 to `MAX`.
struct Number<const MAX: u64>(u64);

// Serde's own messages would mention `u16` and would not quote a bad address; these say what is allowed.
impl<'de> Deserialize<'de> for WrittenProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = WrittenProtocol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tcp, udp, icmp, icmpv6, gre, sctp or 0 to 255")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenProtocol, E> {
                let number = text.parse::<ProtocolName>();
                number
                    .map(|name| WrittenProtocol(name.0))
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<WrittenProtocol, E> {
                let narrow = u8::try_from(number);
                narrow.map(WrittenProtocol).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<WrittenProtocol, E> {
                Err(E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IPv4 or IPv6 address")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
                text.parse().map(Address).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Expected)
    }
}

impl<'de, const MAX: u64> Deserialize<'de> for Number<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected<const MAX: u64>;
        impl<const MAX: u64> Visitor<'_> for Expected<MAX> {
            type Value = Number<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from 0 to {MAX}")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<MAX>, E> {
                if number <= MAX {
                    Ok(Number(number))
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(number), &self))
                }
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<MAX>, E> {
                Err(E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_u64(Expected::<MAX>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;
    use sg_model::{Group, GroupIndex, GroupType, Nic, PolicyParts};

    fn policy() -> Policy {
        let group = Group {
            name: "web".to_owned(),
            kind: GroupType::Basic,
            inner_access: true,
            description: None,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let nic = Nic::new("eth0", [GroupIndex(0)]);
        Policy::new(PolicyParts { groups: vec![group], nics: vec![nic], ..PolicyParts::default() }).unwrap()
    }

    fn read(line: &str) -> Result<Probe, String> {
        Reader::new(&policy()).probe(line.as_bytes()).map_err(|reason| reason.to_string())
    }

    #[test]
    fn a_line_is_a_probe() {
        let line = r#"{"nic":"eth0","direction":"ingress","protocol":"TCP","src":"192.0.2.1","dst":"10.0.0.5",
                       "dport":22,"sport":null,"icmp_type":null}"#;
        let probe = read(line).unwrap();
        assert_eq!(probe.content(), Content::Ports { source: 40_000, destination: 22 });
        for protocol in ["6", "\"6\"", "\"tcp\""] {
            assert_eq!(read(&line.replace("\"TCP\"", protocol)), Ok(probe));
        }
        let egress = read(
            r#"{"nic":"eth0","direction":"egress","protocol":58,"src":"fe80::1","dst":"::2",
                              "icmp_type":128,"icmp_code":7}"#,
        );
        assert_eq!(egress.unwrap().content(), Content::Icmp { kind: 128, code: 7 });
    }

    #[test]
    fn a_bad_line_says_what_is_allowed() {
        let line = |changed: &str| {
            format!(r#"{{"nic":"eth0","direction":"ingress","src":"192.0.2.1","dst":"10.0.0.5",{changed}}}"#)
        };
        for (line, message) in [
            (line(r#""protocol":"tcp","dport":70000"#), "integer `70000`, expected a number from 0 to 65535"),
            (line(r#""protocol":"tcp","dport":-1"#), "integer `-1`, expected a number from 0 to 65535"),
            (line(r#""protocol":"tcp","dport":"22""#), "string \"22\", expected a number from 0 to 65535"),
            (line(r#""protocol":"icmp","icmp_type":256"#), "expected a number from 0 to 255"),
            (
                line(r#""protocol":"all""#),
                "string \"all\", expected tcp, udp, icmp, icmpv6, gre, sctp or 0 to 255",
            ),
            (line(r#""protocol":256"#), "integer `256`, expected tcp, udp"),
            (
                line(r#""protocol":"tcp","port":22"#),
                "unknown field `port`, expected one of `nic`, `direction`",
            ),
            (line(r#""protocol":"tcp""#), "tcp needs dport"),
            (line(r#""dport":22"#), "missing field `protocol`"),
            ("[]".to_owned(), "a probe is one JSON object"),
            (
                r#"["eth0","ingress","tcp","192.0.2.1","10.0.0.5",1500,22,null,null]"#.to_owned(),
                "one JSON object",
            ),
            ("{".to_owned(), "EOF while parsing"),
            (
                line(r#""protocol":47"#).replace("eth0", "eth1"),
                "nic \"eth1\" is not in the policy: its NICs are eth0",
            ),
            (
                line(r#""protocol":47"#).replace("ingress", "in"),
                "unknown variant `in`, expected `ingress` or `egress`",
            ),
            (
                line(r#""protocol":47"#).replace("10.0.0.5", "x"),
                "string \"x\", expected an IPv4 or IPv6 address",
            ),
            (line(r#""protocol":47"#).replace("10.0.0.5", "::1"), "two families"),
            (line(r#""protocol":47,"protocol":47"#), "duplicate field `protocol`"),
        ] {
            let error = read(&line).unwrap_err();
            assert!(error.contains(message), "{line}\n{error}\n{message}");
            assert!(!error.contains("at line"), "{error}");
        }
    }
}
