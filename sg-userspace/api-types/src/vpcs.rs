//! Operations on VPCs.

use serde::{Deserialize, Serialize};
use sg_model::{MidStream, Takeover, Unmatched};
use sg_records::{Established, Order};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

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

/// Delete a VPC that nothing is in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteVpc {
    /// Its id or name.
    pub vpc: String,
}
