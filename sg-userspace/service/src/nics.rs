//! Operations on NICs and instances. A NIC without a device is on another host: only its addresses are known.
//!
//! This file never looks at devices. The native API calls it through `Service`; `integrity` calls its checks.

use std::net::IpAddr;

use sg_api_types::{
    InstanceView, ModifyNic, NicView, RegisterInstance, RegisterNic, RemoveInstances, RemoveNics,
};
use sg_model::{Ethertype, Ipsec, fit_one_nic};
use sg_records::{Group, Hook, Id as _, Instance, InstanceId, Nic, NicId, NicType, Role, uuid_of};
use sg_store::Key;

use super::{
    Field, Kind, Operation, Refusal, Tx,
    groups::{default_group, place},
    labels::{changed, label},
    membership::check_groups,
    quota,
};

/// The maximum length of a device name (`IFNAMSIZ` of `linux/if.h`, without the terminating byte).
const LONGEST_DEVICE: usize = 15;

impl Operation for RegisterNic {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let id = chosen(self.id.as_deref(), NicId::PREFIX, NicId::has_form)?
            .map_or_else(NicId::random, NicId::from);
        if tx.nic(&id).is_some() {
            return Err(Refusal::Exists { kind: Kind::Nic, id: id.to_string() });
        }
        let instance =
            self.instance.as_deref().map(|text| tx.find_instance(text).map(|found| Instance::clone(found)));
        let instance = instance.transpose()?;
        let (region, vpc) = match &instance {
            Some(instance) => (instance.region.clone(), instance.vpc.clone()),
            None => place(tx, &self.region, self.vpc.as_deref())?,
        };
        if let (Some(instance), Some(wanted)) = (&instance, &self.vpc) {
            let wanted = tx.find_vpc(wanted)?.id.clone();
            if Some(&wanted) != instance.vpc.as_ref() {
                return Err(Refusal::OtherVpc {
                    what: "the NIC".to_owned(),
                    found: tx.network(Some(&wanted)).into(),
                    with: format!("instance {}", instance.id),
                    wanted: tx.network(instance.vpc.as_ref()).into(),
                    demand: "a NIC is in the VPC of its instance",
                });
            }
        }
        device(tx, self.device.as_deref(), &id)?;
        addresses(&self.addresses, self.device.is_some())?;
        if let (Some(kind), false) = (self.default_type, self.groups.is_empty()) {
            let allowed = "only where the request names no groups";
            return Err(Refusal::invalid(Field::DefaultType, kind, allowed));
        }
        let groups = if self.groups.is_empty() {
            vec![default_group(tx, &region, vpc.as_ref(), self.default_type.unwrap_or_default())?]
        } else {
            let ids: Result<_, Refusal> =
                self.groups.iter().map(|text| Ok(tx.find_group(text)?.id.clone())).collect();
            ids?
        };
        let primary =
            instance.as_ref().is_some_and(|instance| tx.nics_of_instance(&instance.id).next().is_none());
        let nic = Nic {
            id,
            region,
            vpc,
            label: label(tx, &self.label)?,
            instance: instance.map(|instance| instance.id),
            primary,
            device: self.device.clone(),
            role: self.role,
            addresses: self.addresses.clone(),
            anti_spoofing: self.anti_spoofing,
            accept_own_source: self.accept_own_source,
            dhcp_servers: self.dhcp_servers.clone(),
            senders: self.senders.clone(),
            hook: self.hook,
            ipsec: self.ipsec,
            ethertypes: self.ethertypes.clone(),
            nic_type: self.nic_type,
            groups,
        };
        faces(&nic)?;
        hook(&nic)?;
        ethertypes(&nic.ethertypes)?;
        tx.put(nic.clone());
        check_groups(tx, &nic, &[])?;
        Ok(nic)
    }
}

