//! A set of addresses, written as addresses and prefixes, with up to 100,000 entries.

use std::{collections::HashSet, net::IpAddr};

use ipnet::IpNet;

/// The prefixes, and the lengths that occur among them: a lookup takes one probe per length.
#[derive(Debug, Default)]
pub(super) struct AddressSet {
    prefixes: HashSet<IpNet>,
    lengths: [Vec<u8>; 2],
}

impl AddressSet {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        lengths.iter().any(|&length| {
            IpNet::new(address, length).is_ok_and(|prefix| self.prefixes.contains(&prefix.trunc()))
        })
    }
}

impl FromIterator<IpNet> for AddressSet {
    fn from_iter<T: IntoIterator<Item = IpNet>>(prefixes: T) -> Self {
        let mut set = Self::default();
        for prefix in prefixes {
            let lengths = &mut set.lengths[usize::from(prefix.addr().is_ipv6())];
            if !lengths.contains(&prefix.prefix_len()) {
                lengths.push(prefix.prefix_len());
            }
            set.prefixes.insert(prefix.trunc());
        }
        set
    }
}

impl FromIterator<IpAddr> for AddressSet {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        addresses.into_iter().map(IpNet::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_any_of_the_prefixes() {
        let prefixes = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::/0"];
        let set: AddressSet = prefixes.iter().map(|text| text.parse::<IpNet>().unwrap()).collect();
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("0.0.0.0", false),
            ("ffff::", true),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
    }
}
