//! Response with the status of the service and of this host's filter.
//!
//! The native API fills it from the store and the catalog; `sgctl status` shows it. Counts are those of one moment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Status of the service and of the filter on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of sgd.
    pub version: String,
    /// Name of the sgd instance, which its files and pins carry.
    pub instance: String,
    /// Number of VPCs.
    pub vpcs: usize,
    /// Number of groups.
    pub groups: usize,
    /// Number of rules.
    pub rules: usize,
    /// Number of NICs, on this host and on others.
    pub nics: usize,
    /// Number of NICs on this host.
    pub local_nics: usize,
    /// Number of NICs on this host whose packets are filtered.
    pub attached: usize,
    /// Devices of NICs on this host that do not exist or are not filtered yet.
    pub waiting: Vec<String>,
    /// Devices that belong to no NIC any more but still exist. They are not filtered: everything passes.
    #[serde(default)]
    pub unfiltered: Vec<String>,
    /// How long the filter stays in force without the agent: `host` (until the next boot), `container` (as long as the
    /// container), or `private` (as long as the mount namespace of the agent).
    #[serde(default)]
    pub pinned: String,
    /// Number of instances.
    pub instances: usize,
    /// Number of prefix lists.
    pub prefix_lists: usize,
    /// Number of port lists.
    pub port_lists: usize,
    /// Number of requests since the start with a wrong secret or an unknown access key, over all APIs.
    #[serde(default)]
    pub wrong_secrets: u64,
}
