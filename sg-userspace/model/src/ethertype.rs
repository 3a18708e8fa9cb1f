//! The kinds of non-IP frames that a NIC may accept, their names and numbers.
//!
//! It must never allow IP, ARP, VLAN tags, MPLS or `PPPoE`, which rules judge or which would hide packets from them. `sg-document`
//! and the APIs parse kinds; the compiler writes them into images.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sg_common::{image, packet::ethertype as number};
use thiserror::Error;

/// The maximum number of kinds on one NIC.
pub const MAX_ETHERTYPES: usize = image::MAX_ETHERTYPES;

/// A kind of non-IP frames: an `EtherType`, or the spanning tree protocol, which has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ethertype(u16);

/// Why something is not a valid [`Ethertype`], and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoEthertype {
    /// The text is neither a name nor a number.
    #[error("write {}, or the number of an EtherType, such as 0x8915", names())]
    Unknown,
    /// The number is a frame length.
    #[error(
        "an EtherType is a number from 0x0600 to 0xffff; what is less is a length, and of those frames only stp has a name"
    )]
    Length,
    /// IPv4 or IPv6.
    #[error("rules judge IP packets: accept them by a rule")]
    Ip,
    /// ARP.
    #[error("ARP passes without a name: leave it out")]
    Arp,
    /// VLAN tags.
    #[error("what stands behind a VLAN tag is judged, not the tag: accept the packets in it by a rule")]
    Vlan,
    /// MPLS.
    #[error("MPLS carries packets that no rule would see: give it a device that is no NIC here")]
    Mpls,
    /// PPP over Ethernet.
    #[error(
        "PPPoE carries packets that no rule would see: take this device out of nics, and make its PPP device a NIC"
    )]
    Pppoe,
}

/// A warning: frames of this kind carry other packets, which no rule judges once the kind is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{ethertype} is {name}, which carries frames that no rule of this NIC sees: make the device where they come out a NIC, too"
)]
pub struct Carrier {
    ethertype: Ethertype,
    name: &'static str,
}

/// The kinds that have a name.
const NAMES: [(&str, u16); 5] = [
    ("lldp", 0x88cc),
    ("eapol", 0x888e),
    // "Slow protocols", IEEE 802.3 annex 57A, including LACP.
    ("lacp", 0x8809),
    ("stp", number::STP),
    ("ptp", 0x88f7),
];

/// The kinds that are refused, by the names that users may try.
const REFUSED: [(&str, NoEthertype); 9] = [
    ("ip", NoEthertype::Ip),
    ("ipv4", NoEthertype::Ip),
    ("ipv6", NoEthertype::Ip),
    ("arp", NoEthertype::Arp),
    ("vlan", NoEthertype::Vlan),
    ("qinq", NoEthertype::Vlan),
    ("mpls", NoEthertype::Mpls),
    ("pppoe", NoEthertype::Pppoe),
    ("llc", NoEthertype::Length),
];

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl Ethertype {
    /// Creates the kind with the number `found`, as it appears in frames.
    ///
    /// # Errors
    /// If a NIC may not accept this kind.
    pub const fn new(found: u16) -> Result<Self, NoEthertype> {
        Err(match found {
            number::IPV4 | number::IPV6 => NoEthertype::Ip,
            number::ARP => NoEthertype::Arp,
            // The last three were used in outer tags before IEEE 802.1ad assigned a number.
            number::VLAN | number::SERVICE_VLAN | 0x9100 | 0x9200 | 0x9300 => NoEthertype::Vlan,
            0x8847 | 0x8848 => NoEthertype::Mpls,
            0x8863 | 0x8864 => NoEthertype::Pppoe,
            0..number::FIRST => NoEthertype::Length,
            _ => return Ok(Self(found)),
        })
    }

    /// The number in an image.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// A warning, if frames of this kind carry other packets.
    #[must_use]
    pub const fn carrier(self) -> Option<Carrier> {
        let name = match self.0 {
            0x88e5 => "MACsec",
            0x4305 => "batman-adv",
            0x88e7 => "provider backbone bridging",
            0x88fb => "PRP",
            0x892f => "HSR",
            _ => return None,
        };
        Some(Carrier { ethertype: self, name })
    }
}

impl FromStr for Ethertype {
    type Err = NoEthertype;

