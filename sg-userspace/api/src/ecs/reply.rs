//! Responses and faults on the wire. Their shapes are what the clients' models declare; a success has no `Code` at its top,
//! because one client takes any for an error.

use axum::{
    body::Body,
    http::{self, HeaderValue, StatusCode, header},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Fault, Format, xml};
use crate::{listen::HeldBack, signature::encode};

/// The response of an action, without the request's id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response(Map<String, Value>);

impl Response {
    /// A response with the request's id only, as most changes have.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// The fields of `response`, under their serialized names.
    ///
    /// # Errors
    /// `InternalError`, if it serializes to no object.
    pub fn of(response: &impl Serialize) -> Result<Self, Fault> {
        let Ok(Value::Object(fields)) = serde_json::to_value(response) else {
            tracing::error!("a response is no object; this is a defect of sgd");
            return Err(Fault::internal());
        };
        Ok(Self(fields))
    }
}

/// What every response needs of its request.
#[derive(Clone, Debug)]
pub(super) struct ResponseContext {
    pub(super) format: Format,
    pub(super) host: String,
    pub(super) request_id: String,
}

impl ResponseContext {
    /// A success. `action` is a known one: it is the root of an XML response.
    pub(super) fn succeed(&self, action: &str, response: Response) -> http::Response<Body> {
        let mut fields = response.0;
        fields.insert("RequestId".to_owned(), self.request_id.clone().into());
        self.write(StatusCode::OK, &format!("{action}Response"), fields)
    }

    pub(super) fn fail(&self, fault: Fault) -> http::Response<Body> {
        let recommend = format!(
            "https://api.aliyun.com/troubleshoot?q={}&product=Ecs&requestId={}",
            encode(&fault.code),
            self.request_id
        );
        let fields = [
            ("RequestId", self.request_id.clone()),
            ("HostId", self.host.clone()),
            ("Code", fault.code.into_owned()),
            ("Message", fault.message.into_owned()),
            ("Recommend", recommend),
        ];
        let fields = fields.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text)));
        let mut response = self.write(fault.status, "Error", fields.collect());
        response.extensions_mut().insert(HeldBack(fault.wait));
        response
    }

    fn write(&self, status: StatusCode, root: &str, fields: Map<String, Value>) -> http::Response<Body> {
        let (kind, text) = match self.format {
            Format::Json => ("application/json;charset=utf-8", Value::Object(fields).to_string()),
            Format::Xml => ("text/xml;charset=utf-8", xml::document(root, &fields)),
        };
        let mut response = http::Response::new(Body::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}
