//! The network devices of the host, as they are now: one scan, no state. It must never know which of them the policy names.
//! Called by the agent whenever something may have changed, and by `sgctl` if a policy leaves addresses to the device.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use nix::{
    ifaddrs::getifaddrs,
    net::if_::{InterfaceFlags, if_nametoindex},
    sys::socket::SockaddrStorage,
};
use sg_kernel::links::{self, Link};
use sg_model::{DeviceFacts, Mac};

use super::error::HostError;

/// A device found by the scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The interface index; a recreated device has another one.
    pub index: u32,
    /// The ARPHRD number.
    pub link_type: u16,
    /// What its packets begin with.
    pub header: Header,
    /// Its properties that policies use.
    pub facts: DeviceFacts,
}

/// What the packets of a device begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// The IP header: the device is a tunnel.
    None,
    /// Anything else.
    Other,
}

impl Header {
    /// The header of a device of `link_type`, an ARPHRD number. `has_one_end` says whether the device has a single remote end:
    /// GRE devices without one get packets from the kernel with the outer headers in front (`ipgre_header_ops`,
    /// `net/ipv4/ip_gre.c`).
    fn of(link_type: u16, has_one_end: bool) -> Self {
        // Not in `libc`: include/uapi/linux/if_arp.h.
        const ARPHRD_IP6GRE: u16 = 823;
        const ARPHRD_RAWIP: u16 = 519;
        match link_type {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Self::Ethernet,
            libc::ARPHRD_NONE
            | ARPHRD_RAWIP
            | libc::ARPHRD_PPP
            | libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT => Self::None,
            libc::ARPHRD_IPGRE | ARPHRD_IP6GRE if has_one_end => Self::None,
            _ => Self::Other,
        }
    }
}

/// The devices, by name.
pub type Devices = BTreeMap<String, Found>;

/// Scans the devices once.
///
/// # Errors
/// If the kernel does not report them.
pub fn scan() -> Result<Devices, HostError> {
    let mut devices = Devices::new();
    let entries = getifaddrs().map_err(|errno| HostError::Devices { source: errno.into() })?;
    for entry in entries {
        // The name of an IPv4 alias ("eth0:1") is a label of the address, not a device.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        let found = devices.entry(name.to_owned()).or_default();
        let Some(address) = entry.address else {
            // A link without a hardware address: a tunnel. glibc reports only its name.
            found.index = if_nametoindex(name).unwrap_or(0);
            found.link_type = libc::ARPHRD_NONE;
            found.header = Header::None;
            found.facts.is_layer_3 = true;
            continue;
        };
        if let Some(link) = address.as_link_addr() {
            found.index = link.ifindex() as u32;
            found.link_type = link.hatype();
            let has_one_end = entry.flags.contains(InterfaceFlags::IFF_POINTOPOINT)
                && !entry.flags.contains(InterfaceFlags::IFF_BROADCAST);
            found.header = Header::of(found.link_type, has_one_end);
            found.facts.is_layer_3 = found.header == Header::None;
            // Others have an IP address in this field.
            found.facts.mac = link.addr().filter(|_| found.header == Header::Ethernet).and_then(Mac::of);
        } else if let Some(address) = ip(&address) {
            let mask = entry.netmask.as_ref().and_then(ip);
            found.facts.connected.extend(mask.and_then(|mask| IpNet::with_netmask(address, mask).ok()));
            found.facts.addresses.push(address);
        }
    }
    // A device that vanished during the scan can leave addresses without a device.
    devices.retain(|_, found| found.index != 0);
    stack(&mut devices, &links::all().map_err(|source| HostError::Devices { source })?);
    for found in devices.values_mut() {
        // The kernel's order is not a property of the device; it must not change an image.
        let DeviceFacts { is_layer_3: _, mac: _, addresses, connected, above } = &mut found.facts;
        addresses.sort_unstable();
        addresses.dedup();
        for nets in [connected, above] {
            nets.sort_unstable();
            nets.dedup();
        }
    }
    Ok(devices)
}

/// Records for each device the devices above it, direct and indirect.
fn stack(devices: &mut Devices, links: &[Link]) {
    let mut steps: HashMap<u32, Vec<u32>> = HashMap::new();
    for (lower, upper) in links.iter().flat_map(Link::steps_up) {
        steps.entry(lower).or_default().push(upper);
    }
    if steps.is_empty() {
        return;
    }
    let connected: HashMap<u32, Vec<IpNet>> =
        devices.values().map(|found| (found.index, found.facts.connected.clone())).collect();
    for found in devices.values_mut() {
        let mut seen = vec![found.index];
        let mut at = 0;
        while let Some(lower) = seen.get(at) {
            let uppers = steps.get(lower).into_iter().flatten();
            at += 1;
            for &upper in uppers {
                if !seen.contains(&upper) {
                    seen.push(upper);
                    found.facts.above.extend(connected.get(&upper).into_iter().flatten());
                }
            }
        }
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::V4(address.as_sockaddr_in()?.ip()));
    let v6 = || Some(IpAddr::V6(Ipv6Addr::from(address.as_sockaddr_in6()?.ip().octets())));
    v4().or_else(v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_found_with_its_number() {
        let devices = scan().unwrap();
        let lo = devices.get("lo").expect("every network namespace has lo");
        assert!(lo.index > 0 && lo.header == Header::Ethernet);
        assert_eq!(lo.facts.mac, None, "its Ethernet address is nobody's");
        assert!(lo.facts.connected.contains(&"127.0.0.1/8".parse().unwrap()), "{lo:?}");
    }

    #[test]
    fn tunnels_have_no_header_of_their_own() {
        for (link_type, has_one_end, header) in [
            (libc::ARPHRD_ETHER, false, Header::Ethernet),
            (libc::ARPHRD_NONE, false, Header::None),
            (libc::ARPHRD_TUNNEL, false, Header::None),
            (libc::ARPHRD_TUNNEL6, true, Header::None),
            (libc::ARPHRD_SIT, false, Header::None),
            (libc::ARPHRD_IPGRE, true, Header::None),
            (libc::ARPHRD_IPGRE, false, Header::Other),
            (823, true, Header::None),
            (823, false, Header::Other),
            (libc::ARPHRD_INFINIBAND, false, Header::Other),
        ] {
            assert_eq!(Header::of(link_type, has_one_end), header, "{link_type} {has_one_end}");
        }
    }
}
