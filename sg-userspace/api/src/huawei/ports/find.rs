//! Which ports there are: the one of a path, and those that a query selects. Filters beyond the comparison with a field are here,
//! for all versions. It must never change anything.

use std::sync::Arc;

use serde_json::Value;
use sg_records::{Nic, uuid_of};
use sg_service::{Service, State};

use super::shown::network;
use crate::huawei::{Call, Fault, objects, problem::Subject, selection::selects};

/// The port that the path names.
pub(in crate::huawei) fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Nic>, Fault> {
    let text = call.value("port_id");
    objects::nic(state, call, text).ok_or_else(|| call.not_found(Subject::Port, "Port", text))
}

/// The ports that the query selects, as `shown` shows them with what their devices are, in the order of their ids.
pub(in crate::huawei) fn all(
    service: &Service,
    call: &Call,
    shown: impl Fn(&Call, &Nic) -> Value,
) -> Vec<Value> {
    let (state, devices) = (service.snapshot(), service.devices());
    let of_project = state.nics().values().filter(|nic| nic.region == call.project.region);
    let mut found: Vec<(String, Value)> = of_project
        .map(|nic| devices.view(nic).nic)
        .map(|nic| (shown(call, &nic), nic))
        .filter(|(shown, nic)| selects(call, shown, |name, values| special(nic, name, values)))
        .map(|(shown, nic)| (uuid_of(&nic.id).to_string(), shown))
        .collect();
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    found.into_iter().map(|(_, shown)| shown).collect()
}

/// Filters that are more than the comparison with a field.
fn special(nic: &Nic, name: &str, values: &[&str]) -> Option<bool> {
    Some(match name {
        "device_owner_prefixlike" => {
            let owner = nic.instance.as_ref().map(|_| format!("compute:{}", nic.region));
            values.iter().any(|value| owner.as_deref().unwrap_or_default().starts_with(value))
        }
        "private_ips" | "fixed_ips" => has_addresses(nic, values),
        "allowed_address_pairs" => values.iter().any(|value| has_pair(nic, value)),
        _ => return None,
    })
}

/// Whether a NIC has one of the addresses and is in one of the subnets. A value is `ip_address=ADDRESS`, `subnet_id=ID`, or an
/// address.
fn has_addresses(nic: &Nic, values: &[&str]) -> bool {
    let (mut wanted, mut subnets) = (Vec::new(), Vec::new());
    for value in values {
        match value.split_once('=') {
            Some(("subnet_id" | "subnet_cidr_id", subnet)) => subnets.push(subnet),
            Some(("ip_address", address)) => wanted.push(address),
            _ => wanted.push(*value),
        }
    }
    let has = |address: &&str| address.parse().is_ok_and(|address| nic.addresses.contains(&address));
    (wanted.is_empty() || wanted.iter().any(has))
        && (subnets.is_empty() || subnets.contains(&network(nic).as_str()))
}

/// Whether a NIC has an allowed address pair with this address: `ip_address=ADDRESS`, or an address or prefix.
fn has_pair(nic: &Nic, value: &str) -> bool {
    let address = value.strip_prefix("ip_address=").unwrap_or(value);
    let pairs = &nic.senders.allowed_address_pairs;
    pairs
        .iter()
        .any(|pair| sg_records::shortest(pair.address) == address || pair.address.to_string() == address)
}
