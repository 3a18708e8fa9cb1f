//! The devices of this host, as far as a policy asks for them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::Context;
use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex};

/// The addresses that are configured on each device.
pub(super) fn addresses() -> anyhow::Result<HashMap<String, Vec<IpAddr>>> {
    let mut found: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for device in getifaddrs().context("asking for the addresses of this host's devices")? {
        let Some(address) = device.address else { continue };
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(Ipv4Addr::from(v4.ip())));
        let v6 = || address.as_sockaddr_in6().map(|v6| IpAddr::V6(Ipv6Addr::from(v6.ip())));
        if let Some(address) = v4.or_else(v6) {
            found.entry(device.interface_name).or_default().push(address);
        }
    }
    Ok(found)
}

/// Whether this host has the device now.
pub(super) fn exists(device: &str) -> bool {
    if_nametoindex(device).is_ok()
}
