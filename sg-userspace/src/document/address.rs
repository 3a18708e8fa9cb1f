//! Addresses and prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    node::{Node, Value},
    problem::Problem,
    read::Read,
    words::Excerpt,
};
use crate::model::{Family, FamilyName};

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
        Some(digits) => decimal(digits).filter(|&length| length <= longest).ok_or_else(|| {
            let family = FamilyName(family);
            node.fails(Problem::PrefixLength { found: node.excerpt(), family, longest })
        })?,
    };
    if let Some((mapped, length)) = mapped(address).zip(u32::from(length).checked_sub(MAPPED)) {
        let instead = if length == 32 { mapped.to_string() } else { v4_prefix(mapped, length) };
        return Err(node.fails(Problem::Mapped { found: Excerpt::value(text), instead }));
    }
    // The length was checked, so this never fails.
    IpNet::new(address, length).map_err(|_| node.unfit(allowed))
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

/// Digits only: `str::parse` would also accept a sign.
fn decimal(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}
