//! Operations on VPCs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Kind, LabelChange, NewLabel, Operation, Refusal, Tx,
    labels::{changed, label, region},
};
use crate::{
    model::{MidStream, Takeover, Unmatched},
    store::{Established, Key, Order, Vpc, VpcId},
};

/// Make a VPC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateVpc {
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where.
    pub region: String,
    /// The order of rules on its NICs.
    pub order: Order,
    /// What a change does to live flows of its NICs.
    pub established: Established,
    /// What becomes of TCP packets from the middle of a connection that is not known.
    #[serde(default)]
    pub mid_stream: MidStream,
    /// For how long after its NICs were first filtered such a connection may be taken over.
    #[serde(default)]
    pub takeover: Takeover,
    /// What becomes of packets that no rule matches, where they are not accepted.
    #[serde(default)]
    pub default: Unmatched,
}

impl Operation for CreateVpc {
    type Output = Vpc;

    fn run(&self, tx: &mut Tx) -> Result<Vpc, Refusal> {
        let vpc = Vpc {
            id: VpcId::random(),
            region: region(&self.region)?,
            label: label(tx, &self.label)?,
            order: self.order,
            established: self.established,
            mid_stream: self.mid_stream,
            takeover: self.takeover,
            default: self.default,
        };
        tx.put(vpc.clone());
        Ok(vpc)
    }
}

/// Change a VPC; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyVpc {
    /// Its id or name.
    pub vpc: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// The order of rules on its NICs.
    pub order: Option<Order>,
    /// What a change does to live flows of its NICs.
    pub established: Option<Established>,
    /// What becomes of TCP packets from the middle of a connection that is not known.
    pub mid_stream: Option<MidStream>,
    /// For how long after its NICs were first filtered such a connection may be taken over.
    pub takeover: Option<Takeover>,
    /// What becomes of packets that no rule matches, where they are not accepted.
    pub default: Option<Unmatched>,
}

impl Operation for ModifyVpc {
    type Output = Vpc;

    fn run(&self, tx: &mut Tx) -> Result<Vpc, Refusal> {
        let mut vpc = Vpc::clone(tx.find_vpc(&self.vpc)?);
        vpc.label = changed(tx, &vpc.label, &self.label)?;
        vpc.order = self.order.unwrap_or(vpc.order);
        vpc.established = self.established.unwrap_or(vpc.established);
        vpc.mid_stream = self.mid_stream.unwrap_or(vpc.mid_stream);
        vpc.takeover = self.takeover.unwrap_or(vpc.takeover);
        vpc.default = self.default.unwrap_or(vpc.default);
        tx.put(vpc.clone());
        Ok(vpc)
    }
}

/// Delete a VPC that nothing is in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteVpc {
    /// Its id or name.
    pub vpc: String,
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
        tx.delete(Key::Vpc(id.clone()));
        Ok(id)
    }
}
