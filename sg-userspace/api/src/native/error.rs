//! Maps each refusal to the form of this API: a status, a code for programs, a message for people, and the values concerned.
//!
//! It must never decide what is refused. Codes are stable: clients compare them.

use axum::{
    Json,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sg_api_types::{ErrorBody, ErrorDetail};
use sg_service::Refusal;

use crate::{listen::BodyFailure, media::Unsupported};

/// Sends the body of an error with a status.
pub(super) trait WithStatus {
    /// The error as a response.
    fn with_status(self, status: StatusCode) -> Response;
}

impl WithStatus for ErrorBody {
    fn with_status(self, status: StatusCode) -> Response {
        (status, Json(self)).into_response()
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The service refuses it.
    Refused(Refusal),
    /// The request is malformed.
    Malformed(String),
    /// The caller is not allowed to do it.
    Forbidden(&'static str),
    /// The body could not be read.
    Body(BodyFailure),
    /// The body is of an unsupported media type.
    Media(Unsupported),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BodyFailure> for Failed {
    fn from(failure: BodyFailure) -> Self {
        Self::Body(failure)
    }
}

impl From<Unsupported> for Failed {
    fn from(unsupported: Unsupported) -> Self {
        Self::Media(unsupported)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => {
                let (status, code, details) = named(&refusal);
                let detail = ErrorDetail { code: code.to_owned(), message: refusal.to_string(), details };
                ErrorBody { error: detail }.with_status(status)
            }
            Self::Malformed(message) => {
                ErrorBody::new("malformed", message).with_status(StatusCode::BAD_REQUEST)
            }
            Self::Media(unsupported) => {
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                ErrorBody::new("unsupported_media_type", unsupported.to_string()).with_status(status)
            }
            Self::Forbidden(message) => {
                ErrorBody::new("forbidden", message).with_status(StatusCode::FORBIDDEN)
            }
            Self::Body(failure) => {
                let (status, code) = match failure {
                    BodyFailure::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                    BodyFailure::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
                    BodyFailure::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                    BodyFailure::Broken { .. } => (StatusCode::BAD_REQUEST, "malformed"),
                };
                ErrorBody::new(code, failure.to_string()).with_status(status)
            }
        }
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("there is nothing at {path}; GET /v1/openapi.json says what there is");
    ErrorBody::new("no_such_path", message).with_status(StatusCode::NOT_FOUND)
}

pub(super) async fn no_such_method() -> Response {
    let message = "this path does not take this method; the Allow header says which it takes";
    ErrorBody::new("no_such_method", message).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Status, code and details of a refusal.
fn named(refusal: &Refusal) -> (StatusCode, &'static str, Value) {
    use StatusCode as Is;
    match refusal {
        Refusal::NotFound { kind, name, hint } => {
            (Is::NOT_FOUND, "not_found", json!({ "kind": kind.to_string(), "name": name, "hint": hint }))
        }
        Refusal::Ambiguous { kind, name, ids } => {
            (Is::CONFLICT, "ambiguous", json!({ "kind": kind.to_string(), "name": name, "ids": ids }))
        }
        Refusal::Invalid { field, found, allowed } => (
            Is::BAD_REQUEST,
            "invalid",
            json!({ "field": field.to_string(), "found": found, "allowed": allowed }),
        ),
        Refusal::Document { reason } => (Is::BAD_REQUEST, "invalid_document", json!({ "reason": reason })),
        Refusal::NoExport { reason } => (Is::BAD_REQUEST, "invalid_export", json!({ "reason": reason })),
        Refusal::Record { line, record, reason } => {
            let (_, code, details) = named(reason);
            let details = json!({ "line": line, "record": record, "code": code, "details": details });
            (Is::BAD_REQUEST, "invalid_record", details)
        }
        Refusal::Unexportable { reason } => (Is::CONFLICT, "unexportable", json!({ "reason": reason })),
        Refusal::Missing { field, allowed } => {
            (Is::BAD_REQUEST, "missing", json!({ "field": field.to_string(), "allowed": allowed }))
        }
        Refusal::TooMany { quota, what, needed, allowed } => {
            let details =
                json!({ "quota": quota.name(), "what": what, "needed": needed, "allowed": allowed });
            (Is::FORBIDDEN, "too_many", details)
        }
        Refusal::HasMembers { group, members } => {
            (Is::CONFLICT, "has_members", json!({ "group": group, "members": members }))
        }
        Refusal::Referenced { group, by } => {
            (Is::CONFLICT, "referenced", json!({ "group": group, "by": by }))
        }
        Refusal::InUse { kind, id, by } => {
            (Is::CONFLICT, "in_use", json!({ "kind": kind.to_string(), "id": id, "by": by }))
        }
        Refusal::AlreadyMember { nic, group } => {
            (Is::CONFLICT, "already_member", json!({ "nic": nic, "group": group }))
        }
        Refusal::NotMember { nic, group } => {
            (Is::CONFLICT, "not_member", json!({ "nic": nic, "group": group }))
        }
        Refusal::NoMemberAddress { address, group } => {
            (Is::CONFLICT, "not_member", json!({ "address": address, "group": group }))
        }
        Refusal::LastGroup { nic, group } => {
            (Is::CONFLICT, "last_group", json!({ "nic": nic, "group": group }))
        }
        Refusal::MixedTypes { group, other } => {
            (Is::CONFLICT, "mixed_types", json!({ "group": group, "other": other }))
        }
        Refusal::OtherVpc { what, found, with, wanted } => {
            let details = json!({ "what": what, "found": found, "with": with, "wanted": wanted });
            (Is::CONFLICT, "other_vpc", details)
        }
        Refusal::OtherNetwork { what, with, networks } => {
            (Is::CONFLICT, "other_network", json!({ "what": what, "with": with, "networks": networks }))
        }
        Refusal::EnterpriseReference { group } => {
            (Is::BAD_REQUEST, "enterprise_reference", json!({ "group": group }))
        }
        Refusal::EnterpriseInnerAccess { group } => {
            (Is::BAD_REQUEST, "enterprise_inner_access", json!({ "group": group }))
        }
        Refusal::OwnGroup { group } => (Is::BAD_REQUEST, "own_group", json!({ "group": group })),
        Refusal::MixedFamilies { first, second } => {
            (Is::BAD_REQUEST, "mixed_families", json!({ "first": first, "second": second }))
        }
        Refusal::DuplicateRule { rule } => (Is::CONFLICT, "duplicate_rule", json!({ "rule": rule })),
        Refusal::Repeated { first, second } => {
            (Is::BAD_REQUEST, "repeated", json!({ "first": first, "second": second }))
        }
        Refusal::ChangesKind { field } => {
            (Is::BAD_REQUEST, "changes_kind", json!({ "field": field.to_string() }))
        }
        Refusal::NothingToChange => (Is::BAD_REQUEST, "nothing_to_change", json!({})),
        Refusal::OtherRule { rule, of } => (Is::NOT_FOUND, "other_rule", json!({ "rule": rule, "of": of })),
        Refusal::DeviceTaken { device, nic } => {
            (Is::CONFLICT, "device_taken", json!({ "device": device, "nic": nic }))
        }
        Refusal::Exists { kind, id } => {
            (Is::CONFLICT, "exists", json!({ "kind": kind.to_string(), "id": id }))
        }
        Refusal::TokenReused { token } => (Is::CONFLICT, "token_reused", json!({ "token": token })),
        Refusal::Unenforceable { reason } => (Is::CONFLICT, "unenforceable", json!({ "reason": reason })),
        Refusal::NotYetInForce { reason } => {
            (Is::INTERNAL_SERVER_ERROR, "not_yet_in_force", json!({ "reason": reason }))
        }
        Refusal::NotStored { reason } => {
            (Is::INTERNAL_SERVER_ERROR, "not_stored", json!({ "reason": reason }))
        }
        Refusal::Ending => (Is::SERVICE_UNAVAILABLE, "ending", json!({})),
    }
}
