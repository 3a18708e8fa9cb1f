//! Requests that create, change and delete VPCs.
//!
//! A VPC carries the settings that its NICs share. The service checks the values; these types must never do so. The native API
//! and `sgctl` exchange them as JSON.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use sg_model::{MidStream, Takeover, Unmatched};
use sg_records::{Established, Order};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Creates a VPC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateVpc {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: `local`.
    pub region: String,
    /// Range of the addresses that NICs get which are created through the ECS API, an IPv4 prefix. Default: none; others may have
    /// any.
    #[schema(value_type = Option<String>)]
    pub cidr: Option<Ipv4Net>,
    /// How the rules of several groups combine on the VPC's NICs. Default: `merged`.
    pub order: Order,
    /// Effect of a policy change on live flows of the VPC's NICs. Default: `revalidate`.
    pub established: Established,
    /// What happens to TCP packets that are no SYN and belong to no known flow. Default: `loose`.
    #[serde(default)]
    pub mid_stream: MidStream,
    /// With `mid_stream: loose`: how long after a NIC was first filtered the rules of one direction are enough to take over such
    /// a connection. A number of seconds, `established` or `forever`. Default: `established`.
    #[serde(default)]
    pub takeover: Takeover,
    /// What happens to packets that no rule matches and that are not accepted by default: `drop` or `reject`. Default: `drop`.
    #[serde(default)]
    pub default: Unmatched,
}

/// Changes a VPC. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyVpc {
    /// Id or name of the VPC. Taken from the path.
    pub vpc: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Range of the addresses that NICs get which are created through the ECS API, an IPv4 prefix.
    #[schema(value_type = Option<String>)]
    pub cidr: Option<Ipv4Net>,
    /// How the rules of several groups combine on the VPC's NICs.
    pub order: Option<Order>,
    /// Effect of a policy change on live flows of the VPC's NICs.
    pub established: Option<Established>,
    /// What happens to TCP packets that are no SYN and belong to no known flow.
    pub mid_stream: Option<MidStream>,
    /// With `mid_stream: loose`: how long after a NIC was first filtered the rules of one direction are enough to take over such
    /// a connection. A number of seconds, `established` or `forever`.
    pub takeover: Option<Takeover>,
    /// What happens to packets that no rule matches and that are not accepted by default: `drop` or `reject`.
    pub default: Option<Unmatched>,
}

/// Deletes a VPC. Refused if it still contains groups, NICs or instances.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteVpc {
    /// Id or name of the VPC. Taken from the path.
    pub vpc: String,
}
