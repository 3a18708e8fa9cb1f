//! What is kept about callers: their access keys, and the responses to their requests with an idempotency key.
//!
//! No API may send these records: a key is a secret, and a response can contain one. The verifier of signatures reads the keys, the
//! service the responses. A change of a record's form needs a new `SCHEMA` in the store, and a migration.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AccessKeyId;

/// What an access key may do. Each role may do all that the one before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Checks, and queries, except of what has a role or a user of its own: the history of changes and frames of packets are for
    /// admins, secrets for root.
    Viewer,
    /// Also changes of VPCs, groups, rules, lists, instances, NICs, and of the groups that NICs hold.
    Editor,
    /// Also access keys, quotas, whole states, deleting flows, the history of changes, and frames of packets.
    #[default]
    Admin,
}

impl KeyRole {
    /// Every role, from the one that may do least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// `viewer`, `editor` or `admin`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An access key, which authenticates requests. The secret is stored in clear text, because verifying a signature needs it; only
/// the owner of the store's file can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Id of the key.
    pub id: AccessKeyId,
    /// The secret.
    pub secret: String,
    /// What the key may do.
    pub role: KeyRole,
    /// Description. Empty if there is none.
    pub description: String,
    /// Time of creation.
    pub created: Timestamp,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The stored response to a request with an idempotency key. A repetition gets this response and is not run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The caller, `/`, and the idempotency key that it sent.
    pub token: String,
    /// Digest of the request. A request with another digest and the same key is refused.
    pub fingerprint: String,
    /// The response.
    #[serde(rename = "answer")]
    pub response: serde_json::Value,
    /// Time of the first request.
    pub created: Timestamp,
}
