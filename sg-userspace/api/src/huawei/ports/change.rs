//! What changes a port: groups, name and allowed address pairs in one operation; and the registration of a port on another host.
//!
//! The service decides what is refused. This file must never know the form of a response.

use std::net::IpAddr;

use sg_model::AddressPair;
use sg_records::{GroupType, Nic, Order};
use sg_service::{
    CreateInterface, Field, Join, LabelChange, ModifyNic, NewLabel, Operation, Refusal, RegisterNic,
    SetGroups, State, Tx, order_of,
};

use crate::huawei::{Call, Fault, objects, parameters::Fields};

/// Changes a port. What is not there stays.
#[derive(Clone, Debug, Default)]
pub(in crate::huawei) struct ChangePort {
    pub(in crate::huawei) nic: String,
    /// All groups, in order.
    pub(in crate::huawei) groups: Option<Vec<String>>,
    pub(in crate::huawei) name: Option<String>,
    pub(in crate::huawei) pairs: Option<Vec<AddressPair>>,
}

impl Operation for ChangePort {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        if let Some(groups) = &self.groups {
            let before = tx.find_nic(&self.nic)?.groups.clone();
            let nic = SetGroups { target: self.nic.clone(), groups: groups.clone() }.run(tx)?;
            let is_same = nic.groups.len() == before.len() && nic.groups.iter().all(|id| before.contains(id));
            if is_same && nic.groups != before && self.name.is_none() && self.pairs.is_none() {
                has_order(tx, &nic, Field::Groups, groups.join(", "))?;
            }
        }
        let label = LabelChange { name: self.name.clone(), ..LabelChange::default() };
        let allowed_address_pairs = self.pairs.clone();
        ModifyNic { nic: self.nic.clone(), label, allowed_address_pairs, ..ModifyNic::default() }.run(tx)
    }
}

/// Inserts groups among those of a port.
#[derive(Clone, Debug)]
pub(in crate::huawei) struct InsertGroups(pub(in crate::huawei) Join);

impl Operation for InsertGroups {
    type Output = Vec<Nic>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<Nic>, Refusal> {
        let Self(join) = self;
        let nics = join.run(tx)?;
        let Some(place) = join.place else { return Ok(nics) };
        // The end is where they would be without a place.
        for nic in nics.iter().filter(|nic| place + join.groups.len() != nic.groups.len()) {
            has_order(tx, nic, Field::Place, place.to_string())?;
        }
        Ok(nics)
    }
}

/// Refuses places of groups where they change no verdict.
fn has_order(state: &State, nic: &Nic, field: Field, found: String) -> Result<(), Refusal> {
    if order_of(state, nic) == Order::Sequence {
        return Ok(());
    }
    let vpc = nic.vpc.as_ref().and_then(|id| state.vpc(id));
    let allowed = match vpc {
        Some(vpc) => {
            let called = if vpc.label.name.is_empty() { vpc.id.as_str() } else { &vpc.label.name };
            format!(
                "the order of VPC {called} is merged, so the places of groups change no verdict: `sgctl vpc modify VPC --order sequence` makes each group come before those behind it"
            )
        }
        None => {
            "the order of the classic network is merged, so the places of groups change no verdict".to_owned()
        }
    };
    Err(Refusal::Invalid { field, found, allowed })
}

/// The groups that a field of the body names, as the service knows them.
///
/// # Errors
/// `unknown` makes one of an id that no group has.
pub(in crate::huawei) fn groups(
    state: &State,
    call: &Call,
    ids: &[&str],
    unknown: impl Fn(&str) -> Fault,
) -> Result<Vec<String>, Fault> {
    let id = |text: &&str| {
        let found = objects::group(state, call, text).map(|group| group.id.to_string());
        found.ok_or_else(|| unknown(text))
    };
    ids.iter().map(id).collect()
}

/// The allowed address pairs of a port, unless the request leaves them as they are.
///
/// # Errors
/// If an address is none.
pub(in crate::huawei) fn address_pairs(
    call: &Call,
    port: &Fields<'_>,
) -> Result<Option<Vec<AddressPair>>, Fault> {
    let Some(pairs) = port.objects("allowed_address_pairs") else { return Ok(None) };
    let pair = |fields: &Fields<'_>| {
        let address = fields.text("ip_address").unwrap_or_default();
        let mac = fields.text("mac_address").filter(|mac| !mac.is_empty());
        let text = mac.map_or_else(|| address.to_owned(), |mac| format!("{address}={mac}"));
        text.parse().map_err(|_| {
            call.malformed(
                &fields.place("ip_address"),
                "an address or prefix is expected, and an Ethernet address",
            )
        })
    };
    pairs.iter().map(pair).collect::<Result<_, _>>().map(Some)
}

/// The registration of a NIC on another host, which is known by its addresses.
///
/// # Errors
/// If the network is none of this server, or an address is malformed.
pub(in crate::huawei) fn register(
    state: &State,
    call: &Call,
    port: &Fields<'_>,
    groups: Vec<String>,
) -> Result<CreateInterface, Fault> {
    let network = port.text("network_id").unwrap_or_default();
    let vpc = objects::vpc(state, call, network).ok_or_else(|| {
        call.malformed(
            "port.network_id",
            "the id of a VPC of this project, which is its only network, is expected",
        )
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in port.objects("fixed_ips").unwrap_or_default() {
        if address.text("subnet_id").is_some_and(|subnet| subnet != network) {
            return Err(
                call.malformed(&address.place("subnet_id"), "the only subnet has the id of its network")
            );
        }
        let text = address.text("ip_address").unwrap_or_default();
        let wanted = || call.malformed(&address.place("ip_address"), "an address is expected");
        addresses.push(text.parse().map_err(|_| wanted())?);
    }
    let mut nic = RegisterNic {
        label: NewLabel { name: port.text("name").unwrap_or_default().to_owned(), ..NewLabel::default() },
        region: call.project.region.clone(),
        vpc: Some(vpc.id.to_string()),
        addresses,
        default_type: groups.is_empty().then_some(GroupType::Closed),
        groups,
        ..RegisterNic::default()
    };
    nic.senders.allowed_address_pairs = address_pairs(call, port)?.unwrap_or_default();
    Ok(CreateInterface(nic))
}
