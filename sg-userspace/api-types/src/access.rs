//! Operations on access keys and settings.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::{AccessKey, AccessKeyId};
use utoipa::ToSchema;

/// Make a key that signs requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateAccessKey {
    /// For people.
    pub description: String,
}

/// A key as it is shown once, when it is made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// What signatures are made with. Nothing shows it again.
    pub secret: String,
}

impl std::fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key as it is shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKeyView {
    /// Its id.
    pub id: AccessKeyId,
    /// For people.
    pub description: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

impl From<&AccessKey> for AccessKeyView {
    fn from(key: &AccessKey) -> Self {
        Self { id: key.id.clone(), description: key.description.clone(), created: key.created }
    }
}

/// Delete a key: what it signs is refused from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccessKey {
    /// Its id.
    pub key: String,
}

/// Change quotas; what is left out stays. What is there already may be over a new quota: it stays, and grows no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyQuotas {
    /// See [`Quotas`].
    pub groups_per_nic: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_nic: Option<u32>,
    /// See [`Quotas`].
    pub members_per_basic_group: Option<u32>,
    /// See [`Quotas`].
    pub members_per_enterprise_group: Option<u32>,
    /// See [`Quotas`].
    pub group_references_per_group: Option<u32>,
    /// See [`Quotas`].
    pub groups_per_region: Option<u32>,
    /// See [`Quotas`].
    pub entries_per_prefix_list: Option<u32>,
    /// See [`Quotas`].
    pub entries_per_port_list: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_import: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_operation: Option<u32>,
    /// See [`Quotas`].
    pub tags: Option<u32>,
}
