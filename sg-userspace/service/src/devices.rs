//! What the devices of this host say about NICs: the addresses of those that leave them to their device, and Ethernet addresses.
//!
//! It must never look at devices, nor wait for whoever does: it reads the policy that is in force, into which the agent has filled
//! the facts. Every API calls it through [`Service::devices`](super::Service::devices).

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use sg_api_types::{DeviceField, InstanceView, NicView};
use sg_model::{DeviceFacts, Mac, Policy, identifies};
use sg_records::{Instance, Nic, Role, uuid_of};

use super::State;

/// The devices of this host at one moment.
#[derive(Clone, Debug, Default)]
pub struct HostDevices {
    policy: Option<Arc<Policy>>,
    /// The places of the policy's NICs, sorted by the names of their devices. Most requests look at no device.
    places: OnceLock<Vec<usize>>,
}

impl HostDevices {
    /// The devices of the policy that is in force; `None`: there is none yet.
    #[must_use]
    pub const fn of(policy: Option<Arc<Policy>>) -> Self {
        Self { policy, places: OnceLock::new() }
    }

    /// The facts about the device of a NIC; `None` for a NIC of another host.
    fn facts(&self, nic: &Nic) -> Option<&DeviceFacts> {
        let (device, nics) = (nic.device.as_ref()?, self.policy.as_ref()?.nics());
        let device_at = |place: &usize| nics.get(*place).map(|nic| &nic.device);
        let places = self.places.get_or_init(|| {
            let mut places: Vec<usize> = (0..nics.len()).collect();
            places.sort_unstable_by_key(device_at);
            places
        });
        let found = places.binary_search_by_key(&Some(device), device_at).ok()?;
        Some(&nics.get(*places.get(found)?)?.device_facts)
    }

    /// The addresses of a NIC: its own or, if it has none, those of its device that can make it a member of a group. In order; empty
    /// for a device that does not exist.
    #[must_use]
    pub fn addresses_of<'n>(&self, nic: &'n Nic) -> Cow<'n, [IpAddr]> {
        if !nic.addresses.is_empty() {
            return Cow::Borrowed(&nic.addresses);
        }
        let mut addresses = self.facts(nic).map(|facts| facts.addresses_of(nic.role)).unwrap_or_default();
        addresses.retain(|address| identifies(*address));
        Cow::Owned(addresses)
    }

    /// The Ethernet address of a NIC: its own or, if it has none, that of the host's device. What a guest has behind its device is
    /// not known.
    #[must_use]
    pub fn mac_of(&self, nic: &Nic) -> Option<Mac> {
        let of_device = || self.facts(nic).and_then(|facts| facts.mac);
        nic.senders.mac.or_else(|| if nic.role == Role::Host { of_device() } else { None })
    }

    /// A NIC in a response.
    #[must_use]
    pub fn view(&self, nic: &Nic) -> NicView {
        let mut view = NicView::from(nic);
        if nic.device.is_some() && nic.addresses.is_empty() {
            view.nic.addresses = self.addresses_of(nic).into_owned();
            view.from_device.push(DeviceField::Addresses);
        }
        if nic.senders.mac.is_none() {
            view.nic.senders.mac = self.mac_of(nic);
            view.from_device.extend(view.nic.senders.mac.map(|_| DeviceField::Mac));
        }
        view
    }

    /// An instance in a response.
    #[must_use]
    pub fn instance_view(&self, state: &State, instance: &Instance) -> InstanceView {
        let mut nics: Vec<NicView> = state.nics_of_instance(&instance.id).map(|nic| self.view(nic)).collect();
        nics.sort_by_key(|view| !view.nic.primary);
        InstanceView { instance: instance.clone(), uuid: uuid_of(&instance.id), nics }
    }
}
