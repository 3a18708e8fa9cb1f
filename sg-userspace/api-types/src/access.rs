//! Requests and responses for access keys, and the request that changes quotas.
//!
//! The secret of a key is only in the response that creates it; no other type here may have it. The service runs the requests;
//! the native API and `sgctl` exchange them as JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::{AccessKey, AccessKeyId};
use utoipa::ToSchema;

/// Creates an access key, which authenticates requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateAccessKey {
    /// Description, up to 256 characters. Default: empty.
    pub description: String,
}

/// A new access key with its secret. This response is the only one that contains the secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKey {
    /// Id of the key.
    pub id: AccessKeyId,
    /// Secret of the key: 40 letters and digits. Store it now; it cannot be retrieved later.
    pub secret: String,
}

impl std::fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKeyView {
    /// Id of the key.
    pub id: AccessKeyId,
    /// Description. Empty if there is none.
    pub description: String,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

impl From<&AccessKey> for AccessKeyView {
    fn from(key: &AccessKey) -> Self {
        Self { id: key.id.clone(), description: key.description.clone(), created: key.created }
    }
}

/// Deletes an access key. Requests that use it are refused from then on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccessKey {
    /// Id of the key. Required.
    pub key: String,
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
