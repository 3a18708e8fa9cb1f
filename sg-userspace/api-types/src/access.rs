//! Requests and responses for access keys.
//!
//! The secret of a key is only in the response that creates it; no other type here may have it. The service runs the requests;
//! the native API and `sgctl` exchange them as JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::{AccessKey, AccessKeyId, KeyRole};
use utoipa::ToSchema;

/// Creates an access key, which authenticates requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateAccessKey {
    /// Description, up to 256 characters. Default: empty.
    pub description: String,
    /// What the key may do: `viewer`, `editor` or `admin`. Default: `admin`.
    pub role: KeyRole,
    /// Region whose project the response names. Default: the region that the server lists first.
    pub region: String,
}

/// A new access key with its secret. This response is the only one that contains the secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKey {
    /// Id of the key.
    pub id: AccessKeyId,
    /// Secret of the key: 40 letters and digits. Store it now; it cannot be retrieved later.
    pub secret: String,
    /// What the key may do.
    #[serde(default)]
    pub role: KeyRole,
    /// Id of the project that stands for the region, for clients that name a project in their requests.
    #[serde(default)]
    pub project_id: String,
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
    /// What the key may do: `viewer`, `editor` or `admin`.
    #[serde(default)]
    pub role: KeyRole,
    /// Description. Empty if there is none.
    pub description: String,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

impl From<&AccessKey> for AccessKeyView {
    fn from(key: &AccessKey) -> Self {
        Self {
            id: key.id.clone(),
            role: key.role,
            description: key.description.clone(),
            created: key.created,
        }
    }
}

/// Deletes an access key. Requests that use it are refused from then on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccessKey {
    /// Id of the key. Required.
    pub key: String,
}
