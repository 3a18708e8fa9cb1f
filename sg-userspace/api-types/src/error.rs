//! The body of error responses.
//!
//! The native API maps each refusal to a status and a code; `sgctl` shows the message. This file must never decide what an error
//! is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Body of every error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// An error: a stable code for programs, and a message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// Code of the error, for programs. Codes are stable.
    pub code: String,
    /// What is wrong, where, and what to do about it.
    pub message: String,
    /// The values in the message, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub details: Value,
}

/// The details of an error with the code `too_many`: what a request needs more of than a quota allows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExceededQuota {
    /// Name of the quota.
    pub quota: String,
    /// Kind and name of the object that would exceed it.
    pub what: String,
    /// Number that the request needs.
    pub needed: u64,
    /// Number that the quota allows.
    pub allowed: u64,
    /// Field of [`ModifyQuotas`](crate::ModifyQuotas) that can be raised to `needed`. `None` if no field can.
    pub field: Option<String>,
}

impl ErrorDetail {
    /// The quota that the request would exceed, if the error is that.
    #[must_use]
    pub fn exceeded_quota(&self) -> Option<ExceededQuota> {
        if self.code != "too_many" {
            return None;
        }
        ExceededQuota::deserialize(&self.details).ok()
    }
}

impl ErrorBody {
    /// An error without details.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code: code.to_owned(), message: message.into(), details: json!({}) } }
    }
}