/// Checks an id that a user chose.
fn chosen<'a>(
    id: Option<&'a str>,
    prefix: &str,
    has_form: fn(&str) -> bool,
) -> Result<Option<&'a str>, Refusal> {
    let Some(id) = id else { return Ok(None) };
    if has_form(id) {
        return Ok(Some(id));
    }
    let allowed = format!("{prefix} and letters, digits, `-`, `_`; 64 characters at most");
    Err(Refusal::invalid(Field::Name, id, allowed))
}

fn device(tx: &Tx, device: Option<&str>, nic: &NicId) -> Result<(), Refusal> {
    let Some(name) = device else { return Ok(()) };
    device_name(name)?;
    match tx.nic_of_device(name) {
        Some(other) if other.id != *nic => {
            Err(Refusal::DeviceTaken { device: name.to_owned(), nic: other.id.clone() })
        }
        _ => Ok(()),
    }
}

pub(super) fn device_name(name: &str) -> Result<(), Refusal> {
    let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if name.is_empty()
        || name.len() > LONGEST_DEVICE
        || !name.bytes().all(printable)
        || name == "."
        || name == ".."
    {
        let allowed = "the name of a network device, 1 to 15 characters";
        return Err(Refusal::invalid(Field::Device, name, allowed));
    }
    Ok(())
}

/// Checks that the fields of a NIC fit together, whatever else exists.
pub(super) fn check_parts(nic: &Nic) -> Result<(), Refusal> {
    nic.device.as_deref().map_or(Ok(()), device_name)?;
    addresses(&nic.addresses, nic.device.is_some())?;
    hook(nic)?;
    ethertypes(&nic.ethertypes)?;
    faces(nic)
}

/// Checks the network that a NIC faces: in a VPC it is always intranet.
fn faces(nic: &Nic) -> Result<(), Refusal> {
    if nic.vpc.is_some() && nic.nic_type == NicType::Internet {
        let allowed = "in a VPC every NIC faces intranet";
        return Err(Refusal::invalid(Field::NicType, nic.nic_type, allowed));
    }
    Ok(())
}

fn addresses(addresses: &[IpAddr], has_device: bool) -> Result<(), Refusal> {
    if addresses.is_empty() && !has_device {
        let allowed =
            "a NIC without a device is on another host: say its addresses, or its device".to_owned();
        return Err(Refusal::Missing { field: Field::Address, allowed });
    }
    for (place, address) in addresses.iter().enumerate() {
        if addresses[..place].contains(address) || address.is_unspecified() || address.is_multicast() {
            return Err(Refusal::invalid(Field::Address, address, "the addresses of one NIC, each once"));
        }
    }
    Ok(())
}

/// Checks hook, role and IPsec setting together. XDP judges what a device receives, which for a guest's NIC is outbound; packets
/// that IPsec decrypted arrive at tc alone.
fn hook(nic: &Nic) -> Result<(), Refusal> {
    if (nic.role, nic.hook) == (Role::Guest, Hook::Xdp) {
        let allowed = "tc for a NIC of role guest: xdp is for role host";
        return Err(Refusal::invalid(Field::Hook, "xdp", allowed));
    }
    let (found, allowed) = match (nic.role, nic.hook, nic.ipsec) {
        (Role::Guest, _, Some(Ipsec::Pass)) => {
            ("pass", "judge for a NIC of role guest: pass is for role host")
        }
        (_, Hook::Xdp, Some(Ipsec::Judge)) => (
            "judge",
            "pass with hook xdp, where what IPsec delivers does not come by again: judge is for hook tc",
        ),
        _ => return Ok(()),
    };
    Err(Refusal::invalid(Field::Ipsec, found, allowed))
}

/// Checks that one NIC may have all of these kinds. Each was checked by itself when it was parsed.
fn ethertypes(ethertypes: &[Ethertype]) -> Result<(), Refusal> {
    let found = || ethertypes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    fit_one_nic(ethertypes).map_err(|why| Refusal::invalid(Field::Ethertypes, found(), why.to_string()))
}

