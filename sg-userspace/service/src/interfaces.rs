//! Operations on NICs that come before their instance, and may change it: created with an address of their VPC, attached,
//! detached, and deleted once they are detached.
//!
//! It must never check the fields of a NIC: `nics` does, whose operations it runs. The ECS API calls it through `Service`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::Ipv4Net;
use sg_api_types::{LabelChange, RegisterNic, RemoveNics};
use sg_records::{Instance, Nic, NicId, Vpc};

use super::{Attachment, Field, Operation, Refusal, State, Tx, labels::changed};

/// The addresses at the end of a range that the vendor keeps for itself.
const KEPT_AT_THE_END: u32 = 3;

/// Registers a NIC in a VPC. It must have addresses of the VPC's range that no other NIC of the VPC has; if it has none, it gets
/// the first free one.
#[derive(Clone, Debug)]
pub struct CreateInterface(pub RegisterNic);

/// Attaches a NIC without an instance to one.
#[derive(Clone, Debug)]
pub struct AttachNic {
    /// Id of the NIC.
    pub nic: String,
    /// Id of the instance.
    pub instance: String,
}

/// Detaches a NIC from its instance. The primary NIC stays.
#[derive(Clone, Debug)]
pub struct DetachNic {
    /// Id of the NIC.
    pub nic: String,
    /// Id of the instance.
    pub instance: String,
}

/// Deletes a NIC that no instance has, and no device of this host.
#[derive(Clone, Debug)]
pub struct DeleteInterface {
    /// Id of the NIC.
    pub nic: String,
}

/// Changes the name, description or tags of an instance.
#[derive(Clone, Debug)]
pub struct ModifyInstance {
    /// Id of the instance.
    pub instance: String,
    /// What changes.
    pub label: LabelChange,
}

/// The addresses of a range that NICs may get: without the first one and the last three.
#[must_use]
pub fn usable(range: Ipv4Net) -> std::ops::RangeInclusive<Ipv4Addr> {
    let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
    let (first, last) = (first.saturating_add(1), last.saturating_sub(KEPT_AT_THE_END));
    Ipv4Addr::from(first)..=Ipv4Addr::from(last)
}

/// How many of them no NIC has.
#[must_use]
pub fn available(state: &State, vpc: &Vpc) -> u64 {
    let Some(range) = vpc.cidr.map(usable) else { return 0 };
    let (first, last) = (u64::from(u32::from(*range.start())), u64::from(u32::from(*range.end())));
    let taken = taken(state, vpc).into_iter().filter(|address| range.contains(address)).count() as u64;
    (last + 1).saturating_sub(first).saturating_sub(taken)
}

fn taken(state: &State, vpc: &Vpc) -> BTreeSet<Ipv4Addr> {
    let addresses = state.nics_of_vpc(&vpc.id).flat_map(|nic| &nic.addresses);
    addresses
        .filter_map(|address| if let IpAddr::V4(address) = address { Some(*address) } else { None })
        .collect()
}

impl Operation for CreateInterface {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let vpc = self.0.vpc.as_deref().map(|vpc| tx.find_vpc(vpc).map(|vpc| Vpc::clone(vpc))).transpose()?;
        let mut register = self.0.clone();
        if let Some(vpc) = vpc {
            if register.addresses.is_empty() {
                register.addresses.push(first_free(tx, &vpc)?);
            } else {
                unused(tx, &vpc, &register.addresses)?;
            }
        }
        register.run(tx)
    }
}

fn first_free(state: &State, vpc: &Vpc) -> Result<IpAddr, Refusal> {
    let missing = |why: &str| {
        let allowed = format!("VPC {} {why}: say the address of the NIC", vpc.id);
        Refusal::Missing { field: Field::Address, allowed }
    };
    let range = vpc.cidr.map(usable).ok_or_else(|| missing("has no range of addresses"))?;
    let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    // Those that are taken are sorted: the first gap is the first number that is not at its place.
    let mut next = first;
    for address in taken(state, vpc).into_iter().filter(|address| range.contains(address)) {
        if u32::from(address) != next {
            break;
        }
        next = next.saturating_add(1);
    }
    if next > last { Err(missing("has no free address")) } else { Ok(Ipv4Addr::from(next).into()) }
}

fn unused(state: &State, vpc: &Vpc, addresses: &[IpAddr]) -> Result<(), Refusal> {
    for address in addresses {
        if let (Some(range), IpAddr::V4(address)) = (vpc.cidr, address)
            && !usable(range).contains(address)
        {
            let allowed =
                format!("one of {range}, the range of VPC {}, but for its first and its last three", vpc.id);
            return Err(Refusal::invalid(Field::Address, address, allowed));
        }
        if let Some(nic) = state.nics_of_vpc(&vpc.id).find(|nic| nic.addresses.contains(address)) {
            return Err(Refusal::AddressTaken { address: *address, nic: nic.id.clone() });
        }
    }
    Ok(())
}

impl Operation for AttachNic {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let nic = Nic::clone(tx.find_nic(&self.nic)?);
        let instance = Instance::clone(tx.find_instance(&self.instance)?);
        if nic.instance.is_some() {
            return Err(Refusal::Attachment { nic: nic.id, found: Attachment::Attached });
        }
        // A document's NICs are those of a host, and it would take them back.
        if nic.label.owner.is_some() {
            return Err(Refusal::Attachment { nic: nic.id, found: Attachment::Owned });
        }
        if (&nic.region, &nic.vpc) != (&instance.region, &instance.vpc) {
            return Err(Refusal::OtherVpc {
                what: tx.called_nic(&nic).to_string(),
                found: tx.network(nic.vpc.as_ref()).into(),
                with: format!("instance {}", instance.id),
                wanted: tx.network(instance.vpc.as_ref()).into(),
                demand: "a NIC is in the VPC of its instance",
            });
        }
        let primary = tx.nics_of_instance(&instance.id).next().is_none();
        let nic = Nic { instance: Some(instance.id), primary, ..nic };
        tx.put(nic.clone());
        Ok(nic)
    }
}

impl Operation for DetachNic {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let nic = Nic::clone(tx.find_nic(&self.nic)?);
        let instance = &tx.find_instance(&self.instance)?.id;
        let found = match &nic.instance {
            None => Some(Attachment::Detached),
            Some(other) if other != instance => Some(Attachment::Elsewhere),
            Some(_) if nic.primary => Some(Attachment::Primary),
            Some(_) => None,
        };
        if let Some(found) = found {
            return Err(Refusal::Attachment { nic: nic.id, found });
        }
        let nic = Nic { instance: None, ..nic };
        tx.put(nic.clone());
        Ok(nic)
    }
}

impl Operation for DeleteInterface {
    type Output = Vec<NicId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<NicId>, Refusal> {
        let nic = tx.find_nic(&self.nic)?;
        let found = match (&nic.instance, &nic.device) {
            (Some(_), _) => Some(Attachment::Attached),
            (None, Some(_)) => Some(Attachment::Device),
            (None, None) => None,
        };
        if let Some(found) = found {
            return Err(Refusal::Attachment { nic: nic.id.clone(), found });
        }
        RemoveNics { nics: vec![nic.id.to_string()] }.run(tx)
    }
}

impl Operation for ModifyInstance {
    type Output = Instance;

    fn run(&self, tx: &mut Tx) -> Result<Instance, Refusal> {
        let mut instance = Instance::clone(tx.find_instance(&self.instance)?);
        instance.label = changed(tx, &instance.label, &self.label)?;
        tx.put(instance.clone());
        Ok(instance)
    }
}
