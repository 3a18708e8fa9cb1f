//! The settings of the whole store: the quotas, and where the serial numbers of rules continue.
//!
//! Whether a quota is exceeded is the service's affair; this file must never know. The native API shows and changes the quotas. A
//! change of a record's form needs a new `SCHEMA` in the store, and a migration.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Settings of the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Quotas.
    pub quotas: Quotas,
    /// Serial number of the next rule: greater than that of every existing rule.
    pub serial: u64,
}

/// Quotas: the maximum numbers of resources. Exceeding one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Basic or enterprise groups on one NIC. Range: 1 to 10. Default: 5.
    pub groups_per_nic: u32,
    /// Closed groups on one NIC. Range: 1 to 100. Default: 100.
    pub closed_groups_per_nic: u32,
    /// Rules on one NIC, over all its groups and both directions. A rule that names a list counts as the list's `max_entries`
    /// rules. Default: 1000.
    pub rules_per_nic: u32,
    /// Member addresses of one basic group. Default: 6000.
    pub members_per_basic_group: u32,
    /// Members of one enterprise group: NICs, and addresses on other hosts. Default: 65536.
    pub members_per_enterprise_group: u32,
    /// Members of one closed group: NICs, and addresses on other hosts. Default: 6000.
    pub members_per_closed_group: u32,
    /// Rules of one basic group whose remote is a group. Default: 20.
    pub group_references_per_group: u32,
    /// Rules with a group, a list or several port ranges that a NIC gets from its closed groups, in one direction and address family.
    /// Default: 120.
    pub composite_rules_per_nic: u32,
    /// Basic and enterprise groups in one region. Default: 5000.
    pub groups_per_region: u32,
    /// Closed groups in one region. Default: 100.
    pub closed_groups_per_region: u32,
    /// Rules of all closed groups in one region. Default: 5000.
    pub closed_rules_per_region: u32,
    /// Largest `max_entries` of a prefix list. Default: 200.
    pub entries_per_prefix_list: u32,
    /// Largest `max_entries` of a port list. Default: 2000.
    pub entries_per_port_list: u32,
    /// Rules in one imported file. Default: 200.
    pub rules_per_import: u32,
    /// Rules in one request that adds rules. Default: 100.
    pub rules_per_operation: u32,
    /// Tags of one object. Default: 20.
    pub tags: u32,
}

impl Default for Quotas {
    /// The quotas that Alibaba Cloud documents, and for closed groups those of Huawei Cloud, as far as they do.
    fn default() -> Self {
        Self {
            groups_per_nic: 5,
            closed_groups_per_nic: 100,
            rules_per_nic: 1_000,
            members_per_basic_group: 6_000,
            members_per_enterprise_group: 65_536,
            members_per_closed_group: 6_000,
            group_references_per_group: 20,
            composite_rules_per_nic: 120,
            groups_per_region: 5_000,
            closed_groups_per_region: 100,
            closed_rules_per_region: 5_000,
            entries_per_prefix_list: 200,
            entries_per_port_list: 2_000,
            rules_per_import: 200,
            rules_per_operation: 100,
            tags: 20,
        }
    }
}
