//! Authentication: key, signature, time and nonce, in the documented order. Only a request that passes all of it becomes a
//! [`Call`].

use std::sync::PoisonError;

use axum::http::header;
use jiff::Timestamp;
use sg_audit::{Entry, Who};

use super::{
    Call, Ecs, Fault, Format,
    call::{VERSION, VPC_ACTIONS, VPC_VERSION},
    nonces::{Replay, WINDOW},
    wire::{Pairs, Wire, is_acs3},
};
use crate::{
    attempts::Wrong,
    recording::PendingChange,
    signature::{Malformed, Signed, acs3, v1},
};

/// The maximum length of a string to sign in a response. The string is five times as long as the parameters, and whoever knows a
/// key's id can request it.
const MAX_ECHO: usize = 64 << 10;
/// Not passed on as parameters of an action: whoever logs parameters should not log these.
const NOT_PASSED_ON: [&str; 2] = [v1::SIGNATURE, "SecurityToken"];

/// What a complete request claims.
struct Claim<'a> {
    key_id: String,
    nonce: &'a str,
    time: &'a str,
    action: &'a str,
    version: &'a str,
    signed: Signed,
}

/// Authenticates a request and returns its call. `entry` is that of the audit trail: it learns who sent the request, or which
/// key it named.
pub(super) fn authenticate(
    wire: Wire,
    format: Format,
    request_id: &str,
    ecs: &Ecs,
    entry: &mut Entry,
) -> Result<Call, Fault> {
    if wire.headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        // It is ambiguous which of them is meant.
        return Err(Malformed::RepeatedHeader { name: header::AUTHORIZATION.to_string() }.into());
    }
    let claim = if is_acs3(&wire.headers) { acs3_claim(&wire)? } else { v1_claim(&wire)? };
    let wait = |wrong| ecs.attempts.refused("ECS API", wrong, wire.peer);
    let key = ecs.keys.find(&claim.key_id).ok_or_else(|| {
        Fault::not_found("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            .after(wait(Wrong::Key))
    })?;
    // It exists: an unknown id could be any text.
    entry.who = Who::claiming(&claim.key_id);
    if !claim.signed.verify(key.secret.expose()) {
        return Err(mismatch(&claim.signed).after(wait(Wrong::Secret(&claim.key_id))));
    }
    let now = (ecs.clock)();
    let time = read_time(claim.time)?;
    if time.as_second().abs_diff(now.as_second()) > WINDOW.unsigned_abs() {
        return Err(expired());
    }
    // No holder of this lock can leave it inconsistent.
    let mut nonces = ecs.nonces.lock().unwrap_or_else(PoisonError::into_inner);
    nonces.admit(&claim.key_id, claim.nonce, time, now).map_err(|replay| match replay {
        Replay::Used => Fault::bad("SignatureNonceUsed", "Specified signature nonce was used already."),
        Replay::Forgotten => expired(),
    })?;
    drop(nonces);
    let of_vpcs = claim.version == VPC_VERSION && VPC_ACTIONS.contains(&claim.action);
    if claim.version != VERSION && !of_vpcs {
        return Err(Fault::bad("InvalidVersion", "Specified parameter Version is not valid."));
    }

    let (action, version, key_id) = (claim.action.to_owned(), claim.version.to_owned(), claim.key_id);
    let mut parameters: Pairs = wire.parameters;
    for name in NOT_PASSED_ON {
        parameters.remove(name);
    }
    let request_id = request_id.to_owned();
    entry.who = Who::key(&key_id);
    let change = PendingChange::new(&ecs.recording.trail, entry.clone());
    Ok(Call {
        action,
        version,
        format,
        key_id,
        role: key.role,
        request_id,
        change,
        dry_run: false,
        parameters: parameters.into(),
    })
}

/// Version 1.0: everything is a parameter.
fn v1_claim(wire: &Wire) -> Result<Claim<'_>, Fault> {
    let parameter = |name: &str| {
        let value = wire.parameters.get(name).filter(|value| !value.is_empty());
        value.map(String::as_str).ok_or_else(|| Fault::missing(name))
    };
    let action = parameter("Action")?;
    let version = parameter("Version")?;
    let key_id = parameter("AccessKeyId")?.to_owned();
    for (name, only) in [("SignatureMethod", "HMAC-SHA1"), ("SignatureVersion", "1.0")] {
        if !parameter(name)?.eq_ignore_ascii_case(only) {
            return Err(Fault::bad(
                "IncompleteSignature",
                format!("The request signature does not conform to Aliyun standards: {name} must be {only}."),
            ));
        }
    }
    let (nonce, time) = (parameter("SignatureNonce")?, parameter("Timestamp")?);
    parameter(v1::SIGNATURE)?;
    let signed = v1::signed(&wire.method, &wire.parameters).ok_or_else(|| Fault::missing(v1::SIGNATURE))?;
    Ok(Claim { key_id, nonce, time, action, version, signed })
}

/// ACS3: action, version, nonce and time are headers.
fn acs3_claim(wire: &Wire) -> Result<Claim<'_>, Fault> {
    let header = |name: &str| {
        wire.header(name).map(str::trim).filter(|value| !value.is_empty()).ok_or_else(|| Fault::missing(name))
    };
    let action = header("x-acs-action")?;
    let version = header("x-acs-version")?;
    let (nonce, time) = (header("x-acs-signature-nonce")?, header("x-acs-date")?);
    let authorization = acs3::authorization(header("authorization")?)?;
    let signed = acs3::signed(&authorization, &wire.method, &wire.query, &wire.headers, &wire.body)?;
    Ok(Claim { key_id: authorization.key_id, nonce, time, action, version, signed })
}

/// The vendor's text, with the expected string to sign: one of the clients compares it with its own, to tell a wrong secret from
/// a wrong recipe, and crashes on a message without a colon.
fn mismatch(signed: &Signed) -> Fault {
    let text = signed.text();
    let text = String::from_utf8_lossy(text.get(..MAX_ECHO).unwrap_or(text));
    Fault::bad(
        "SignatureDoesNotMatch",
        format!("Specified signature is not matched with our calculation. server string to sign is:{text}"),
    )
}

fn expired() -> Fault {
    Fault::bad("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
}

/// `YYYY-MM-DDThh:mm:ssZ`, with or without fractions of a second.
fn read_time(text: &str) -> Result<Timestamp, Fault> {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = text.len() > shape.len()
        && text.ends_with('Z')
        && text.bytes().zip(shape).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            mark => byte == *mark,
        });
    text.parse().ok().filter(|_| fits).ok_or_else(|| {
        Fault::bad("InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    })
}
