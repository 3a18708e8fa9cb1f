//! What a device says of itself that no document need repeat. It must never be asked for here: the agent looks at devices and
//! fills it in, for the NICs of its host only.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Mac;

/// What is known of the device of a NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Its addresses with the prefixes that they were configured with.
    pub connected: Vec<IpNet>,
}

impl DeviceFacts {
    /// The addresses of its networks that are nobody's: of IPv4 the first and the last of each, which are broadcasts (RFC 1122
    /// 3.2.1.3); of IPv6 the first, which any router may have (RFC 4291 2.6.1). Networks of two are without (RFC 3021,
    /// RFC 6164).
    pub fn nobody(&self) -> impl Iterator<Item = IpAddr> {
        self.connected.iter().filter(|net| net.prefix_len() + 1 < net.max_prefix_len()).flat_map(|net| {
            let last = matches!(net, IpNet::V4(_)).then(|| net.broadcast());
            [Some(net.network()), last].into_iter().flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_addresses_that_are_nobodys() {
        let nobody = |nets: &[&str]| {
            let connected = nets.iter().map(|net| net.parse().unwrap()).collect();
            let facts = DeviceFacts { connected, ..DeviceFacts::default() };
            facts.nobody().map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(nobody(&["10.77.1.2/23"]), ["10.77.0.0", "10.77.1.255"]);
        assert_eq!(nobody(&["fd77::2/64"]), ["fd77::"]);
        assert!(nobody(&["10.0.0.1/32", "10.0.0.4/31", "fd77::1/128", "fd77::2/127"]).is_empty());
    }
}
