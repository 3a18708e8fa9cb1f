//! Maps each refusal to the form of this API: a status, a code for programs, a message for people, and the values concerned.
//!
//! It must never decide what is refused. Codes are stable: clients compare them.

use std::{
    error::Error as _,
    path::{Path, PathBuf},
};

use axum::{
    Json,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use sg_agent::AgentError;
use sg_api_types::{ErrorBody, ErrorDetail};
use sg_inspect::InspectError;
use sg_records::KeyRole;
use sg_service::Refusal;

use crate::{listen::BodyFailure, media::Unsupported, recording::ErrorCode};

/// Sends the body of an error with a status.
pub(super) trait WithStatus {
    /// The error as a response.
    fn with_status(self, status: StatusCode) -> Response;
}

impl WithStatus for ErrorBody {
    fn with_status(self, status: StatusCode) -> Response {
        let code = ErrorCode(self.error.code.clone());
        let mut response = (status, Json(self)).into_response();
        response.extensions_mut().insert(code);
        response
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
    /// The role of the caller's access key does not allow it.
    Role {
        /// The least role that does.
        needed: KeyRole,
        /// That of the key.
        role: KeyRole,
        /// `key ak-…`.
        caller: String,
    },
    /// What it asks for could not be read here.
    Unreadable(String),
    /// There is no store; the document that there is instead.
    NoStore {
        /// Its path.
        document: Option<PathBuf>,
    },
    /// This server is only looked at.
    ReadOnly,
    /// The document has nothing of this name.
    Missing {
        /// The kind.
        what: &'static str,
        /// The name in the request.
        name: String,
    },
    /// The document has no such NIC.
    NoNic {
        /// The device in the request.
        nic: String,
    },
    /// What is in force cannot be shown.
    Inspect(InspectError),
    /// The agent refuses it.
    Agent(Box<AgentError>),
    /// A change was to be confirmed, and was over already.
    TooLate {
        /// Its id.
        id: u32,
    },
    /// As many as there may be at once are served already.
    TooMany(String),
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

impl From<InspectError> for Failed {
    fn from(error: InspectError) -> Self {
        Self::Inspect(error)
    }
}

impl From<AgentError> for Failed {
    fn from(error: AgentError) -> Self {
        Self::Agent(Box::new(error))
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

impl Failed {
    /// How many flows were deleted before it failed, if any were; and its code and message.
    pub(super) fn part(&self) -> Option<(usize, [String; 2])> {
        let Self::Inspect(failure @ InspectError::Partly { deleted, .. }) = self else { return None };
        let (_, ErrorBody { error }) = not_shown(failure);
        Some((*deleted, [error.code, error.message]))
    }

    /// The status and the body of the response.
    pub(super) fn body(self) -> (StatusCode, ErrorBody) {
        match self {
            Self::Refused(refusal) => refused(&refusal),
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, ErrorBody::new("malformed", message)),
            Self::Media(unsupported) => {
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                (status, ErrorBody::new("unsupported_media_type", unsupported.to_string()))
            }
            Self::Forbidden(message) => (StatusCode::FORBIDDEN, ErrorBody::new("forbidden", message)),
            Self::Role { needed, role, caller } => {
                let message = format!(
                    "this needs an access key with the role {needed}; {caller} has the role {role}. \
                     `sgctl access-key create --role {needed}` makes one"
                );
                let details = json!({ "needed": needed, "role": role });
                let error = ErrorDetail { code: "forbidden".to_owned(), message, details };
                (StatusCode::FORBIDDEN, ErrorBody { error })
            }
            Self::Unreadable(message) => {
                (StatusCode::INTERNAL_SERVER_ERROR, ErrorBody::new("unreadable", message))
            }
            Self::NoStore { document } => no_store(document.as_deref()),
            Self::ReadOnly => {
                let message =
                    "`sgd run` serves this API for reading only: on its host, root does this with sgctl";
                (StatusCode::FORBIDDEN, ErrorBody::new("read_only", message))
            }
            Self::Missing { what, name } => missing(format!("the document in force has no {what} {name:?}")),
            Self::NoNic { nic } => missing(format!("the document in force has no NIC {nic:?}")),
            Self::Inspect(error) => not_shown(&error),
            Self::Agent(error) => by_agent(&error),
            Self::TooLate { id } => {
                let message = format!("change {id} is over: what was in force before it is in force again");
                (StatusCode::CONFLICT, ErrorBody::new("reverted", message))
            }
            Self::TooMany(message) => (StatusCode::TOO_MANY_REQUESTS, ErrorBody::new("too_many", message)),
            Self::Body(failure) => {
                let (status, code) = match failure {
                    BodyFailure::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                    BodyFailure::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
                    BodyFailure::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                    BodyFailure::Broken { .. } => (StatusCode::BAD_REQUEST, "malformed"),
                };
                (status, ErrorBody::new(code, failure.to_string()))
            }
        }
    }
}

fn missing(message: String) -> (StatusCode, ErrorBody) {
    (StatusCode::NOT_FOUND, ErrorBody::new("not_found", message))
}

/// The refusal of what needs a store.
fn no_store(document: Option<&Path>) -> (StatusCode, ErrorBody) {
    let document = document.map(|path| path.display().to_string());
    let (what, edit) = match &document {
        Some(path) => (format!("the document {path}"), "edit it, and it is applied when it is saved"),
        None => ("a document".to_owned(), "edit it"),
    };
    let message = format!(
        "`sgd run` enforces {what} and has no store of groups, rules and NICs: {edit}, or keep them in a store with \
         `sgd serve`"
    );
    let details = json!({ "document": document });
    let error = ErrorDetail { code: "no_store".to_owned(), message, details };
    (StatusCode::CONFLICT, ErrorBody { error })
}

/// Why the agent does not settle a change.
fn by_agent(error: &AgentError) -> (StatusCode, ErrorBody) {
    let (status, code, details) = match error {
        AgentError::PendingConfirmation { id, owner, deadline } => {
            let details = json!({ "id": id, "owner": owner, "deadline": deadline });
            (StatusCode::CONFLICT, "pending_confirmation", details)
        }
        AgentError::NothingPending => (StatusCode::CONFLICT, "nothing_pending", Value::Null),
        AgentError::OtherPending { id, .. } => (StatusCode::CONFLICT, "other_pending", json!({ "id": id })),
        AgentError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "ending", Value::Null),
        AgentError::NoCandidate => (StatusCode::CONFLICT, "no_candidate", Value::Null),
        AgentError::CandidateDiffers { device } => {
            (StatusCode::CONFLICT, "candidate_differs", json!({ "nic": device }))
        }
        AgentError::CandidateNotWritten { path, .. } => {
            (StatusCode::CONFLICT, "document_not_written", json!({ "document": path }))
        }
        AgentError::NotInForce { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "not_in_force", Value::Null),
        error if error.concerns_policy() => (StatusCode::CONFLICT, "unenforceable", Value::Null),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "kernel", Value::Null),
    };
    let error = ErrorDetail { code: code.to_owned(), message: error.to_string(), details };
    (status, ErrorBody { error })
}

/// Why what is in force cannot be shown.
fn not_shown(error: &InspectError) -> (StatusCode, ErrorBody) {
    let (status, code) = match error {
        InspectError::NoNic { .. } => (StatusCode::NOT_FOUND, "not_found"),
        InspectError::Filter { .. } | InspectError::Everything => (StatusCode::BAD_REQUEST, "malformed"),
        InspectError::Nothing => (StatusCode::SERVICE_UNAVAILABLE, "nothing_in_force"),
        InspectError::Counters { .. } | InspectError::Flows { .. } | InspectError::Partly { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "kernel")
        }
    };
    let message = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    (status, ErrorBody::new(code, message))
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

fn refused(refusal: &Refusal) -> (StatusCode, ErrorBody) {
    let mut value = serde_json::to_value(refusal).unwrap_or_default();
    let details = value.get_mut("details").map_or_else(|| json!({}), Value::take);
    let error = ErrorDetail { code: refusal.code(), message: refusal.to_string(), details };
    (status(refusal), ErrorBody { error })
}

const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound { .. } | Refusal::OtherRule { .. } | Refusal::ChangeNotKept { .. } => {
            StatusCode::NOT_FOUND
        }
        Refusal::Invalid { .. }
        | Refusal::Document { .. }
        | Refusal::NoExport { .. }
        | Refusal::Record { .. }
        | Refusal::Missing { .. }
        | Refusal::EnterpriseReference { .. }
        | Refusal::EnterpriseInnerAccess { .. }
        | Refusal::RegionalReference { .. }
        | Refusal::RegionalMember { .. }
        | Refusal::OwnGroup { .. }
        | Refusal::MixedFamilies { .. }
        | Refusal::Repeated { .. }
        | Refusal::ChangesKind { .. }
        | Refusal::NothingToChange => StatusCode::BAD_REQUEST,
        Refusal::TooMany { .. } => StatusCode::FORBIDDEN,
        Refusal::Ambiguous { .. }
        | Refusal::Unexportable { .. }
        | Refusal::HasMembers { .. }
        | Refusal::DefaultGroup { .. }
        | Refusal::Referenced { .. }
        | Refusal::InUse { .. }
        | Refusal::AlreadyMember { .. }
        | Refusal::NotMember { .. }
        | Refusal::NoMemberAddress { .. }
        | Refusal::LastGroup { .. }
        | Refusal::MixedTypes { .. }
        | Refusal::OtherVpc { .. }
        | Refusal::OtherNetwork { .. }
        | Refusal::DuplicateRule { .. }
        | Refusal::DeviceTaken { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::Attachment { .. }
        | Refusal::Exists { .. }
        | Refusal::TokenReused { .. }
        | Refusal::Unfiltered { .. }
        | Refusal::LostAccess { .. }
        | Refusal::PendingConfirmation { .. }
        | Refusal::NothingPending
        | Refusal::OtherPending { .. }
        | Refusal::FailingTest { .. }
        | Refusal::Unenforceable { .. } => StatusCode::CONFLICT,
        Refusal::NotYetInForce { .. } | Refusal::NotStored { .. } | Refusal::NotSettled { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Refusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
    }
}
