//! Signature version 1.0 of the RPC protocol: HMAC-SHA1 over the method and all parameters, in base64, itself a parameter.
//! Headers and path are not signed, and a body only if its parameters are form fields.

use std::collections::BTreeMap;

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::Hmac;
use sha1::Sha1;

use super::{Recipe, Signed, encode, encoding, is_mac};

/// The parameter with the signature, the only one that is not signed.
pub const SIGNATURE: &str = "Signature";

/// What must have been signed: `parameters` are those of the query and of the form, decoded, including blank values. `None` if
/// there is no signature. One that is not base64 counts as a wrong one.
#[must_use]
pub fn signed(method: &Method, parameters: &BTreeMap<String, String>) -> Option<Signed> {
    let signature = STANDARD.decode(parameters.get(SIGNATURE)?).unwrap_or_default();
    let query = encoding::query(parameters.iter().filter(|(name, _)| *name != SIGNATURE));
    let text = format!("{method}&%2F&{}", encode(&query)).into_bytes();
    Some(Signed { text, or: None, signature, recipe: Recipe::V1 })
}

pub(super) fn verify(secret: &[u8], text: &[u8], signature: &[u8]) -> bool {
    is_mac::<Hmac<Sha1>>(&[secret, b"&"].concat(), text, signature)
}
