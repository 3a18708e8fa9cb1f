//! Addresses and prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, ipv4_mask_to_prefix};
use sg_model::{AddressRange, Addresses, AddressesError, Family, FamilyName, address_range, text::digits};

use super::{
    node::{Node, Value},
    problem::Problem,
    read::Read,
    words::Excerpt,
};

/// The first 96 bits of an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2).
const MAPPED: u32 = 96;

/// A bare address.
pub(super) fn address(node: &Node) -> Read<'_, IpAddr> {
    const ALLOWED: &str = "write one address, such as 10.0.0.5 or \"2001:db8::5\"";
    let address = match &node.value {
        Value::Text(text) => text.parse().map_err(|_| node.unfit(ALLOWED))?,
        _ => return Err(node.unfit(ALLOWED)),
    };
    refuse_mapped(node, address)?;
    Ok(address)
}

/// An address or a prefix as written: host bits may be set. `allowed` describes the valid values.
pub(super) fn prefix<'d>(node: &'d Node, allowed: &'static str) -> Read<'d, IpNet> {
    let Value::Text(text) = &node.value else { return Err(node.unfit(allowed)) };
    if let Some(problem) = range(node, text) {
        return Err(node.fails(problem));
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text.as_str(), None),
    };
    let address: IpAddr = address.parse().map_err(|_| node.unfit(allowed))?;
    let (family, longest) = match address {
        IpAddr::V4(_) => (Family::V4, 32),
        IpAddr::V6(_) => (Family::V6, 128),
    };
    let length = match length {
        None => longest,
        Some(written) => digits(written).filter(|&length| length <= longest).ok_or_else(|| {
            let found = node.excerpt();
            let netmask = netmask(written).and_then(|length| IpNet::new(address, length).ok());
            node.fails(match netmask.filter(|_| family == Family::V4) {
                Some(instead) => Problem::Netmask { found, instead },
                None => Problem::PrefixLength { found, family: FamilyName(family), longest },
            })
        })?,
    };
    if let Some((mapped, length)) = mapped(address).zip(u32::from(length).checked_sub(MAPPED)) {
        let instead = if length == 32 { mapped.to_string() } else { v4_prefix(mapped, length) };
        return Err(node.fails(Problem::Mapped { found: Excerpt::value(text), instead }));
    }
    // The length was checked, so this never fails.
    IpNet::new(address, length).map_err(|_| node.unfit(allowed))
}

/// An entry of a prefix list: a range, or what [`prefix`] reads.
pub(super) fn entry<'d>(node: &'d Node, allowed: &'static str) -> Read<'d, Addresses> {
    let Value::Text(text) = &node.value else { return Err(node.unfit(allowed)) };
    let Some(range) = address_range(text) else { return prefix(node, allowed).map(Addresses::Net) };
    let range = range.map_err(|error| node.fails(Problem::WrongRange(error)))?;
    if let Some((first, last)) = mapped(range.first()).zip(mapped(range.last())) {
        let instead = format!("{first}-{last}");
        return Err(node.fails(Problem::Mapped { found: node.excerpt(), instead }));
    }
    Ok(Addresses::Range(range))
}

/// The problem of `10.0.0.1-10.0.0.9` where a prefix belongs; `None` if it is written otherwise.
fn range(node: &Node, text: &str) -> Option<Problem> {
    /// More prefixes than these are not shown.
    const SHOWN: usize = 8;
    let range = match address_range(text)? {
        Ok(range) => range,
        Err(AddressesError::Reversed { first, last }) => AddressRange::new(last, first).ok()?,
        Err(_) => return None,
    };
    let all: Vec<IpNet> = range.prefixes().take(SHOWN + 1).collect();
    let more = all.len() > SHOWN;
    Some(Problem::AddressRange {
        found: node.excerpt(),
        prefixes: all.into_iter().take(SHOWN).collect(),
        more,
    })
}

/// The length of a netmask, or of its complement, which routers write.
fn netmask(text: &str) -> Option<u8> {
    let mask: Ipv4Addr = text.parse().ok()?;
    let complement = Ipv4Addr::from_bits(!mask.to_bits());
    ipv4_mask_to_prefix(mask).or_else(|_| ipv4_mask_to_prefix(complement)).ok()
}

fn refuse_mapped(node: &Node, address: IpAddr) -> Read<'_, ()> {
    match mapped(address) {
        None => Ok(()),
        Some(mapped) => {
            let instead = mapped.to_string();
            Err(node.fails(Problem::Mapped { found: node.excerpt(), instead }))
        }
    }
}

fn mapped(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Ipv6Addr::to_ipv4_mapped(&address),
    }
}

fn v4_prefix(address: Ipv4Addr, length: u32) -> String {
    Ipv4Net::new(address, length as u8).map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
}
