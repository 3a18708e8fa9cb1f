//! Which ports there are: the one of a path, and those that a query selects. Filters beyond the comparison with a field are here,
//! for all versions. It must never change anything.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde_json::Value;
use sg_records::{Nic, net, uuid_of};
use sg_service::{Service, State};

use super::shown::network;
use crate::huawei::{
    Call, Fault, ids, objects,
    paging::{Ordered, ordered},
    problem::Subject,
    selection::Selection,
};

/// The port that the path names.
pub(in crate::huawei) fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Nic>, Fault> {
    let text = call.value("port_id");
    objects::nic(state, call, text).ok_or_else(|| call.not_found(Subject::Port, "Port", text))
}

/// All ports, and how one is shown, with what its device is, that the query selects.
pub(in crate::huawei) fn all<'a>(
    service: &Service,
    call: &'a Call,
    shown: impl Fn(&Call, &Nic) -> Value + 'a,
) -> (Ordered<Arc<Nic>>, impl Fn(&Arc<Nic>) -> Option<Value> + 'a) {
    let (state, devices) = (service.snapshot(), service.devices());
    let here = state.nics().values().filter(|nic| nic.region == call.project.region);
    let selection = Selection::with(call, &APART, |_, _| None);
    let apart = Apart::of(call);
    let shown = move |nic: &Arc<Nic>| {
        let nic = devices.view(nic).nic;
        apart.admits(&nic).then(|| selection.admit(shown(call, &nic))).flatten()
    };
    (ordered(here.cloned(), |nic| uuid_of(&nic.id)), shown)
}

/// Filters that are more than the comparison with a field.
const APART: [&str; 4] = ["device_owner_prefixlike", "private_ips", "fixed_ips", "allowed_address_pairs"];

/// What those filters say; a query that has none of one says nothing.
struct Apart<'a> {
    owner: Option<&'a str>,
    /// Without those that are no address, which no port has.
    addresses: Option<BTreeSet<IpAddr>>,
    subnets: BTreeSet<String>,
    /// Without those that are no address or prefix.
    pairs: Option<BTreeSet<IpNet>>,
}

impl<'a> Apart<'a> {
    /// A value of addresses is `ip_address=ADDRESS`, `subnet_id=ID`, or an address; one of address pairs is `ip_address=ADDRESS`,
    /// or an address or prefix.
    fn of(call: &'a Call) -> Self {
        let (mut addresses, mut subnets) = (None, BTreeSet::new());
        for value in call.query.texts("private_ips").chain(call.query.texts("fixed_ips")) {
            let address = match value.split_once('=') {
                Some(("subnet_id" | "subnet_cidr_id", subnet)) => {
                    let id = ids::uuid(subnet).map(|id| id.to_string());
                    subnets.insert(id.unwrap_or_else(|| subnet.to_owned()));
                    continue;
                }
                Some(("ip_address", address)) => address,
                _ => value,
            };
            addresses.get_or_insert_with(BTreeSet::new).extend(address.parse::<IpAddr>());
        }
        let mut pairs = None;
        for value in call.query.texts("allowed_address_pairs") {
            let address = value.strip_prefix("ip_address=").unwrap_or(value);
            pairs.get_or_insert_with(BTreeSet::new).extend(net(address));
        }
        Self { owner: call.query.text("device_owner_prefixlike"), addresses, subnets, pairs }
    }

    /// Whether a NIC has one of the addresses, is in one of the subnets, and so on.
    fn admits(&self, nic: &Nic) -> bool {
        let owner = || nic.instance.as_ref().map(|_| format!("compute:{}", nic.region)).unwrap_or_default();
        let pairs = &nic.senders.allowed_address_pairs;
        self.owner.is_none_or(|start| owner().starts_with(start))
            && self.addresses.as_ref().is_none_or(|all| nic.addresses.iter().any(|one| all.contains(one)))
            && (self.subnets.is_empty() || self.subnets.contains(&network(nic)))
            && self.pairs.as_ref().is_none_or(|all| pairs.iter().any(|pair| all.contains(&pair.address)))
    }
}
