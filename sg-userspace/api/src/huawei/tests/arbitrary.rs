//! Arbitrary requests: every one gets a response in the vendor's form.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request},
};
use proptest::prelude::*;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{ask, face, project, sign, unsigned};
use crate::{
    huawei::{NOUNS, Operation},
    signature::tests::huawei::{Vector, vectors},
};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

/// Read once: it takes longer than a request.
static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(vectors);

/// Checks that the response is JSON, and a refusal has a message.
fn reply(request: Request<Body>) -> u16 {
    let reply = RUNTIME.block_on(async { ask(&face(), request).await });
    let status = reply.status.as_u16();
    assert!(status < 500, "{reply:?}");
    if status >= 400 {
        let texts = reply.json().to_string();
        assert!(texts.contains("message") || texts.contains("error_msg"), "{reply:?}");
    }
    status
}

fn request(
    method: &str,
    target: &str,
    headers: &[(String, Vec<u8>)],
    body: Vec<u8>,
) -> Option<Request<Body>> {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).ok()?).uri(target);
    for (name, value) in headers {
        request = request
            .header(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Body::from(body)).ok()
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let names = prop_oneof![
        Just("authorization".to_owned()),
        Just("host".to_owned()),
        Just("content-type".to_owned()),
        Just("x-sdk-date".to_owned()),
        Just("x-project-id".to_owned()),
        Just("x-auth-token".to_owned()),
        Just("x-sdk-content-sha256".to_owned()),
        "[a-z-]{1,12}",
    ];
    let values = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        "SDK-HMAC-SHA256 [ -~]{0,80}".prop_map(String::into_bytes),
        "SDK-HMAC-SHA256 Access=testid, SignedHeaders=[a-z;-]{0,40}, Signature=[0-9a-f]{0,64}"
            .prop_map(String::into_bytes),
        Just(b"application/json".to_vec()),
    ];
    (names, values)
}

/// Any JSON, with names that the operations know.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::String),
        "(ingress|egress|tcp|IPv6|22,80-90|10.0.0.0/8|-1|100)".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let all: Vec<&str> = NOUNS
            .iter()
            .flat_map(|(_, operations)| *operations)
            .flat_map(Operation::declared)
            .flat_map(|parameter| parameter.name.split(['.', '[', ']']))
            .filter(|name| !name.is_empty())
            .collect();
        let name = proptest::sample::select(all).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::hash_map(name, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_requests_get_a_reply(
        method in "GET|POST|PUT|DELETE|[A-Z]{1,8}",
        target in "/?(v3/|v1/|v2.0/|)[?]?[ -~]{0,200}",
        headers in proptest::collection::vec(header(), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..512),
    ) {
        if let Some(request) = request(&method, &target, &headers, body) {
            reply(request);
        }
    }

    #[test]
    fn recorded_requests_with_bytes_changed_get_a_reply(
        line in 0..143_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        place in 0..3,
    ) {
        let vector = VECTORS[line].clone();
        let mut headers: Vec<_> =
            vector.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        let mut target = vector.target.into_bytes();
        let mut body = vector.body.into_bytes();
        for (index, byte) in changes {
            let bytes = match place {
                0 => &mut target,
                1 => &mut body,
                _ => { let count = headers.len(); &mut headers[index.index(count)].1 }
            };
            if !bytes.is_empty() {
                let place = index.index(bytes.len());
                bytes[place] = byte;
            }
        }
        if let Ok(target) = String::from_utf8(target)
            && let Some(request) = request(&vector.method, &target, &headers, body)
        {
            reply(request);
        }
    }

    /// Whatever is signed gets through to the operation, and whatever it says, there is a reply.
    #[test]
    fn signed_requests_of_every_operation_get_a_reply(
        number in any::<prop::sample::Index>(),
        body in json(),
        id in "[0-9a-f]{8}-1111-4111-8111-111111111111|[a-z]{0,4}x",
        query in proptest::collection::vec(("[a-z_]{1,12}|limit|marker|id|name", "\\PC{0,12}"), 0..3),
    ) {
        let all: Vec<_> = NOUNS.iter().flat_map(|(_, operations)| *operations).collect();
        let operation = all[number.index(all.len())];
        let path: Vec<&str> = operation.path.split('/').map(|part| match part {
            "{project_id}" => part,
            part if part.starts_with('{') => id.as_str(),
            part => part,
        }).collect();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let target = format!("{}?{query}", path.join("/").replace("{project_id}", &project()));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = RUNTIME.block_on(sign(unsigned(operation.method.clone(), &target, &body)));
        prop_assert!(reply(request) != 401 || operation.role.is_none());
    }
}
