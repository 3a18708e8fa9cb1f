//! Authenticates callers: a user of this host, or an access key.
//!
//! An unauthenticated request gets a 401 and goes no further; after a wrong secret, that response is delayed. The router calls it
//! for every request. What a role may do is declared with each route.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sg_api_types::ErrorBody;
use sg_audit::{Api, Entry, Who};
use sg_records::{AccessKeyId, KeyRole};
use sg_service::Service;
use sha2::{Digest as _, Sha256};

use super::{
    Caller, Native,
    error::{Failed, WithStatus as _},
    route::operation_id,
};
use crate::{
    attempts::Wrong,
    listen::{Claim, HeldBack, Peer},
    recording::{self, Facts, Recording},
    request_id::RequestId,
};

/// The operation ids of all routes. Whatever else a client asks for is `unknown`.
pub(super) type Operations = Arc<BTreeSet<String>>;

/// The caller, as an extension of every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Identity {
    /// `uid 0` or `key ak-…`. Idempotency keys are kept by it.
    pub(super) name: String,
    /// The same for the audit trail.
    pub(super) who: Who,
    /// What the caller may do. Users of the socket may do everything.
    pub(super) role: KeyRole,
}

impl Identity {
    /// Refuses what the caller's role does not allow.
    pub(super) fn check(&self, needed: KeyRole) -> Result<(), Failed> {
        if self.role >= needed {
            return Ok(());
        }
        let Self { name, who: _, role } = self;
        Err(Failed::Role { needed, role: *role, caller: name.clone() })
    }
}

/// The sender that a request claims.
enum Sender {
    /// An authenticated caller.
    Known(Identity),
    /// No credentials.
    Anonymous,
    /// An unknown access key.
    UnknownKey,
    /// An access key with a wrong secret.
    WrongSecret(String),
    /// Several credentials at once.
    Several,
}

/// Passes authenticated requests on, and refuses all others.
pub(super) async fn identify(
    State((native, operations)): State<(Native, Operations)>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let sender = match native.caller {
        Caller::Socket => match peer {
            Some(Peer::Process { uid, gid, pid }) => Sender::Known(Identity {
                name: format!("uid {uid}"),
                who: Who::process(uid, gid, pid),
                role: KeyRole::Admin,
            }),
            _ => Sender::Anonymous,
        },
        // Without a store there are no access keys.
        Caller::AccessKey => {
            native.service.as_ref().map_or(Sender::Anonymous, |service| key(service, request.headers()))
        }
    };
    let refused = |wrong| native.attempts.refused("native API", wrong, peer);
    // Not the path itself: a client may write anything there.
    let path = request.extensions().get::<MatchedPath>().cloned();
    // Routes of GET serve it.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let operation = path.as_ref().map(|path| operation_id(method.as_str(), path.as_str()));
    let operation = operation.filter(|operation| operations.contains(operation));
    let facts = request.extensions().get::<Facts>().cloned().unwrap_or_default();
    let name = operation.clone().unwrap_or_else(|| recording::UNKNOWN.to_owned());
    let mut entry = Entry::new(Api::Native, name, Who::default(), recording::from(peer));
    entry.request = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let (wait, claimed) = match sender {
        Sender::Known(caller) => {
            if let Some(claim) = request.extensions().get::<Claim>() {
                claim.accept();
            }
            if native.caller == Caller::Socket {
                call_json(request.headers_mut());
            }
            let requested =
                format!("{} {}", request.method(), path.as_ref().map_or("nothing", MatchedPath::as_str));
            let who = caller.name.clone();
            facts.note(operation, caller.who.clone());
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            tracing::debug!("{requested} by {who}: {}", response.status().as_u16());
            return response;
        }
        Sender::Several => {
            let message = "the request has several Authorization headers: send one";
            let refused = Failed::Malformed(message.to_owned());
            facts.note(operation, Who::default());
            return unknown(&native.recording, entry, refused.body()).await;
        }
        Sender::Anonymous => (Duration::ZERO, Who::default()),
        Sender::UnknownKey => (refused(Wrong::Key), Who::default()),
        Sender::WrongSecret(key) => (refused(Wrong::Secret(&key)), Who::claiming(key)),
    };
    let message = "an access key is needed: send its id and secret as HTTP Basic authentication";
    let body = (StatusCode::UNAUTHORIZED, ErrorBody::new("unauthenticated", message));
    facts.note(operation, claimed.clone());
    let mut response = unknown(&native.recording, Entry { who: claimed, ..entry }, body).await;
    let basic = header::HeaderValue::from_static("Basic realm=\"sgd\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    response.extensions_mut().insert(HeldBack(wait));
    response
}

/// The response to a caller who is not known, which is in the audit trail.
async fn unknown(recording: &Recording, entry: Entry, (status, body): (StatusCode, ErrorBody)) -> Response {
    recording.unknown_caller(entry, &body.error.code).await;
    body.with_status(status)
}

/// Sets the type of a body to JSON if it has none, or is a form, as `curl -d` labels every body. This API reads no forms, and no
/// browser uses a unix socket, so JSON is what the user meant (RFC 9110, 8.3: the receiver may look).
fn call_json(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (first, another) = (values.next(), values.next());
    if another.is_none() && first.is_none_or(|kind| kind == "application/x-www-form-urlencoded") {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    }
}

/// The access key of a request, and whether its secret is right.
fn key(service: &Service, headers: &HeaderMap) -> Sender {
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Sender::Several;
    }
    let Some((id, secret)) = basic(headers) else { return Sender::Anonymous };
    let state = service.snapshot();
    let Some(known) = state.access_key(&AccessKeyId::from(id.as_str())) else { return Sender::UnknownKey };
    // Comparing digests reveals nothing of the secret by its timing.
    if Sha256::digest(secret) == Sha256::digest(&known.secret) {
        Sender::Known(Identity { name: format!("key {id}"), who: Who::key(&id), role: known.role })
    } else {
        Sender::WrongSecret(id)
    }
}

/// Id and secret of HTTP Basic authentication.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    credentials.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}
