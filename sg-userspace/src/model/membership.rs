//! Who belongs to a group: the addresses that the document names, and those of the NICs that hold it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{GroupIndex, Policy};

impl Policy {
    /// The addresses of the members of `group`, on this host and elsewhere.
    #[must_use]
    pub fn members(&self, group: GroupIndex) -> BTreeSet<IpAddr> {
        self.members_elsewhere(group).iter().chain(self.members_here(group)).copied().collect()
    }

    /// The addresses of the NICs of this host that hold `group`.
    pub fn members_here(&self, group: GroupIndex) -> impl Iterator<Item = &IpAddr> {
        self.holders(group).flat_map(|nic| &nic.addresses)
    }
}
