//! Refusals on the wire: status, code, message. Which form they have depends on the version of the operation, and whether it is the
//! vendor's gateway or the operation that refuses.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;
use serde_json::{Value, json};
use sg_records::KeyRole;

use super::{
    Declaration, Dialect,
    problem::{Problem, Subject},
};
use crate::{listen::BodyFailure, media::Unsupported, signature::Malformed};

/// A name of the request in a message has so many characters at most.
const SHOWN: usize = 64;

/// A refused request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub struct Fault {
    /// The HTTP status; never a success.
    pub status: StatusCode,
    /// The vendor's error code.
    pub code: Cow<'static, str>,
    /// The message for people.
    pub message: Cow<'static, str>,
    /// How long to delay the response.
    pub wait: Duration,
    /// The access key that the client named and did not have the secret of.
    pub(super) claimed: Option<String>,
    /// Whose form it has; `None`: that of the vendor's gateway, which stands before all versions.
    dialect: Option<Dialect>,
}

impl Fault {
    /// What the vendor's gateway refuses.
    pub(super) fn gateway(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            wait: Duration::ZERO,
            claimed: None,
            dialect: None,
        }
    }

    /// Who sent the request is not known.
    pub(super) fn unauthenticated(why: &str) -> Self {
        let message = format!("Incorrect IAM authentication information: {why}");
        Self::gateway(StatusCode::UNAUTHORIZED, "APIGW.0301", message)
    }

    /// Who asks for a token is not known, or what the token is to be for.
    pub(super) fn unauthorized(message: &'static str) -> Self {
        let dialect = Some(Dialect::Identity);
        Self { dialect, ..Self::gateway(StatusCode::UNAUTHORIZED, "Unauthorized", message) }
    }

    /// The same fault, of a client that named this access key. It exists: an unknown id could be any text.
    #[must_use]
    pub(super) fn claiming(self, key: &str) -> Self {
        Self { claimed: Some(key.to_owned()), ..self }
    }

    /// There is no such operation.
    pub(super) fn no_operation() -> Self {
        let message = "The API does not exist or has not been published in the environment: check the method and the path";
        Self::gateway(StatusCode::NOT_FOUND, "APIGW.0101", message)
    }

    /// A problem of an operation.
    pub(super) fn of(
        operation: Declaration,
        problem: Problem,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::about(operation.dialect, operation.subject, problem, message)
    }

    /// A problem of an operation of this version about this subject.
    pub(super) fn about(
        dialect: Dialect,
        subject: Subject,
        problem: Problem,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (status, code) = problem.code(dialect, subject);
        Self {
            status,
            code: code.into(),
            message: message.into(),
            wait: Duration::ZERO,
            claimed: None,
            dialect: Some(dialect),
        }
    }

    /// The same fault, with a delayed response.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same fault, with the code that one operation has for it.
    #[must_use]
    pub fn named(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// A required parameter is missing.
    pub(super) fn missing(operation: Declaration, name: &str) -> Self {
        Self::of(
            operation,
            Problem::Malformed,
            format!("{} is missing, and {} needs it.", shown(name), operation.name),
        )
    }

    /// A malformed parameter; `wanted` describes a valid one.
    pub(super) fn malformed(operation: Declaration, name: &str, wanted: &str) -> Self {
        Self::of(operation, Problem::Malformed, format!("{} is not valid: {wanted}.", shown(name)))
    }

    /// A parameter that the operation does not have.
    pub(super) fn unknown(operation: Declaration, name: &str) -> Self {
        let message = format!("{} has no parameter {}: leave it out.", operation.name, shown(name));
        Self::of(operation, Problem::Malformed, message)
    }

    /// A parameter that the vendor has and this server has not.
    pub(super) fn unsupported(operation: Declaration, name: &str, why: &str) -> Self {
        let message = format!("{} is not supported by this server ({why}): leave it out.", shown(name));
        Self::of(operation, Problem::Malformed, message)
    }

    /// What the role of the key does not allow.
    pub(super) fn not_allowed(operation: Declaration, needed: KeyRole, role: KeyRole) -> Self {
        let message = format!(
            "Policy doesn't allow {} to be performed: it needs an access key with the role {needed}; the role of this one is {role}.",
            operation.name
        );
        Self::of(operation, Problem::NotAllowed, message)
    }

    /// The body of the response.
    pub(super) fn body(&self, request_id: &str) -> Value {
        let (code, message) = (&self.code, &self.message);
        match self.dialect {
            None | Some(Dialect::V3) => {
                json!({ "request_id": request_id, "error_msg": message, "error_code": code })
            }
            Some(Dialect::V1) => json!({ "code": code, "message": message }),
            Some(Dialect::Neutron) => {
                json!({ "NeutronError": { "type": code, "message": message, "detail": "" } })
            }
            Some(Dialect::Ecs) => json!({ "error": { "code": code, "message": message } }),
            Some(Dialect::Nova) => {
                json!({ (code.as_ref()): { "code": self.status.as_u16(), "message": message } })
            }
            Some(Dialect::Identity) => {
                let title = self.status.canonical_reason().unwrap_or_default();
                json!({ "error": { "code": self.status.as_u16(), "message": message, "title": title } })
            }
        }
    }
}

/// A text of the request in a message.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::unauthenticated(&format!("verify aksk signature fail, {malformed}"))
    }
}

impl From<BodyFailure> for Fault {
    fn from(failure: BodyFailure) -> Self {
        let (status, code) = match failure {
            BodyFailure::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "APIGW.0201"),
            BodyFailure::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "APIGW.0201"),
            BodyFailure::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "APIGW.0502"),
            BodyFailure::Broken { .. } => (StatusCode::BAD_REQUEST, "APIGW.0201"),
        };
        Self::gateway(status, code, failure.to_string())
    }
}

impl From<Unsupported> for Fault {
    fn from(unsupported: Unsupported) -> Self {
        Self::gateway(StatusCode::UNSUPPORTED_MEDIA_TYPE, "APIGW.0201", unsupported.to_string())
    }
}
