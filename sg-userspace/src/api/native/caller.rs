//! Who asks: a user of this host, or an access key. What is not known to be somebody is answered 401 and goes no further.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{Native, error::ErrorBody};
use crate::{api::listen::Peer, service::Service, store::KeyId};

/// How callers are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// They came through a unix socket, which let them: they are the user that the kernel says.
    Socket,
    /// They say an access key and its secret.
    Keys,
}

/// Whoever asks, for what is kept by caller. An extension of every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Identity(pub(super) String);

/// Lets through who is known.
pub(super) async fn identify(State(native): State<Native>, mut request: Request, next: Next) -> Response {
    let who = match native.caller {
        Caller::Socket => match request.extensions().get::<Peer>() {
            Some(Peer::Process { uid, .. }) => Some(format!("uid {uid}")),
            _ => None,
        },
        Caller::Keys => key(&native.service, request.headers()),
    };
    let Some(who) = who else {
        let message = "an access key is needed: send its id and secret as HTTP Basic authentication";
        let mut response = ErrorBody::new("unauthenticated", message).into_response(StatusCode::UNAUTHORIZED);
        let basic = header::HeaderValue::from_static("Basic realm=\"sgd\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        return response;
    };
    request.extensions_mut().insert(Identity(who));
    next.run(request).await
}

/// The key that a request says, where its secret is right.
fn key(service: &Service, headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    let state = service.snapshot();
    let known = state.key(&KeyId::from(id))?;
    // Digests are compared, so that the time tells nothing of the secret.
    (Sha256::digest(secret) == Sha256::digest(&known.secret)).then(|| format!("key {id}"))
}
