//! The body of error responses.
//!
//! The native API maps each refusal to a status and a code; `sgctl` shows the message. This file must never decide what an error
//! is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use serde_json::{Value, json};

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

impl ErrorBody {
    /// An error without details.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code: code.to_owned(), message: message.into(), details: json!({}) } }
    }
}
