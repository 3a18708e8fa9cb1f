//! The request as received: its parameters, from the three places where clients put them, decoded. It must never trust anything:
//! nothing here is authenticated yet.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header, request::Parts},
};
use bytes::Bytes;

use super::{
    super::{
        listen::{self, Peer},
        media,
    },
    Fault, Format, fault,
};

/// The maximum number of parameters: 100 rules with all their fields, or a list of 2,000 entries with descriptions, and as many
/// again.
const MAX_PARAMETERS: usize = 8192;
/// The media type of a body.
const FORM: &[&str] = &["application/x-www-form-urlencoded"];
/// The maximum length of a `Host` header in a response.
const MAX_HOST: usize = 255;

/// Names and values, decoded.
pub(super) type Pairs = BTreeMap<String, String>;

/// A request that was read.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) query: Pairs,
    /// The query and, of a posted form, its fields.
    pub(super) parameters: Pairs,
    pub(super) body: Bytes,
    /// The peer, if it is known.
    pub(super) peer: Option<Peer>,
}

impl Wire {
    /// Reads a request. Its target may be absolute, as clients send it to a proxy.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::GET && parts.method != Method::POST {
            return Err(Fault::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UnsupportedHTTPMethod",
                "This http method is not supported: use GET or POST.",
            ));
        }
        if parts.uri.path() != "/" {
            return Err(Fault::unknown_action());
        }
        let mut query = Pairs::new();
        add(&mut query, parts.uri.query().unwrap_or_default().as_bytes())?;
        let body = listen::collect(body).await?;
        let mut parameters = query.clone();
        // Parameters in a body that is not read would be lost silently, though they may be signed. The body of a GET has no
        // meaning.
        if parts.method == Method::POST && !body.is_empty() {
            media::check(&parts.headers, FORM)?;
            add(&mut parameters, &body)?;
        }
        let peer = parts.extensions.get().copied();
        Ok(Self { method: parts.method, headers: parts.headers, query, parameters, body, peer })
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The action that the request names, of whichever signature it has.
    pub(super) fn action(&self) -> Option<&str> {
        if is_acs3(&self.headers) {
            return self.header("x-acs-action").map(str::trim);
        }
        self.parameters.get("Action").map(String::as_str)
    }

    /// The format of the response: as the request says, or the default of its kind of client.
    pub(super) fn format(&self) -> Result<Format, Fault> {
        match self.parameters.get("Format") {
            Some(format) if !format.is_empty() => {
                named_format(format).ok_or_else(|| Fault::malformed("Format", "JSON or XML is expected"))
            }
            _ => Ok(default_format(&self.headers)),
        }
    }
}

/// The format of a refusal while only the head is known.
pub(super) fn early_format(parts: &Parts) -> Format {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .take(MAX_PARAMETERS)
        .find(|(name, _)| name == "Format")
        .and_then(|(_, format)| named_format(&format))
        .unwrap_or_else(|| default_format(&parts.headers))
}

/// The host that the client addresses.
pub(super) fn host(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // Some clients send a whole URL.
    let host = host.split_once("://").map_or(host, |(_, rest)| rest);
    host.chars().take(MAX_HOST).collect()
}

/// Whether `Authorization` is of ACS3, or of a recipe of that family.
pub(super) fn is_acs3(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"ACS3-"))
}

fn default_format(headers: &HeaderMap) -> Format {
    if is_acs3(headers) { Format::Json } else { Format::Xml }
}

fn named_format(name: &str) -> Option<Format> {
    if name.eq_ignore_ascii_case("json") {
        Some(Format::Json)
    } else if name.eq_ignore_ascii_case("xml") {
        Some(Format::Xml)
    } else {
        None
    }
}

/// Adds the pairs of `encoded`. A repeated name is refused: which one was signed, and which one is meant, is ambiguous.
fn add(pairs: &mut Pairs, encoded: &[u8]) -> Result<(), Fault> {
    for (name, value) in form_urlencoded::parse(encoded) {
        if pairs.len() >= MAX_PARAMETERS {
            return Err(Fault::bad(
                "InvalidParameter",
                format!("A request has {MAX_PARAMETERS} parameters at most."),
            ));
        }
        if pairs.contains_key(name.as_ref()) {
            return Err(fault::repeated(&name));
        }
        pairs.insert(name.into_owned(), Cow::into_owned(value));
    }
    Ok(())
}
