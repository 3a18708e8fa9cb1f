//! Who asks: a user of this host, or an access key. What is not known to be somebody is answered 401 and goes no further;
//! a wrong secret waits for that answer.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    Native,
    error::{ErrorBody, Failed},
};
use crate::{
    api::{
        attempts::Wrong,
        listen::{Claim, HeldBack, Peer},
    },
    service::Service,
    store::KeyId,
};

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

/// What a request says of who sends it.
enum Said {
    /// Somebody who may ask.
    Known(String),
    /// Nobody.
    Nobody,
    /// A key that there is not.
    NoKey,
    /// A key, and a secret that is not its.
    NotItsSecret(String),
    /// Several at once.
    Several,
}

/// Lets through who is known.
pub(super) async fn identify(State(native): State<Native>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let said = match native.caller {
        Caller::Socket => match peer {
            Some(Peer::Process { uid, .. }) => Said::Known(format!("uid {uid}")),
            _ => Said::Nobody,
        },
        Caller::Keys => key(&native.service, request.headers()),
    };
    let refused = |wrong| native.attempts.refused("native API", wrong, peer);
    let wait = match said {
        Said::Known(who) => {
            if let Some(claim) = request.extensions().get::<Claim>() {
                claim.accept();
            }
            if native.caller == Caller::Socket {
                call_json(request.headers_mut());
            }
            request.extensions_mut().insert(Identity(who));
            return next.run(request).await;
        }
        Said::Several => {
            let message = "the request has several Authorization headers: send one";
            return Failed::Malformed(message.to_owned()).into_response();
        }
        Said::Nobody => Duration::ZERO,
        Said::NoKey => refused(Wrong::Key),
        Said::NotItsSecret(key) => refused(Wrong::Secret(&key)),
    };
    let message = "an access key is needed: send its id and secret as HTTP Basic authentication";
    let mut response = ErrorBody::new("unauthenticated", message).into_response(StatusCode::UNAUTHORIZED);
    let basic = header::HeaderValue::from_static("Basic realm=\"sgd\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    response.extensions_mut().insert(HeldBack(wait));
    response
}

/// Calls a body JSON that is called nothing, or a form as `curl -d` calls every body. No form is read here, and no browser
/// comes through a unix socket, so what its user typed is what was meant (RFC 9110, 8.3: the receiver may look).
fn call_json(headers: &mut HeaderMap) {
    let mut said = headers.get_all(header::CONTENT_TYPE).iter();
    let (first, another) = (said.next(), said.next());
    if another.is_none() && first.is_none_or(|kind| kind == "application/x-www-form-urlencoded") {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    }
}

/// The key that a request says, and whether its secret is right.
fn key(service: &Service, headers: &HeaderMap) -> Said {
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Said::Several;
    }
    let Some((id, secret)) = basic(headers) else { return Said::Nobody };
    let state = service.snapshot();
    let Some(known) = state.key(&KeyId::from(id.as_str())) else { return Said::NoKey };
    // Digests are compared, so that the time tells nothing of the secret.
    if Sha256::digest(secret) == Sha256::digest(&known.secret) {
        Said::Known(format!("key {id}"))
    } else {
        Said::NotItsSecret(id)
    }
}

/// Id and secret, as HTTP Basic says them.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    credentials.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}
