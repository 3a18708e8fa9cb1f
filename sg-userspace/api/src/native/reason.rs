//! Why a change is made, in the words of whoever makes it. It must never interpret them. `route` declares it, `request` reads it.

use axum::{extract::Query, http::Uri};
use serde::Deserialize;
use sg_audit::check_reason;
use utoipa::IntoParams;

use super::error::Failed;

/// Why a change is made.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub(super) struct Why {
    /// Why the change is made, for the audit trail and the history: up to 500 characters without line breaks.
    reason: Option<String>,
}

impl Why {
    /// The reason that a request gives.
    pub(super) fn of(uri: &Uri) -> Result<Option<String>, Failed> {
        let malformed = |why: String| Failed::Malformed(format!("reason: {why}"));
        let Query(Self { reason }) =
            Query::try_from_uri(uri).map_err(|error| malformed(error.body_text()))?;
        reason.as_deref().map_or(Ok(()), check_reason).map_err(malformed)?;
        Ok(reason)
    }
}
