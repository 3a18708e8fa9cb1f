//! The addresses that a NIC may send from: its Ethernet address, and its allowed address pairs.
//!
//! This file must never decide whether anti-spoofing is on. Documents and records contain these types; the compiler and the
//! oracle read them.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use macaddr::MacAddr6;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The Ethernet address of a NIC (IEEE 802, EUI-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(MacAddr6);

/// A text that is not the Ethernet address of a NIC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no Ethernet address of a NIC, such as 02:00:00:00:00:05")]
pub struct NoMac {
    found: String,
}

impl Mac {
    /// Creates an Ethernet address; `None` if it cannot be that of a single NIC.
    #[must_use]
    pub fn of(bytes: [u8; 6]) -> Option<Self> {
        let mac = MacAddr6::from(bytes);
        // Nobody sends from a multicast address, nor from the zero address.
        (!mac.is_multicast() && !mac.is_nil()).then_some(Self(mac))
    }

    /// The key in [`sg_common::image::Dimension::Ethernet`].
    #[must_use]
    pub fn key(self) -> u64 {
        self.0.as_bytes().iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
    }

    /// The six bytes in wire order.
    #[must_use]
    pub fn bytes(self) -> [u8; 6] {
        self.0.into_array()
    }

    /// The link-local address derived from it (RFC 4291, appendix A).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
        let (vendor, device) = self.0.as_bytes().split_at(3);
        octets[8..11].copy_from_slice(vendor);
        octets[13..].copy_from_slice(device);
        octets[8] ^= 2;
        octets.into()
    }
}

impl FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Self, NoMac> {
        let no = || NoMac { found: text.to_owned() };
        let mac: MacAddr6 = text.parse().map_err(|_| no())?;
        Self::of(mac.into_array()).ok_or_else(no)
    }
}

impl TryFrom<String> for Mac {
    type Error = NoMac;

    fn try_from(text: String) -> Result<Self, NoMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes().map(|byte| format!("{byte:02x}"));
        f.write_str(&bytes.join(":"))
    }
}

/// An allowed address pair: addresses that a NIC may send from in addition to its own, such as that of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressPair {
    /// Prefix in CIDR notation, such as `10.0.0.9/32` for one address. Required.
    #[schema(value_type = String)]
    pub address: IpNet,
    /// Ethernet address to send from. Default: that of the NIC.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mac: Option<Mac>,
}

impl FromStr for AddressPair {
    type Err = String;

    /// Parses `10.0.0.9`, `10.0.0.0/28` or `10.0.0.9=00:00:5e:00:01:07`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, mac) = match text.split_once('=') {
            Some((address, mac)) => (address, Some(mac)),
            None => (text, None),
        };
        let address = address
            .parse::<IpNet>()
            .or_else(|_| address.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("{address:?} is no address or prefix"))?;
        let mac = mac.map(str::parse).transpose().map_err(|error: NoMac| error.to_string())?;
        Ok(Self { address: address.trunc(), mac })
    }
}

impl fmt::Display for AddressPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.mac.map_or(Ok(()), |mac| write!(f, "={mac}"))
    }
}

/// What anti-spoofing checks in addition to a NIC's IP addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct AllowedSources {
    /// Ethernet address of the NIC. Default: that of the device if the host owns it; for a guest, Ethernet addresses are not
    /// checked.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mac: Option<Mac>,
    /// Allowed address pairs: addresses that the NIC may send from in addition to its own. Default: none.
    #[serde(default)]
    pub allowed_address_pairs: Vec<AddressPair>,
}

impl AllowedSources {
    /// The known Ethernet addresses: those of pairs, then the NIC's.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        self.allowed_address_pairs.iter().filter_map(|pair| pair.mac).chain(self.mac)
    }

    /// Every pair of addresses that a NIC with these `addresses` may send from: its own, the allowed ones, and the link-local
    /// address derived from each Ethernet address.
    pub fn pairs(&self, addresses: &[IpAddr]) -> impl Iterator<Item = (IpNet, Option<Mac>)> {
        let own = addresses.iter().map(|address| (IpNet::from(*address), self.mac));
        let allowed = self.allowed_address_pairs.iter().map(|pair| (pair.address, pair.mac.or(self.mac)));
        let link_local = self.macs().map(|mac| (IpNet::from(IpAddr::V6(mac.link_local())), Some(mac)));
        own.chain(allowed).chain(link_local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_are_those_of_one_nic() {
        let mac: Mac = "52:54:00:12:34:56".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:12:34:56");
        assert_eq!(mac.key(), 0x5254_0012_3456);
        assert_eq!(mac.link_local(), "fe80::5054:ff:fe12:3456".parse::<Ipv6Addr>().unwrap());
        for no in ["", "52:54:00:12:34", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"] {
            assert!(no.parse::<Mac>().is_err(), "{no}");
        }
    }

    #[test]
    fn pairs_are_read_as_they_are_written() {
        for text in ["10.0.0.9/32", "10.0.0.0/28", "2001:db8::/64=00:00:5e:00:01:07"] {
            assert_eq!(text.parse::<AddressPair>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.9".parse::<AddressPair>().unwrap().to_string(), "10.0.0.9/32");
        assert!("10.0.0.9=nobody".parse::<AddressPair>().is_err());
    }

    #[test]
    fn a_nic_speaks_for_its_own_its_pairs_and_its_link_local_address() {
        let senders = AllowedSources {
            mac: Some("52:54:00:12:34:56".parse().unwrap()),
            allowed_address_pairs: vec!["10.0.0.9=00:00:5e:00:01:07".parse().unwrap()],
        };
        let own = ["10.0.0.5".parse().unwrap()];
        let texts: Vec<String> =
            senders.pairs(&own).map(|(net, mac)| format!("{net} {}", mac.unwrap())).collect();
        assert_eq!(
            texts,
            [
                "10.0.0.5/32 52:54:00:12:34:56",
                "10.0.0.9/32 00:00:5e:00:01:07",
                "fe80::200:5eff:fe00:107/128 00:00:5e:00:01:07",
                "fe80::5054:ff:fe12:3456/128 52:54:00:12:34:56",
            ]
        );
        let unknown = AllowedSources::default();
        let unknown: Vec<_> = unknown.pairs(&own).collect();
        assert_eq!(unknown, [("10.0.0.5/32".parse().unwrap(), None)]);
    }
}
