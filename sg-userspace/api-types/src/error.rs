//! The body of a response that is an error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use serde_json::{Value, json};

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs; does not change.
    pub code: String,
    /// For people: what, where, what to do.
    pub message: String,
    /// The parts of the message.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub details: Value,
}

impl ErrorBody {
    /// An error without parts.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code: code.to_owned(), message: message.into(), details: json!({}) } }
    }
}
