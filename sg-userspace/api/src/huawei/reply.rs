//! Responses and faults on the wire. It must never know which operation responds.

use axum::{
    body::Body,
    http::{self, HeaderName, HeaderValue, StatusCode, header},
};
use serde_json::Value;

use super::{Dialect, Fault};
use crate::listen::HeldBack;

/// The response of an operation, without the request's id.
#[derive(Clone, Debug)]
pub struct Response {
    status: StatusCode,
    /// `Null`: no body.
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The access key that a token was issued for.
    pub(super) issued_to: Option<String>,
}

impl Response {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, headers: Vec::new(), issued_to: None }
    }

    /// 200.
    #[must_use]
    pub fn of(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 201: an object was created.
    #[must_use]
    pub fn created(body: Value) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// 202: it would be done, or is done without more to say.
    #[must_use]
    pub fn accepted(body: Value) -> Self {
        Self::new(StatusCode::ACCEPTED, body)
    }

    /// 204: an object was deleted.
    #[must_use]
    pub fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Value::Null)
    }

    /// The same, with this status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same, with a token for this access key.
    #[must_use]
    pub fn to(self, key: &str) -> Self {
        Self { issued_to: Some(key.to_owned()), ..self }
    }

    /// The same, with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// As it is sent. Clients of v3 look for the id of the request in the body, too.
    pub(super) fn write(mut self, dialect: Dialect, request_id: &str) -> http::Response<Body> {
        if dialect == Dialect::V3
            && let Value::Object(fields) = &mut self.body
        {
            fields.insert("request_id".to_owned(), request_id.into());
        }
        let mut response = written(self.status, &self.body);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A refusal as it is sent.
pub(super) fn refused(fault: &Fault, request_id: &str) -> http::Response<Body> {
    let mut response = written(fault.status, &fault.body(request_id));
    response.extensions_mut().insert(HeldBack(fault.wait));
    response
}

fn written(status: StatusCode, body: &Value) -> http::Response<Body> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let has_body = !text.is_empty();
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = status;
    if has_body {
        // Without a character set: one of the clients compares the whole value.
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
