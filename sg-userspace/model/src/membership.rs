//! The members of a group: the addresses that the document lists, and those of the NICs that hold it.
//!
//! **Link-local addresses are never members**, neither those of IPv6 (`fe80::/10`) nor those of IPv4 (`169.254.0.0/16`). Such an
//! address identifies a host on its own link only, and a group spans many links: any host on another link may have it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{GroupIndex, Policy, identifies};

impl Policy {
    /// The addresses of all members of `group`, of this host and of others.
    #[must_use]
    pub fn members(&self, group: GroupIndex) -> BTreeSet<IpAddr> {
        let elsewhere = self.remote_members(group).iter().filter(|address| identifies(**address));
        elsewhere.chain(self.local_members(group)).copied().collect()
    }

    /// The addresses of this host's NICs that hold `group`, without those that cannot be members.
    pub fn local_members(&self, group: GroupIndex) -> impl Iterator<Item = &IpAddr> {
        self.holders(group).flat_map(|nic| &nic.addresses).filter(|address| identifies(**address))
    }
}