impl Operation for ModifyNic {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let mut nic = Nic::clone(tx.find_nic(&self.nic)?);
        nic.label = changed(tx, &nic.label, &self.label)?;
        if let Some(name) = &self.device {
            nic.device = (!name.is_empty()).then(|| name.clone());
            device(tx, nic.device.as_deref(), &nic.id)?;
        }
        nic.role = self.role.unwrap_or(nic.role);
        nic.anti_spoofing = self.anti_spoofing.or(nic.anti_spoofing);
        nic.accept_own_source = self.accept_own_source.unwrap_or(nic.accept_own_source);
        if let Some(new) = &self.dhcp_servers {
            nic.dhcp_servers.clone_from(new);
        }
        nic.senders.mac = self.mac.or(nic.senders.mac);
        if let Some(new) = &self.allowed_address_pairs {
            nic.senders.allowed_address_pairs.clone_from(new);
        }
        nic.hook = self.hook.unwrap_or(nic.hook);
        nic.ipsec = self.ipsec.or(nic.ipsec);
        hook(&nic)?;
        if let Some(new) = &self.ethertypes {
            nic.ethertypes.clone_from(new);
        }
        ethertypes(&nic.ethertypes)?;
        if let Some(new) = &self.addresses {
            nic.addresses.clone_from(new);
        }
        addresses(&nic.addresses, nic.device.is_some())?;
        let nic = tx.dated(nic);
        tx.put(nic.clone());
        for group in &nic.groups {
            let group = Group::clone(tx.find_group(group.as_str())?);
            quota::members_of_group(tx, &group)?;
        }
        Ok(nic)
    }
}

impl Operation for RemoveNics {
    type Output = Vec<NicId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<NicId>, Refusal> {
        let mut removed = Vec::with_capacity(self.nics.len());
        for text in &self.nics {
            let nic = Nic::clone(tx.find_nic(text)?);
            tx.delete(Key::Nic(nic.id.clone()));
            if let Some(instance) = nic.instance.filter(|_| nic.primary) {
                let heir = tx.nics_of_instance(&instance).next().map(|heir| Nic::clone(heir));
                if let Some(heir) = heir {
                    tx.put(Nic { primary: true, ..heir });
                }
            }
            removed.push(nic.id);
        }
        Ok(removed)
    }
}

impl Operation for RegisterInstance {
    type Output = InstanceView;

    fn run(&self, tx: &mut Tx) -> Result<InstanceView, Refusal> {
        let id = chosen(self.id.as_deref(), InstanceId::PREFIX, InstanceId::has_form)?;
        let id = id.map_or_else(InstanceId::random, InstanceId::from);
        if tx.instance(&id).is_some() {
            return Err(Refusal::Exists { kind: Kind::Instance, id: id.to_string() });
        }
        let (region, vpc) = place(tx, &self.region, self.vpc.as_deref())?;
        let instance = Instance { id: id.clone(), region, vpc, label: label(tx, &self.label)? };
        tx.put(instance.clone());
        let mut nics: Vec<NicView> = Vec::with_capacity(self.nics.len());
        for nic in &self.nics {
            let nic = RegisterNic { instance: Some(id.to_string()), ..nic.clone() };
            nics.push(NicView::from(&nic.run(tx)?));
        }
        Ok(InstanceView { uuid: uuid_of(&instance.id), instance, nics })
    }
}

impl Operation for RemoveInstances {
    type Output = Vec<InstanceId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<InstanceId>, Refusal> {
        let mut removed = Vec::with_capacity(self.instances.len());
        for text in &self.instances {
            let id = tx.find_instance(text)?.id.clone();
            let nics: Vec<Key> = tx.nics_of_instance(&id).map(|nic| Key::Nic(nic.id.clone())).collect();
            for nic in nics {
                tx.delete(nic);
            }
            tx.delete(Key::Instance(id.clone()));
            removed.push(id);
        }
        Ok(removed)
    }
}
