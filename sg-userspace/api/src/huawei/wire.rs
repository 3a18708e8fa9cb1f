//! The request as received: method, path, query, headers and body, decoded. It must never trust anything: nothing here is
//! authenticated yet.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, header},
};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Fault, json, parameters::Query};
use crate::{
    listen::{self, Peer},
    media,
};

/// The maximum number of parameters in a query.
const MAX_PARAMETERS: usize = 200;
/// The media type of a body.
const JSON: &[&str] = &["application/json"];
/// The maximum length of a `Host` header in a response.
const MAX_HOST: usize = 255;

/// A request that was read. It has no `Debug`: its headers and its body may have a token or a secret.
pub(super) struct Wire {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The decoded path.
    pub(super) path: String,
    /// Its decoded parts, without the blank one before the first slash, and without one behind the last.
    pub(super) parts: Vec<String>,
    pub(super) query: Query,
    pub(super) body: Bytes,
    /// The peer, if it is known.
    pub(super) peer: Option<Peer>,
}

impl Wire {
    /// Reads a request. Its target may be absolute, as clients send it to a proxy.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get().copied();
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query: Vec<(String, String)> = query.into_owned().take(MAX_PARAMETERS + 1).collect();
        if query.len() > MAX_PARAMETERS {
            let message = format!("A query has {MAX_PARAMETERS} parameters at most.");
            return Err(Fault::gateway(axum::http::StatusCode::BAD_REQUEST, "APIGW.0201", message));
        }
        let raw = parts.uri.path();
        let path = decoded(raw)?;
        let inner = raw.strip_prefix('/').unwrap_or(raw);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let inner = inner.split('/').map(decoded).collect::<Result<_, _>>()?;
        let body = listen::collect(body).await?;
        Ok(Self {
            method: parts.method,
            headers: parts.headers,
            path,
            parts: inner,
            query: Query(query),
            body,
            peer,
        })
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
    }

    /// The host that the client addresses.
    pub(super) fn host(&self) -> String {
        self.header(header::HOST.as_str()).unwrap_or_default().chars().take(MAX_HOST).collect()
    }

    /// The body as JSON; `null` if there is none.
    pub(super) fn json(&self) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        media::check(&self.headers, JSON)?;
        json::parse(&self.body).map_err(|error| {
            let message = format!("The body is not JSON: {error}.");
            Fault::gateway(axum::http::StatusCode::BAD_REQUEST, "APIGW.0201", message)
        })
    }
}

fn decoded(text: &str) -> Result<String, Fault> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| {
        let message = "The path is not UTF-8.";
        Fault::gateway(axum::http::StatusCode::BAD_REQUEST, "APIGW.0201", message)
    })?;
    Ok(text.into_owned())
}
