//! SDK-HMAC-SHA256: method, path, query, the headers that the client lists, the body's hash and the date.
//!
//! The clients of one vendor order the values of a repeated query parameter in two ways. The Python SDK sorts values before they
//! become texts, so numbers by size, and sends them in the order that it signed. The npm SDK sorts them as texts, and sends names in
//! another order. Both orders are tried; they have the same parameters, so neither is weaker.

use axum::http::{HeaderMap, Method, header};

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
/// Headers that must be signed if they are sent: somebody on the way could add them.
const IF_SENT: [&str; 4] = ["x-project-id", "x-domain-id", "x-security-token", CONTENT_HASH];

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
/// If a header is missing, repeated or not signed, or the body is not the announced one.
pub fn signed(
    authorization: &Authorization,
    method: &Method,
    path: &str,
    mut query: Vec<(String, String)>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Signed, Malformed> {
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        // It is ambiguous which of them is meant.
        return Err(Malformed::RepeatedHeader { name: header::AUTHORIZATION.to_string() });
    }
    let mut listed = authorization.signed_headers.clone();
    listed.sort_unstable();
    if let Some([name, _]) = listed.array_windows().find(|[first, second]| first == second) {
        return Err(Malformed::RepeatedHeader { name: name.clone() });
    }
    authorization.covers(&REQUIRED)?;
    authorization.covers_if_sent(&IF_SENT, headers)?;
    let canonical_headers = authorization.canonical_headers(headers)?;
    let date = headers.get(DATE).ok_or_else(|| Malformed::MissingHeader { name: DATE.to_owned() })?;
    let mut hash = sha256_hex(body);
    if let Some(announced) = headers.get(CONTENT_HASH).filter(|_| !body.is_empty()) {
        let announced = announced.as_bytes().trim_ascii();
        if announced == UNSIGNED.as_bytes() {
            UNSIGNED.clone_into(&mut hash);
        } else if announced != hash.as_bytes() {
            return Err(Malformed::BodyHash { name: CONTENT_HASH });
        }
    }

    let mut path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    let text = |query: &[(String, String)]| {
        let query = encoding::query(query.iter().map(|(name, value)| (name, value)));
        let mut request = format!("{method}\n{path}\n{query}\n").into_bytes();
        request.extend_from_slice(&canonical_headers);
        let rest = format!("\n{}\n{hash}", authorization.signed_headers.join(";"));
        request.extend_from_slice(rest.as_bytes());
        let mut text = format!("{SCHEME}\n").into_bytes();
        text.extend_from_slice(date.as_bytes().trim_ascii());
        text.extend_from_slice(format!("\n{}", sha256_hex(&request)).as_bytes());
        text
    };
    query.sort_by(|(first, _), (second, _)| first.cmp(second));
    let as_sent = text(&query);
    query.sort();
    let as_texts = text(&query);
    let or = (as_texts != as_sent).then_some(as_texts);
    Ok(Signed { or, ..authorization.signed(as_sent) })
}
