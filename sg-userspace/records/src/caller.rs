//! What is kept about callers: their access keys, and the responses to their requests with an idempotency key.
//!
//! No API may send these records: a key is a secret, and a response can contain one. The verifier of signatures reads the keys, the
//! service the responses. A change of a record's form needs a new `SCHEMA` in the store, and a migration.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AccessKeyId;

/// An access key, which authenticates requests. The secret is stored in clear text, because verifying a signature needs it; only
/// the owner of the store's file can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Id of the key.
    pub id: AccessKeyId,
    /// The secret.
    pub secret: String,
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
