//! ACS3-HMAC-SHA256: method, path, query, the headers that the client lists and the body's hash.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method};

use super::{Authorization, Malformed, Signed, authorization::Scheme, encoding, sha256_hex};

/// The name of the recipe, at the beginning of the `Authorization` header.
pub const SCHEME: &str = "ACS3-HMAC-SHA256";
/// The header that announces the body's hash.
pub const CONTENT_HASH: &str = "x-acs-content-sha256";

const PARTS: Scheme = Scheme { name: SCHEME, key: "Credential", fields: "Credential, SignedHeaders" };
/// Headers that must be signed: without them, a signature would not cover action, time and host.
const REQUIRED: [&str; 6] =
    ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", CONTENT_HASH];

/// Must be signed if there is a body: somebody on the path could make it another kind of body.
const CONTENT_TYPE: &str = "content-type";

/// Parses an `Authorization` header.
///
/// # Errors
/// If it is not of this recipe.
pub fn authorization(header: &str) -> Result<Authorization, Malformed> {
    PARTS.read(header)
}

/// What `authorization` must have signed. `query` is decoded; the body is hashed here, whatever the request announces.
///
/// # Errors
/// If a header is missing or not signed, or the body is not the announced one.
pub fn signed(
    authorization: &Authorization,
    method: &Method,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Signed, Malformed> {
    for name in REQUIRED {
        if !headers.contains_key(name) {
            return Err(Malformed::MissingHeader { name: name.to_owned() });
        }
    }
    authorization.covers(&REQUIRED)?;
    let canonical_headers = authorization.canonical_headers(headers)?;
    let hash = sha256_hex(body);
    if headers.get(CONTENT_HASH).is_none_or(|announced| announced.as_bytes() != hash.as_bytes()) {
        return Err(Malformed::BodyHash { name: CONTENT_HASH });
    }
    if !body.is_empty() {
        authorization.covers(&[CONTENT_TYPE])?;
    }

    // The protocol has one path.
    let mut request = format!("{method}\n/\n{}\n", encoding::query(query)).into_bytes();
    request.extend_from_slice(&canonical_headers);
    request.extend_from_slice(format!("\n{}\n{hash}", authorization.signed_headers.join(";")).as_bytes());
    Ok(authorization.signed(format!("{SCHEME}\n{}", sha256_hex(&request)).into_bytes()))
}
