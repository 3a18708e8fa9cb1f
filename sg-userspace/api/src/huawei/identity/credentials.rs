//! Who asks for a token: the id and secret of an access key, as name and password, or as an application credential. It must never
//! keep a secret, nor say which part of them was wrong more clearly than the other versions do.

use sha2::{Digest, Sha256};

use super::projects::DOMAIN;
use crate::{
    attempts::Wrong,
    huawei::{Call, Fault, Huawei, authenticate::API, parameters::Fields},
};

/// What a client says it is.
struct Claimed<'a> {
    key: &'a str,
    secret: &'a str,
    method: &'static str,
}

/// The key that a client has the secret of, and how it showed that.
pub(super) fn authenticated(huawei: &Huawei, call: &Call) -> Result<(String, &'static str), Fault> {
    let Claimed { key: id, secret, method } = claimed(call)?;
    let wait = |wrong| huawei.attempts.refused(API, wrong, call.peer);
    let why = "The user name (the id of an access key) or the password (its secret) is wrong.";
    let key = huawei.keys.find(id).ok_or_else(|| Fault::unauthorized(why).after(wait(Wrong::Key)))?;
    // Of hashes, the time of a comparison says nothing.
    if Sha256::digest(secret.as_bytes()) != Sha256::digest(key.secret.expose()) {
        return Err(Fault::unauthorized(why).claiming(id).after(wait(Wrong::Secret(id))));
    }
    Ok((id.to_owned(), method))
}

fn claimed(call: &Call) -> Result<Claimed<'_>, Fault> {
    let identity = call.fields().object("auth").object("identity");
    let methods = identity.texts("methods").unwrap_or_default();
    let (method, holder, secret) = match methods.as_slice() {
        ["password"] => ("password", identity.object("password").object("user"), "password"),
        ["application_credential"] => {
            ("application_credential", identity.object("application_credential"), "secret")
        }
        _ => {
            let wanted = "[\"password\"] or [\"application_credential\"] is expected";
            return Err(call.malformed(&identity.place("methods"), wanted));
        }
    };
    let key = holder.text("id").or_else(|| holder.text("name"));
    let key = key.ok_or_else(|| Fault::missing(call.operation, &holder.place("name")))?;
    let secret = holder.text(secret).ok_or_else(|| Fault::missing(call.operation, &holder.place(secret)))?;
    Ok(Claimed { key, secret, method })
}

/// The project that a token is to be for: its id, or the name of its region.
pub(super) struct Scope<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

/// The scope of a request; none: the project of this server.
pub(super) fn scope<'a>(fields: &Fields<'a>) -> Option<Scope<'a>> {
    let scope = fields.object("auth").object("scope");
    if !scope.has("project") {
        return None;
    }
    let project = scope.object("project");
    Some(Scope { id: project.text("id"), name: project.text("name") })
}

/// The domain of users and projects, as responses have it.
pub(super) fn domain() -> serde_json::Value {
    serde_json::json!({ "id": DOMAIN, "name": "Default" })
}
