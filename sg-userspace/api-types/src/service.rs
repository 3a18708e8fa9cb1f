//! The service as a whole: the request that changes its quotas. It must never know what a quota counts, nor whether it is exceeded.
//! The native API and `sgctl` exchange it as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Changes quotas. Unspecified fields are left unchanged. Lowering a quota removes nothing: objects that exceed the new value
/// stay, and operations that would exceed it further are refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyQuotas {
    /// Basic or enterprise groups on one NIC. Range: 1 to 10.
    pub groups_per_nic: Option<u32>,
    /// Closed groups on one NIC. Range: 1 to 100.
    pub closed_groups_per_nic: Option<u32>,
    /// Rules on one NIC, over all its groups and both directions. A rule that names a list counts as the list's `max_entries`
    /// rules.
    pub rules_per_nic: Option<u32>,
    /// Member addresses of one basic group.
    pub members_per_basic_group: Option<u32>,
    /// Members of one enterprise group: NICs, and addresses on other hosts.
    pub members_per_enterprise_group: Option<u32>,
    /// Members of one closed group: NICs, and addresses on other hosts.
    pub members_per_closed_group: Option<u32>,
    /// Rules of one basic group whose remote is a group.
    pub group_references_per_group: Option<u32>,
    /// Rules with a group, a list or several port ranges that a NIC gets from its closed groups, in one direction and address family.
    pub composite_rules_per_nic: Option<u32>,
    /// Basic and enterprise groups in one region.
    pub groups_per_region: Option<u32>,
    /// Closed groups in one region.
    pub closed_groups_per_region: Option<u32>,
    /// Rules of all closed groups in one region.
    pub closed_rules_per_region: Option<u32>,
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
