//! SDK-HMAC-SHA256: method, path, query, the headers that the client lists, the body's hash and the date.

use axum::http::{HeaderMap, Method};

use super::{Authorization, Malformed, Signed, authorization::Scheme, encode, encoding, sha256_hex};

/// The name of the recipe, at the beginning of the `Authorization` header.
pub const SCHEME: &str = "SDK-HMAC-SHA256";
/// The header with the time, `YYYYMMDDThhmmssZ`.
pub const DATE: &str = "x-sdk-date";
/// The header that announces the body's hash, if there is a body.
pub const CONTENT_HASH: &str = "x-sdk-content-sha256";
/// The value of that header if the client did not sign the body.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const PARTS: Scheme = Scheme { name: SCHEME, key: "Access", fields: "Access, SignedHeaders" };
/// Headers that must be signed: without them, a signature could be used elsewhere and forever.
const REQUIRED: [&str; 2] = ["host", DATE];

/// Parses an `Authorization` header.
///
/// # Errors
/// If it is not of this recipe.
pub fn authorization(header: &str) -> Result<Authorization, Malformed> {
    PARTS.read(header)
}

/// What `authorization` must have signed. `path` is decoded, `query` too, in any order and with repetitions.
///
/// # Errors
/// If a header is missing or not signed.
pub fn signed(
    authorization: &Authorization,
    method: &Method,
    path: &str,
    mut query: Vec<(String, String)>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Signed, Malformed> {
    authorization.covers(&REQUIRED)?;
    let canonical_headers = authorization.canonical_headers(headers)?;
    let date = headers.get(DATE).ok_or_else(|| Malformed::MissingHeader { name: DATE.to_owned() })?;
    let mut hash = sha256_hex(body);
    if let Some(announced) = headers.get(CONTENT_HASH).filter(|_| !body.is_empty()) {
        authorization.covers(&[CONTENT_HASH])?;
        if announced == UNSIGNED {
            UNSIGNED.clone_into(&mut hash);
        } else if announced.as_bytes() != hash.as_bytes() {
            return Err(Malformed::BodyHash { name: CONTENT_HASH });
        }
    }

    let mut path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    query.sort();
    let query = encoding::query(query.iter().map(|(name, value)| (name, value)));
    let mut request = format!("{method}\n{path}\n{query}\n").into_bytes();
    request.extend_from_slice(&canonical_headers);
    request.extend_from_slice(format!("\n{}\n{hash}", authorization.signed_headers.join(";")).as_bytes());

    let mut text = format!("{SCHEME}\n").into_bytes();
    text.extend_from_slice(date.as_bytes());
    text.extend_from_slice(format!("\n{}", sha256_hex(&request)).as_bytes());
    Ok(authorization.signed(text))
}
