//! Everything that can refuse a policy, before anything is changed: devices that cannot be filtered, too many NICs or rules, an
//! image over budget. Pure, but takes time; it must never change what is in force. Called by `apply` for every change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sg_model::{DeviceFacts, Direction, Hook, Nic, Policy};

use super::{
    renumber::{Renumbered, renumber},
    steps::Wanted,
};
use crate::{
    error::AgentError,
    host::{
        catalog::{Catalog, NicRecord},
        devices::{Devices, Found, Header},
        numbers::Numbers,
    },
    state::{
        images::{Compiled, ImageRequest, Images, KnownImages, PreparedImages},
        records::Records,
    },
};

/// The facts of a device that does not exist.
static NONE: DeviceFacts = DeviceFacts {
    is_layer_3: false,
    mac: None,
    addresses: Vec::new(),
    connected: Vec::new(),
    above: Vec::new(),
};

/// A policy that passed all checks, ready to be put in force.
pub(crate) struct Prepared {
    /// The NICs, in the order of the policy.
    pub(crate) wanted: Vec<Wanted>,
    /// The catalog record of each as a new NIC; in the same order.
    pub(crate) fresh: Vec<NicRecord>,
    /// The position of each slot in that order.
    pub(crate) places: HashMap<u16, usize>,
    pub(crate) numbers: Numbers,
    /// Numbers that change their owner.
    pub(crate) reused: Vec<u32>,
    /// The images to be published, by slot.
    pub(crate) compiled: BTreeMap<u16, Compiled>,
    /// What is known of all images of the policy.
    pub(crate) known: KnownImages,
}

impl Prepared {
    /// The catalog record of a slot's NIC as a new one.
    pub(crate) fn fresh_at(&self, slot: u16) -> Option<&NicRecord> {
        self.places.get(&slot).and_then(|&place| self.fresh.get(place))
    }
}

/// The facts of a device.
pub(crate) fn facts_of<'a>(device: &str, devices: &'a Devices) -> &'a DeviceFacts {
    devices.get(device).map_or(&NONE, |found| &found.facts)
}

/// Fills in the facts of the devices.
pub(crate) fn fill_in(policy: &mut Arc<Policy>, devices: &Devices) {
    let stale = |nic: &Nic| nic.device_facts != *facts_of(&nic.device, devices);
    // If the policy is shared, a copy is changed.
    if policy.nics().iter().any(stale) {
        Arc::make_mut(policy).set_device_facts(|device| facts_of(device, devices).clone());
    }
}

/// Prepares `policy` as the successor of what is in force: `records` and the numbers of `catalog`.
pub(crate) fn prepare(
    policy: &Policy,
    devices: &Devices,
    catalog: &Catalog,
    records: &Records,
    images: &mut Images,
) -> Result<Prepared, AgentError> {
    let limits = catalog.limits;
    let names: Vec<&str> = policy.nics().iter().map(|nic| nic.device.as_str()).collect();
    let slots = records.assign_slots(&names, limits.nics)?;
    let limits = (limits.nics, limits.counters);
    let Renumbered { numbers, reused } = renumber(&catalog.numbers, policy, limits)?;

    let found: Vec<Option<u32>> = policy
        .nics()
        .iter()
        .map(|nic| Some(devices.get(&nic.device).filter(|found| unfitness(nic, found).is_none())?.index))
        .collect();
    let asked: Vec<ImageRequest<'_>> = policy
        .nics()
        .iter()
        .zip(slots.iter().zip(&found))
        .map(|(nic, (&slot, found))| {
            let published = records.of(slot, &nic.device).and_then(|record| record.published);
            ImageRequest { nic, slot, has_device: found.is_some(), published }
        })
        .collect();
    let PreparedImages { fingerprints, compiled, known } = images.of(policy, &numbers, &asked)?;
    let wanted = asked.iter().zip(found.into_iter().zip(fingerprints));
    let wanted = wanted.map(|(asked, (index, fingerprint))| {
        let (device, slot) = (asked.nic.device.clone(), asked.slot);
        Wanted { device, slot, index, hook: asked.nic.hook, fingerprint }
    });
    let wanted = wanted.collect();
    let fresh = asked.iter().map(|asked| fresh_record(policy, asked.nic, asked.slot)).collect();
    let places = slots.into_iter().zip(0..).collect();
    Ok(Prepared { wanted, fresh, places, numbers, reused, compiled, known })
}

fn fresh_record(policy: &Policy, nic: &Nic, slot: u16) -> NicRecord {
    NicRecord {
        device: nic.device.clone(),
        slot,
        ifindex: None,
        hook: nic.hook,
        generation: 0,
        groups: nic.groups.iter().map(|&group| policy.group(group).name.clone()).collect(),
        ingress_default: policy.default_of(nic, Direction::Ingress).into(),
        egress_default: policy.default_of(nic, Direction::Egress).into(),
    }
}

/// Errors for devices of the policy that exist and cannot be filtered.
pub(crate) fn unfit(policy: &Policy, devices: &Devices) -> Vec<AgentError> {
    policy.nics().iter().filter_map(|nic| unfitness(nic, devices.get(&nic.device)?)).collect()
}

/// Why the device found for `nic` cannot be filtered.
fn unfitness(nic: &Nic, found: &Found) -> Option<AgentError> {
    let device = || nic.device.clone();
    match (found.header, nic.hook) {
        (Header::Other, _) => Some(AgentError::OtherHeader { device: device(), link_type: found.link_type }),
        (Header::None, Hook::Xdp) => Some(AgentError::TunnelXdp { device: device() }),
        (Header::None, Hook::Tc) if !nic.ethertypes.is_empty() => {
            Some(AgentError::TunnelEthertypes { device: device() })
        }
        (Header::Ethernet, _) | (Header::None, Hook::Tc) => None,
    }
}
