//! Everything that can refuse a policy, before anything is changed: devices that cannot be filtered, too many
//! NICs or rules, an image over budget. Pure but for the time it takes. Called by `reconcile` for every change,
//! and by `start` before it takes an old filter off for good.

use std::collections::BTreeMap;

use super::{
    AgentError, Catalog, NicRecord, Numbers,
    devices::Devices,
    images::{Compiled, Images},
    numbers::Renumbered,
    plan::Wanted,
    slots,
};
use crate::model::{Direction, Nic, Policy};

/// A policy that nothing refuses any more, ready to be put in force.
pub(super) struct Prepared {
    /// The NICs, in the order of the policy.
    pub(super) wanted: Vec<Wanted>,
    /// What the catalog would say of each, were it new.
    pub(super) fresh: Vec<NicRecord>,
    pub(super) numbers: Numbers,
    /// Numbers that change their owner.
    pub(super) reused: Vec<u32>,
    /// The images, by slot.
    pub(super) compiled: BTreeMap<u16, Compiled>,
}

/// Fills in what the devices know, and prepares `policy` as the successor of what `catalog` says is in force.
pub(super) fn prepare(
    policy: &mut Policy,
    devices: &Devices,
    catalog: &Catalog,
    images: &Images,
) -> Result<Prepared, AgentError> {
    let addresses = |device: &str| devices.get(device).map(|found| found.addresses.clone());
    policy.set_device_addresses(|device| addresses(device).unwrap_or_default());
    let limits = catalog.limits;
    let names: Vec<&str> = policy.nics().iter().map(|nic| nic.device.as_str()).collect();
    let slots = slots::assign(&names, &catalog.nics, limits.nics)?;
    let Renumbered { numbers, reused } = catalog.numbers.renumber(policy, limits.nics, limits.counters)?;
    let compiled = images.compile_all(policy, &slots, &numbers, catalog)?;

    let (mut wanted, mut fresh) = (Vec::new(), Vec::new());
    for (nic, (&slot, image)) in policy.nics().iter().zip(slots.iter().map(|slot| (slot, &compiled[slot]))) {
        let found = devices.get(&nic.device).filter(|found| found.has_ethernet_header());
        wanted.push(Wanted {
            device: nic.device.clone(),
            slot,
            index: found.map(|found| found.index),
            fingerprint: image.fingerprint,
        });
        fresh.push(fresh_record(policy, nic, slot));
    }
    Ok(Prepared { wanted, fresh, numbers, reused, compiled })
}

fn fresh_record(policy: &Policy, nic: &Nic, slot: u16) -> NicRecord {
    NicRecord {
        device: nic.device.clone(),
        slot,
        ifindex: None,
        generation: 0,
        groups: nic.groups.iter().map(|&group| policy.group(group).name.clone()).collect(),
        ingress_default: policy.effective(nic, Direction::Ingress).default.into(),
        egress_default: policy.effective(nic, Direction::Egress).default.into(),
        published: None,
        current: false,
    }
}

/// The devices of the policy that exist and cannot be filtered.
pub(super) fn unfit(policy: &Policy, devices: &Devices) -> Vec<AgentError> {
    let unfit = |nic: &Nic| {
        let found = devices.get(&nic.device).filter(|found| !found.has_ethernet_header())?;
        Some(AgentError::NoEthernetHeader { device: nic.device.clone(), link_type: found.link_type })
    };
    policy.nics().iter().filter_map(unfit).collect()
}
