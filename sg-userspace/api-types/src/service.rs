//! The service as a whole: its status, and the request that changes its quotas.
//!
//! The native API fills the status from the store and the catalog, and `sgctl status` shows it; counts are those of one moment.
//! These types must never know what a quota counts, nor whether it is exceeded.

use serde::{Deserialize, Serialize};
use sg_audit::AuditStatus;
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
    /// The audit trail. `null` if there is none.
    #[serde(default)]
    pub audit: Option<AuditStatus>,
}

/// Changes quotas. Unspecified fields are left unchanged. Lowering a quota removes nothing: objects that exceed the new value
/// stay, and operations that would exceed it further are refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyQuotas {
    /// Groups on one NIC. Range: 1 to 10.
    pub groups_per_nic: Option<u32>,
    /// Rules on one NIC, over all its groups and both directions. A rule that names a list counts as the list's `max_entries`
    /// rules.
    pub rules_per_nic: Option<u32>,
    /// Member addresses of one basic group.
    pub members_per_basic_group: Option<u32>,
    /// Members of one enterprise group: NICs, and addresses on other hosts.
    pub members_per_enterprise_group: Option<u32>,
    /// Rules of one group whose remote is a group.
    pub group_references_per_group: Option<u32>,
    /// Groups in one region.
    pub groups_per_region: Option<u32>,
    /// Largest `max_entries` of a prefix list.
    pub entries_per_prefix_list: Option<u32>,
    /// Largest `max_entries` of a port list.
    pub entries_per_port_list: Option<u32>,
    /// Rules in one imported file.
    pub rules_per_import: Option<u32>,
    /// Rules in one request that adds rules.
    pub rules_per_operation: Option<u32>,
    /// Tags of one object.
    pub tags: Option<u32>,
}
