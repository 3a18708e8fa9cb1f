//! Arbitrary requests: every one gets a response in the vendor's form.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request},
};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{ask, common, encoded, face, get, pairs, sign};
use crate::{ecs::params::Parameters, signature::tests::recorded};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

/// Checks that the response is a refusal with a code, or a success.
fn reply(request: Request<Body>) {
    let reply = RUNTIME.block_on(async { ask(&face(), request).await });
    if reply.status != 200 {
        let (status, code) = reply.refusal();
        assert!((400..500).contains(&status), "{reply:?}");
        assert!(!code.is_empty(), "{reply:?}");
    }
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
        Just("x-acs-action".to_owned()),
        Just("x-acs-version".to_owned()),
        Just("x-acs-date".to_owned()),
        Just("x-acs-signature-nonce".to_owned()),
        Just("x-acs-content-sha256".to_owned()),
        "[a-z-]{1,12}",
    ];
    let values = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        "ACS3-HMAC-SHA256 [ -~]{0,80}".prop_map(String::into_bytes),
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=[a-z;-]{0,40},Signature=[0-9a-f]{0,64}"
            .prop_map(String::into_bytes),
        Just(b"application/x-www-form-urlencoded".to_vec()),
    ];
    (names, values)
}

proptest! {
    #[test]
    fn arbitrary_requests_get_a_reply(
        method in "GET|POST|[A-Z]{1,8}",
        target in "/?[?]?[ -~]{0,200}",
        headers in proptest::collection::vec(header(), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..512),
    ) {
        if let Some(request) = request(&method, &target, &headers, body) {
            reply(request);
        }
    }

    #[test]
    fn recorded_requests_with_bytes_changed_get_a_reply(
        line in 0..102_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        place in 0..3,
    ) {
        let recorded = recorded().into_iter().nth(line).unwrap();
        let mut headers: Vec<_> =
            recorded.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        let mut target = recorded.target.into_bytes();
        let mut body = recorded.body.into_bytes();
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
            && let Some(request) = request(&recorded.method, &target, &headers, body)
        {
            reply(request);
        }
    }

    #[test]
    fn whatever_is_signed_gets_through(name in "\\PC{1,20}", value in "\\PC{0,40}", form in any::<bool>()) {
        prop_assume!(!common("", "").contains_key(&name) && name != "Signature");
        let mut parameters = common("DescribeRegions", "n");
        parameters.insert(name.clone(), value.clone());
        let request = if form {
            Request::builder()
                .method(Method::POST)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(encoded(&sign(&Method::POST, parameters))))
                .unwrap()
        } else {
            get(parameters)
        };
        let reply = RUNTIME.block_on(async { ask(&face(), request).await });
        // Authenticated, and then refused by that name, which no action has.
        if value.is_empty() {
            prop_assert_eq!(reply.status, 200, "{:?}", reply);
        } else {
            prop_assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{:?}", reply);
            prop_assert!(reply.json()["Message"].as_str().unwrap().contains(&name), "{:?}", reply);
        }
    }

    #[test]
    fn parameters_are_read_without_panic(
        names in proptest::collection::vec("(A|B|A\\.|B\\.)[0-9A.]{0,12}", 0..20),
        value in "[\\[\\]\"a0,.-]{0,12}",
    ) {
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        let all = Parameters::from(pairs(&all));
        for name in ["A", "B", "", ".", "A.1"] {
            drop(all.fields().list(name));
            drop(all.fields().integer::<u8>(name));
            for object in all.fields().objects(name).into_iter().flatten() {
                drop(object.list("A"));
                drop(object.objects("B"));
            }
        }
    }
}
