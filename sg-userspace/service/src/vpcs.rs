//! Operations on VPCs.
//!
//! They never change what a VPC contains. The native API calls them through `Service`.

use ipnet::Ipv4Net;
use sg_api_types::{CreateVpc, DeleteVpc, ModifyVpc};
use sg_records::{DocumentName, Id as _, Vpc, VpcId};
use sg_store::Key;

use super::{
    Field, Kind, Operation, Refusal, Tx,
    labels::{changed, label, region},
    membership::in_one_order,
};

impl Operation for CreateVpc {
    type Output = Vpc;

    fn run(&self, tx: &mut Tx) -> Result<Vpc, Refusal> {
        let vpc = Vpc {
            id: VpcId::random(),
            region: region(&self.region)?,
            label: label(tx, &self.label)?,
            cidr: self.cidr,
            order: self.order,
            established: self.established,
            mid_stream: self.mid_stream,
            takeover: self.takeover,
            default: self.default,
        };
        range(&vpc)?;
        tx.put(vpc.clone());
        Ok(vpc)
    }
}

/// Checks the range of a VPC's addresses.
pub(super) fn range(vpc: &Vpc) -> Result<(), Refusal> {
    let fits = |range: Ipv4Net| range == range.trunc() && (8..=28).contains(&range.prefix_len());
    match vpc.cidr {
        Some(range) if !fits(range) => {
            let allowed = "an IPv4 prefix without host bits, of 8 to 28 bits";
            Err(Refusal::invalid(Field::Vpc, range, allowed))
        }
        _ => Ok(()),
    }
}

impl Operation for ModifyVpc {
    type Output = Vpc;

    fn run(&self, tx: &mut Tx) -> Result<Vpc, Refusal> {
        let mut vpc = Vpc::clone(tx.find_vpc(&self.vpc)?);
        vpc.label = changed(tx, &vpc.label, &self.label)?;
        vpc.cidr = self.cidr.or(vpc.cidr);
        range(&vpc)?;
        vpc.order = self.order.unwrap_or(vpc.order);
        vpc.established = self.established.unwrap_or(vpc.established);
        vpc.mid_stream = self.mid_stream.unwrap_or(vpc.mid_stream);
        vpc.takeover = self.takeover.unwrap_or(vpc.takeover);
        vpc.default = self.default.unwrap_or(vpc.default);
        let vpc = tx.dated(vpc);
        let reorders = tx.vpc(&vpc.id).is_some_and(|before| before.order != vpc.order);
        tx.put(vpc.clone());
        if reorders {
            tx.nics_of_vpc(&vpc.id).try_for_each(|nic| in_one_order(tx, nic))?;
        }
        Ok(vpc)
    }
}

impl Operation for DeleteVpc {
    type Output = VpcId;

    fn run(&self, tx: &mut Tx) -> Result<VpcId, Refusal> {
        let id = tx.find_vpc(&self.vpc)?.id.clone();
        let groups = tx.groups_of_vpc(&id).map(|group| group.id.to_string());
        let nics = tx.nics_of_vpc(&id).map(|nic| nic.id.to_string());
        let instances = tx.instances().values().filter(|instance| instance.vpc.as_ref() == Some(&id));
        let instances = instances.map(|instance| instance.id.to_string());
        let by: Vec<String> = nics.chain(instances).chain(groups).collect();
        if !by.is_empty() {
            return Err(Refusal::InUse { kind: Kind::Vpc, id: id.to_string(), by });
        }
        // With the VPC of a document, nothing is left of it.
        let owner = tx.vpc(&id).and_then(|vpc| vpc.label.owner.clone()).map(DocumentName);
        if let Some(document) = owner.filter(|document| tx.demands_of(document).is_some()) {
            tx.delete(Key::Demands(document));
        }
        tx.delete(Key::Vpc(id.clone()));
        Ok(id)
    }
}
