//! Refusals as the vendor documents them: status, code, message. Clients decide by the status and the code, so both are part of
//! the interface.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;
use sg_records::KeyRole;

use super::super::{listen::BodyFailure, media::Unsupported, signature::Malformed};

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
}

impl Fault {
    /// A fault with any status.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), wait: Duration::ZERO }
    }

    /// A fault with status 400.
    pub fn bad(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A fault with status 403.
    pub fn forbidden(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// A fault with status 404.
    pub fn not_found(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// The same fault, with a delayed response.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same fault, with the code that one action has for it.
    #[must_use]
    pub fn named(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// A missing mandatory parameter. The region has a code of its own.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        let code = if name == "RegionId" { "MissingParameter.RegionId" } else { "MissingParameter" };
        let message = format!(
            "The input parameter \"{name}\" that is mandatory for processing this request is not supplied."
        );
        Self::bad(code, message)
    }

    /// A malformed parameter; `wanted` describes a valid one. `name` may be a place inside an array.
    #[must_use]
    pub fn malformed(name: &str, wanted: &str) -> Self {
        let message = format!("The specified parameter \"{name}\" is not valid: {wanted}.");
        Self::bad(malformed_code(name), message)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "The request processing has failed due to some unknown error.",
        )
    }

    /// What the role of the key does not allow: the vendor's text for a user without a permission, and what to do here.
    pub(super) fn not_allowed(action: &str, needed: KeyRole, role: KeyRole) -> Self {
        let message = format!(
            "User not authorized to operate on the specified resource, or this API doesn't support RAM. {action} needs an \
             access key with the role {needed}; the role of this one is {role}."
        );
        Self::forbidden("Forbidden.RAM", message)
    }

    /// What a dry run comes to where the request itself would succeed. The vendor's code and text for it.
    pub(super) fn would_succeed() -> Self {
        Self::bad("DryRunOperation", "Request validation has been passed with DryRun flag set.")
    }

    pub(super) fn unknown_action() -> Self {
        Self::not_found(
            "InvalidAction.NotFound",
            "Specified api is not found, please check your url and method.",
        )
    }
}

/// The code for a malformed parameter: some have one of their own.
fn malformed_code(name: &str) -> &'static str {
    let parts: Vec<&str> =
        name.split('.').filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit())).collect();
    match parts.last().copied().unwrap_or_default() {
        "Priority" => "InvalidPriority.Malformed",
        "SecurityGroupId" | "SecurityGroupIds" => "InvalidSecurityGroupId.Malformed",
        "SecurityGroupRuleId" => "InvalidParam.SecurityGroupRuleId",
        "Permissions" => "InvalidParam.Permissions",
        // Sic: two capitals.
        "NextToken" => "InValidParameter.NextToken",
        _ => "InvalidParameter",
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::MissingHeader { name } => Self::missing(&name),
            Malformed::Authorization { .. }
            | Malformed::UnsignedHeader { .. }
            | Malformed::RepeatedHeader { .. }
            | Malformed::BodyHash { .. } => Self::bad(
                "IncompleteSignature",
                format!("The request signature does not conform to Aliyun standards: {malformed}."),
            ),
        }
    }
}

impl From<BodyFailure> for Fault {
    fn from(failure: BodyFailure) -> Self {
        let (status, code) = match failure {
            BodyFailure::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            BodyFailure::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            BodyFailure::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            BodyFailure::Broken { .. } => (StatusCode::BAD_REQUEST, "InvalidParameter"),
        };
        Self::new(status, code, failure.to_string())
    }
}

impl From<Unsupported> for Fault {
    fn from(unsupported: Unsupported) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", unsupported.to_string())
    }
}

/// A parameter that occurs twice.
pub(super) fn repeated(name: &str) -> Fault {
    // The name is returned to its sender, but at a limited length.
    let name: String = name.chars().take(64).collect();
    Fault::malformed(&name, "it occurs more than once")
}
