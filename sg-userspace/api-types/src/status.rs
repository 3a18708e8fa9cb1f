//! How the agent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// The name of its files and pins.
    pub instance: String,
    /// VPCs.
    pub vpcs: usize,
    /// Groups.
    pub groups: usize,
    /// Rules.
    pub rules: usize,
    /// NICs, of this host and others.
    pub nics: usize,
    /// NICs of this host.
    pub local_nics: usize,
    /// NICs of this host whose packets are judged.
    pub attached: usize,
    /// Devices of this host's NICs that are not there, or not filtered yet.
    pub waiting: Vec<String>,
    /// Devices that no NIC names any more and that are still there: not filtered.
    #[serde(default)]
    pub unfiltered: Vec<String>,
    /// How long the filter stays without the agent: `host` (until the next boot), `container`, or `private` (as long as the mount
    /// namespace of the agent).
    #[serde(default)]
    pub pinned: String,
    /// Instances.
    pub instances: usize,
    /// Prefix lists.
    pub prefix_lists: usize,
    /// Port lists.
    pub port_lists: usize,
    /// Requests since the start with a wrong secret, or with an access key that does not exist; over all APIs.
    #[serde(default)]
    pub wrong_secrets: u64,
}
