//! An entry of a prefix list: a prefix, or a range of addresses such as `10.0.0.1-10.0.0.9`.
//!
//! This file owns their texts, and which prefixes hold the same addresses as a range. It must never know lists. Records and documents
//! keep entries as they are written; [`super::Prefixes`] expands them.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use serde::{Deserialize, Serialize};
use sg_common::packet::Family;
use thiserror::Error;

/// Addresses from `first` to `last`, both included, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// Creates a range.
    ///
    /// # Errors
    /// If it is reversed, or its ends have different families.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, AddressesError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(AddressesError::TwoFamilies { first, last });
        }
        if first > last {
            return Err(AddressesError::Reversed { first, last });
        }
        Ok(Self { first, last })
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(self) -> IpAddr {
        self.last
    }

    /// The prefixes that hold these addresses and no others, in order: as few as possible, at most 62 of IPv4 and 254 of IPv6.
    pub fn prefixes(self) -> impl Iterator<Item = IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => IpSubnets::V4(Ipv4Subnets::new(first, last, 0)),
            // The ends have one family, so both are of IPv6.
            (first, last) => IpSubnets::V6(Ipv6Subnets::new(v6(first), v6(last), 0)),
        }
    }
}

/// An address as one of IPv6.
const fn v6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Parses a range; `None` if the text is none, whatever its ends are.
#[must_use]
pub fn address_range(text: &str) -> Option<Result<AddressRange, AddressesError>> {
    let (first, last) = text.split_once('-')?;
    Some(AddressRange::new(first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// A text that is neither a prefix nor a range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressesError {
    /// Another text.
    #[error(
        "{found:?} is no address, prefix or range: write 10.0.0.5, 10.0.0.0/8 or 10.0.0.1-10.0.0.9, of either family"
    )]
    Unknown {
        /// The text.
        found: String,
    },
    /// A range from a higher address to a lower one.
    #[error("the range {first}-{last} is reversed: write {last}-{first}")]
    Reversed {
        /// Its first end.
        first: IpAddr,
        /// Its last end.
        last: IpAddr,
    },
    /// A range from an address of one family to one of the other.
    #[error("the range {first}-{last} begins and ends in different families: a range has one")]
    TwoFamilies {
        /// Its first end.
        first: IpAddr,
        /// Its last end.
        last: IpAddr,
    },
}

/// A prefix, or a range of addresses, as it is written. A range and a prefix of the same addresses are different values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Addresses {
    /// A prefix.
    Net(IpNet),
    /// A range.
    Range(AddressRange),
}

impl Addresses {
    /// The family.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Net(IpNet::V4(_)) | Self::Range(AddressRange { first: IpAddr::V4(_), .. }) => Family::V4,
            Self::Net(IpNet::V6(_)) | Self::Range(AddressRange { first: IpAddr::V6(_), .. }) => Family::V6,
        }
    }

    /// The same with host bits zero.
    #[must_use]
    pub fn trunc(self) -> Self {
        match self {
            Self::Net(net) => Self::Net(net.trunc()),
            Self::Range(_) => self,
        }
    }
}

impl From<IpNet> for Addresses {
    fn from(net: IpNet) -> Self {
        Self::Net(net)
    }
}

impl FromStr for Addresses {
    type Err = AddressesError;

    /// An address is a prefix of full length. Host bits are kept.
    fn from_str(text: &str) -> Result<Self, AddressesError> {
        if let Some(range) = address_range(text) {
            return range.map(Self::Range);
        }
        let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
        net.map(Self::Net).map_err(|_| AddressesError::Unknown { found: text.to_owned() })
    }
}

impl TryFrom<String> for Addresses {
    type Error = AddressesError;

    fn try_from(text: String) -> Result<Self, AddressesError> {
        text.parse()
    }
}

impl From<Addresses> for String {
    fn from(addresses: Addresses) -> Self {
        addresses.to_string()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => net.fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> AddressRange {
        address_range(text).unwrap().unwrap()
    }

    #[test]
    fn entries_are_written_as_they_are_parsed() {
        for text in
            ["10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32", "10.0.0.1-10.0.0.9", "::-ffff::", "::1-::1"]
        {
            assert_eq!(text.parse::<Addresses>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.1".parse::<Addresses>().unwrap().to_string(), "10.0.0.1/32");
        assert_eq!("10.0.0.1 - 10.0.0.9".parse::<Addresses>(), "10.0.0.1-10.0.0.9".parse());
        assert_ne!("10.0.0.0-10.0.0.255".parse::<Addresses>(), "10.0.0.0/24".parse());
    }

    #[test]
    fn what_is_no_entry_is_refused_with_what_is() {
        let said = |text: &str| text.parse::<Addresses>().unwrap_err().to_string();
        assert_eq!(
            said("10.0.0.9-10.0.0.1"),
            "the range 10.0.0.9-10.0.0.1 is reversed: write 10.0.0.1-10.0.0.9"
        );
        assert!(said("10.0.0.9-::1").contains("different families"), "{}", said("10.0.0.9-::1"));
        for text in
            ["", "web", "10.0.0.1-", "-", "10.0.0.0/24-10.0.1.0/24", "10.0.0.1-2", "1-2-3", "10.0.0.0/33"]
        {
            assert!(said(text).contains("is no address, prefix or range"), "{text}");
        }
    }

    #[test]
    fn the_widest_ranges_are_of_so_many_prefixes() {
        let count = |text| range(text).prefixes().count();
        assert_eq!(count("0.0.0.0-255.255.255.255"), 1);
        assert_eq!(count("0.0.0.1-255.255.255.254"), 62);
        assert_eq!(count("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 1);
        assert_eq!(count("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), 254);
    }

    /// Whether the prefixes of a range touch each other, begin and end as it does, and are as few as possible.
    fn check(range: AddressRange) {
        let nets: Vec<IpNet> = range.prefixes().collect();
        assert_eq!(nets.first().unwrap().network(), range.first());
        assert_eq!(nets.last().unwrap().broadcast(), range.last());
        let bits = |address: IpAddr| v6(address).to_bits();
        for pair in nets.windows(2) {
            assert_eq!(bits(pair[0].broadcast()) + 1, bits(pair[1].network()), "{range}");
        }
        assert_eq!(IpNet::aggregate(&nets), nets);
    }

    proptest! {
        #[test]
        fn the_prefixes_of_a_range_hold_its_addresses(v4: [u32; 2], v6: [u128; 2], shift in 0..128_u32) {
            let [a, b] = v4.map(Ipv4Addr::from_bits);
            check(AddressRange::new(a.min(b).into(), a.max(b).into()).unwrap());
            let [a, b] = v6.map(|bits| Ipv6Addr::from_bits(bits >> shift));
            check(AddressRange::new(a.min(b).into(), a.max(b).into()).unwrap());
        }
    }
}
