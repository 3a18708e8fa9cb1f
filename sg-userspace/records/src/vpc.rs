//! VPCs: namespaces of groups and NICs, with the settings that their NICs share.
//!
//! These types must never refer to another record by its name. The native API sends them as they are stored: a change of their form
//! needs a new `SCHEMA` in the store, and a migration.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Established, Label, VpcId};

/// A VPC: a namespace of groups and NICs, with the settings that its NICs share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vpc {
    /// Id of the VPC.
    pub id: VpcId,
    /// Region of the VPC.
    pub region: String,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// Range of the addresses that NICs get which are created through the ECS API. `null` if there is none; others may have any.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub cidr: Option<Ipv4Net>,
    /// How the rules of several groups combine on the VPC's NICs. Default: `merged`.
    #[serde(default)]
    pub order: Order,
    /// Effect of a policy change on live flows of the VPC's NICs. Default: `revalidate`.
    #[serde(default)]
    pub established: Established,
    /// What happens to TCP packets that are no SYN and belong to no known flow. Default: `loose`.
    #[serde(default)]
    pub mid_stream: sg_model::MidStream,
    /// With `mid_stream: loose`: how long after a NIC was first filtered the rules of one direction are enough to take over such
    /// a connection. A number of seconds, `established` or `forever`. Default: `established`.
    #[serde(default)]
    pub takeover: sg_model::Takeover,
    /// What happens to packets that no rule matches and that are not accepted by default. Default: `drop`.
    #[serde(default)]
    pub default: sg_model::Unmatched,
}

/// How the rules of several groups on one NIC combine.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The rules of all groups together, by priority. At equal priority: drop, then reject, then accept.
    #[default]
    Merged,
    /// Group after group, in the order of the NIC's groups. Within a group by priority; at equal priority: drop, then reject,
    /// then accept.
    Sequence,
}

impl From<Order> for sg_model::Precedence {
    fn from(order: Order) -> Self {
        match order {
            Order::Merged => Self::Merged,
            Order::Sequence => Self::Sequence,
        }
    }
}