    /// Parses a name, or a hexadecimal number with the prefix `0x`.
    fn from_str(text: &str) -> Result<Self, NoEthertype> {
        if let Some((_, number)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*number));
        }
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == text) {
            return Err(*why);
        }
        // `from_str_radix` accepts a sign, too.
        let digits =
            text.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        Self::new(number.ok_or(NoEthertype::Unknown)?)
    }
}

impl TryFrom<String> for Ethertype {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|why| format!("{:?} is nothing that ethertypes may name: {why}", short(&text)))
    }
}

/// The first characters of a text, which may have any length.
fn short(text: &str) -> String {
    text.chars().take(32).collect()
}

impl From<Ethertype> for String {
    fn from(ethertype: Ethertype) -> Self {
        ethertype.to_string()
    }
}

impl fmt::Display for Ethertype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for Ethertype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why one NIC cannot have these kinds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoEthertypes {
    /// There are more than an image has room for.
    #[error("a NIC names at most {MAX_ETHERTYPES}, this one {found}")]
    TooMany {
        /// The number given.
        found: usize,
    },
    /// One is repeated, perhaps by its name and its number.
    #[error("{0} is there twice: write each once")]
    Twice(
        /// The repeated kind.
        Ethertype,
    ),
}

/// Checks whether one NIC may have all of these kinds.
///
/// # Errors
/// If there are too many, or one is repeated.
pub fn fit_one_nic(ethertypes: &[Ethertype]) -> Result<(), NoEthertypes> {
    if ethertypes.len() > MAX_ETHERTYPES {
        return Err(NoEthertypes::TooMany { found: ethertypes.len() });
    }
    let twice = (1..ethertypes.len()).find(|&place| ethertypes[..place].contains(&ethertypes[place]));
    twice.map_or(Ok(()), |place| Err(NoEthertypes::Twice(ethertypes[place])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, number) in [
            ("lldp", 0x88cc),
            ("eapol", 0x888e),
            ("lacp", 0x8809),
            ("stp", 0x0042),
            ("ptp", 0x88f7),
            ("0x8915", 0x8915),
            ("0x0600", 0x0600),
            ("0xffff", 0xffff),
        ] {
            let read: Ethertype = text.parse().unwrap();
            assert_eq!((read.number(), read.to_string().as_str()), (number, text));
        }
        assert_eq!("0x88CC".parse::<Ethertype>().unwrap().to_string(), "lldp");
    }

    #[test]
    fn what_rules_judge_or_nobody_could_has_no_name() {
        use NoEthertype::{Arp, Ip, Length, Mpls, Pppoe, Unknown, Vlan};
        for (text, why) in [
            ("0x0800", Ip),
            ("ipv6", Ip),
            ("0x86dd", Ip),
            ("arp", Arp),
            ("0x0806", Arp),
            ("vlan", Vlan),
            ("0x8100", Vlan),
            ("0x88a8", Vlan),
            ("0x9100", Vlan),
            ("mpls", Mpls),
            ("0x8847", Mpls),
            ("0x8848", Mpls),
            ("pppoe", Pppoe),
            ("0x8863", Pppoe),
            ("0x8864", Pppoe),
            // Nor the number that represents the spanning tree protocol.
            ("0x0042", Length),
            ("0x05ff", Length),
            ("0x0", Length),
            ("LLDP", Unknown),
            ("", Unknown),
            ("0x", Unknown),
            ("0x+88cc", Unknown),
            ("0x188cc", Unknown),
            ("35093", Unknown),
        ] {
            assert_eq!(text.parse::<Ethertype>(), Err(why), "{text}");
        }
        let long: Result<Ethertype, _> = serde_json::from_value("x".repeat(10_000).into());
        assert!(long.unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn one_nic_names_a_few_and_each_once() {
        let some = |count: u16| (0..count).map(|n| Ethertype::new(0x9000 + n).unwrap()).collect::<Vec<_>>();
        assert_eq!(fit_one_nic(&some(8)), Ok(()));
        assert_eq!(fit_one_nic(&some(9)), Err(NoEthertypes::TooMany { found: 9 }));
        let lldp = ["lldp", "stp", "0x88cc"].map(|text| text.parse().unwrap());
        assert_eq!(fit_one_nic(&lldp), Err(NoEthertypes::Twice(lldp[0])));
    }
}
