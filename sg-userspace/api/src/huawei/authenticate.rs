//! Authentication: by a signature or by a token. Only a request that passes gets to know anything of this server, but for the
//! operations that need no key.
//!
//! There is no protection against repetition within the time that a signature is valid: the vendor's clients send identical requests
//! within a second.

use axum::http::header;
use jiff::{Timestamp, civil, tz::TimeZone};
use sg_audit::{Entry, Who};
use sg_records::KeyRole;

use super::{Fault, Huawei, project::Project, wire::Wire};
use crate::{attempts::Wrong, signature::sdk};

/// How far the clocks of client and server may differ, in seconds.
const WINDOW: u64 = 15 * 60;
/// The header with a token.
pub(super) const TOKEN: &str = "x-auth-token";
/// The header of temporary keys, which this server does not have.
const SECURITY_TOKEN: &str = "x-security-token";
/// The name of this API in log lines about wrong secrets.
pub(super) const API: &str = "Huawei API";

/// Who sent a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) key_id: String,
    pub(super) role: KeyRole,
    /// The project of the token.
    pub(super) project: Option<Project>,
}

/// Authenticates a request. `entry` is that of the audit trail: it learns who sent the request, or which key it named.
pub(super) fn authenticate(wire: &Wire, huawei: &Huawei, entry: &mut Entry) -> Result<Caller, Fault> {
    let headers = |name: &str| wire.headers.get_all(name).iter().count();
    let signatures = headers(header::AUTHORIZATION.as_str());
    let tokens = headers(TOKEN);
    if headers(SECURITY_TOKEN) > 0 {
        return Err(Fault::unauthenticated("this server has no temporary keys: send no X-Security-Token"));
    }
    let caller = match (signatures, tokens) {
        (1, 0) => by_signature(wire, huawei, entry)?,
        (0, 1) => by_token(wire, huawei)?,
        (0, 0) => return Err(Fault::unauthenticated("there is neither Authorization nor X-Auth-Token")),
        // It is ambiguous which of them is meant.
        _ => {
            return Err(Fault::unauthenticated(
                "there must be one Authorization or one X-Auth-Token, and not more",
            ));
        }
    };
    entry.who = Who::key(&caller.key_id);
    Ok(caller)
}

fn by_signature(wire: &Wire, huawei: &Huawei, entry: &mut Entry) -> Result<Caller, Fault> {
    let header = wire.header(header::AUTHORIZATION.as_str()).unwrap_or_default();
    let authorization = sdk::authorization(header)?;
    let key_id = authorization.key_id.clone();
    let wait = |wrong| huawei.attempts.refused(API, wrong, wire.peer);
    let query = wire.query.0.clone();
    let signed = sdk::signed(&authorization, &wire.method, &wire.path, query, &wire.headers, &wire.body)?;
    let key = huawei.keys.find(&key_id).ok_or_else(|| {
        let shown: String = key_id.chars().take(64).collect();
        let why = format!("Get secretKey failed,ak:{shown},err:ak not exist");
        Fault::unauthenticated(&why).after(wait(Wrong::Key))
    })?;
    // It exists: an unknown id could be any text.
    entry.who = Who::claiming(&key_id);
    if !signed.verify(key.secret.expose()) {
        return Err(Fault::unauthenticated("verify aksk signature fail").after(wait(Wrong::Secret(&key_id))));
    }
    let time = wire.header(sdk::DATE).and_then(read_time).ok_or_else(|| {
        Fault::unauthenticated("verify aksk signature fail, X-Sdk-Date is not YYYYMMDDThhmmssZ")
    })?;
    let now = (huawei.clock)();
    if time.as_second().abs_diff(now.as_second()) > WINDOW {
        let why =
            "verify aksk signature fail, X-Sdk-Date is more than 15 minutes from the time of this server";
        return Err(Fault::unauthenticated(why));
    }
    Ok(Caller { key_id, role: key.role, project: None })
}

fn by_token(wire: &Wire, huawei: &Huawei) -> Result<Caller, Fault> {
    let token = wire.header(TOKEN).unwrap_or_default();
    let refused = || {
        let wait = huawei.attempts.refused(API, Wrong::Key, wire.peer);
        Fault::unauthenticated("decrypt token fail").after(wait)
    };
    let issued = huawei.tokens.find(token, (huawei.clock)());
    // Its key may be deleted meanwhile.
    let found = issued.and_then(|issued| Some((huawei.keys.find(&issued.key)?, issued)));
    let (key, issued) = found.ok_or_else(refused)?;
    Ok(Caller { key_id: issued.key, role: key.role, project: Some(issued.project) })
}

/// `YYYYMMDDThhmmssZ`.
fn read_time(text: &str) -> Option<Timestamp> {
    let shape = b"ddddddddTddddddZ";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            mark => byte == *mark,
        });
    let time = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok().filter(|_| fits)?;
    time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}
