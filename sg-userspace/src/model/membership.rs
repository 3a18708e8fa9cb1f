//! Who belongs to a group: the addresses that the document names, and those of the NICs that hold it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{GroupIndex, Policy};

impl Policy {
    /// The addresses of the members of `group`, on this host and elsewhere.
    #[must_use]
    pub fn members(&self, group: GroupIndex) -> BTreeSet<IpAddr> {
        let elsewhere = self.members_elsewhere(group).iter().copied();
        let here =
            self.nics().iter().filter(|nic| nic.groups.contains(&group)).flat_map(|nic| &nic.addresses);
        elsewhere.chain(here.copied()).collect()
    }
}
