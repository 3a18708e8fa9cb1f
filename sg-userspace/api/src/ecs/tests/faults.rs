//! What is refused, with which status and code, in which order.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request},
};

use sg_agent::{Confirm, Settle};
use sg_audit::{Api, Entry, Ticket, Trail, Who};
use sg_service::ModifyQuotas;
use tower::ServiceExt as _;

use super::{NOW, Pairs, acs3_post, acs3_post_of, ask, common, ecs, encoded, face, get, pairs, router, sign};
use crate::{ecs::Nonces, listen::HeldBack, signature::sha256_hex};

async fn refused(request: Request<Body>) -> (u16, String) {
    ask(&face(), request).await.refusal()
}

fn with(changes: &[(&str, &str)]) -> Pairs {
    let mut parameters = common("DescribeRegions", "n");
    parameters.extend(pairs(changes));
    parameters
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn version_1_says_which_parameter_is_missing() {
    for name in common("", "").keys().filter(|name| *name != "Format") {
        for missing in [None, Some(String::new())] {
            let mut parameters = common("DescribeRegions", "n");
            match missing {
                None => drop(parameters.remove(name)),
                Some(blank) => drop(parameters.insert(name.clone(), blank)),
            }
            let reply = ask(&face(), get(parameters)).await;
            assert_eq!(reply.refusal(), code(400, "MissingParameter"), "{name}");
            assert!(reply.json()["Message"].as_str().unwrap().contains(&format!("\"{name}\"")), "{reply:?}");
        }
    }
    let unsigned = format!("/?{}", encoded(&common("DescribeRegions", "n")));
    let request = Request::builder().uri(unsigned).body(Body::empty()).unwrap();
    assert_eq!(refused(request).await, code(400, "MissingParameter"));
    assert_eq!(refused(Request::new(Body::empty())).await, code(400, "MissingParameter"));
}

#[tokio::test]
async fn acs3_says_which_header_is_missing() {
    for name in [
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
        "host",
    ] {
        let request = acs3_post("DescribeRegions", "n", &Pairs::new(), |request| {
            request.headers_mut().remove(name);
        });
        let reply = ask(&face(), request).await;
        assert_eq!(reply.refusal(), code(400, "MissingParameter"), "{name}");
        assert!(reply.json()["Message"].as_str().unwrap().contains(name), "{reply:?}");
    }
}

#[tokio::test]
async fn a_dry_run_does_not_take_effect() {
    for (value, refused_with) in
        [("true", Some("InvalidParameter")), ("1", Some("InvalidParameter")), ("FALSE", None), ("", None)]
    {
        let face = face();
        let mut create = common("CreateSecurityGroup", "n");
        create.extend(pairs(&[("RegionId", "cn-hangzhou"), ("SecurityGroupName", "dry"), ("DryRun", value)]));
        let reply = ask(&face, get(create)).await;
        match refused_with {
            Some(code) => {
                assert_eq!(reply.refusal(), self::code(400, code), "{value}");
                assert!(reply.json()["Message"].as_str().unwrap().contains("\"DryRun\""), "{reply:?}");
            }
            None => assert!(reply.json()["SecurityGroupId"].is_string(), "{value}: {reply:?}"),
        }
        let mut list = common("DescribeSecurityGroups", "m");
        list.extend(pairs(&[("RegionId", "cn-hangzhou")]));
        let listed = ask(&face, get(list)).await.json()["TotalCount"].clone();
        assert_eq!(listed, u8::from(refused_with.is_none()), "{value}");
    }
}

/// A change of the native API is to be confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_until_another_is_settled() {
    let ecs = ecs(NOW);
    let service = ecs.service.clone();
    let face = router(ecs);
    let create = |nonce: &str| {
        let mut create = common("CreateSecurityGroup", nonce);
        create.extend(pairs(&[("RegionId", "cn-hangzhou"), ("SecurityGroupName", "web")]));
        get(create)
    };
    let ticket = Ticket::new(Trail::none(), Entry::new(Api::Native, "", Who::default(), ""));
    let confirm = Confirm { seconds: 60, owner: "uid 0".to_owned() };
    let quotas = ModifyQuotas { rules_per_nic: Some(500), ..ModifyQuotas::default() };
    service.submit_until(ticket, quotas, Some(confirm)).await.unwrap();
    let reply = ask(&face, create("n")).await;
    assert_eq!(reply.refusal(), code(409, "OperationConflict"), "{reply:?}");
    assert!(reply.json()["Message"].as_str().unwrap().contains("change 1 of uid 0"), "{reply:?}");
    let regions = ask(&face, get(common("DescribeRegions", "m"))).await;
    assert_eq!(regions.status.as_u16(), 200, "{regions:?}");
    tokio::task::block_in_place(|| service.settle(None, Settle::Confirm)).unwrap();
    assert!(ask(&face, create("o")).await.json()["SecurityGroupId"].is_string());
}

#[tokio::test]
async fn what_follows_no_recipe() {
    for (name, value) in [("SignatureMethod", "HMAC-SHA256"), ("SignatureVersion", "2.0")] {
        assert_eq!(refused(get(with(&[(name, value)]))).await, code(400, "IncompleteSignature"), "{name}");
    }
    for header in
        ["ACS3-HMAC-SM3 Credential=testid,SignedHeaders=host,Signature=00", "ACS3-", "ACS3-HMAC-SHA256 x"]
    {
        let mut request = acs3_post("DescribeRegions", "n", &Pairs::new(), |_| {});
        request.headers_mut().insert("authorization", header.parse().unwrap());
        assert_eq!(refused(request).await, code(400, "IncompleteSignature"), "{header}");
    }
    let mut request = acs3_post("DescribeRegions", "n", &Pairs::new(), |_| {});
    let header = request.headers()["authorization"].clone();
    request.headers_mut().append("authorization", header);
    assert_eq!(refused(request).await, code(400, "IncompleteSignature"));

    // Two headers, one of which is of the other recipe or of none, in either order.
    for (first, second) in [("Basic x", "ACS3-HMAC-SHA256 x"), ("Basic x", "Basic y")] {
        let mut request = get(common("DescribeRegions", "n"));
        request.headers_mut().append("authorization", first.parse().unwrap());
        request.headers_mut().append("authorization", second.parse().unwrap());
        assert_eq!(refused(request).await, code(400, "IncompleteSignature"), "{first}, {second}");
    }

    let mut request = acs3_post("DescribeRegions", "n", &Pairs::new(), form);
    *request.body_mut() = Body::from("x=1");
    assert_eq!(refused(request).await, code(400, "IncompleteSignature"));
}

fn form(request: &mut Request<Body>) {
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert("content-type", kind);
}

#[tokio::test]
async fn a_body_is_read_as_what_was_signed_or_not_at_all() {
    let posted = |signs: bool| {
        let body = "AcceptLanguage=en-US";
        let add = |request: &mut Request<Body>| {
            request
                .headers_mut()
                .insert("x-acs-content-sha256", sha256_hex(body.as_bytes()).parse().unwrap());
            if signs {
                form(request);
            }
        };
        let mut request = acs3_post_of("DescribeRegions", "n", &Pairs::new(), body, add);
        form(&mut request);
        request
    };
    assert_eq!(ask(&face(), posted(true)).await.status, 200);
    // The media type is not signed: somebody on the path may change it.
    let reply = ask(&face(), posted(false)).await;
    assert_eq!(reply.refusal(), code(400, "IncompleteSignature"));
    assert!(reply.json()["Message"].as_str().unwrap().contains("content-type"), "{reply:?}");
    for kind in
        ["text/plain", "application/json", "application/x-www-form-urlencodedx", "multipart/form-data"]
    {
        for signs in [true, false] {
            let mut request = posted(signs);
            request.headers_mut().insert("content-type", kind.parse().unwrap());
            assert_eq!(refused(request).await, code(415, "UnsupportedMediaType"), "{kind}");
        }
    }
    let mut none = posted(true);
    none.headers_mut().remove("content-type");
    assert_eq!(refused(none).await, code(415, "UnsupportedMediaType"));
    let mut zipped = posted(true);
    zipped.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(refused(zipped).await, code(415, "UnsupportedMediaType"));
}

#[tokio::test]
async fn wrong_secrets_are_counted_and_wait() {
    let ecs = ecs(NOW);
    let attempts = std::sync::Arc::clone(&ecs.attempts);
    let face = router(ecs);
    let mut wrong = sign(&Method::GET, common("DescribeRegions", "n"));
    wrong.insert("Signature".into(), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=".into());
    let nobody = sign(&Method::GET, with(&[("AccessKeyId", "nobody")]));
    for parameters in [wrong, nobody] {
        let mut waits = Vec::new();
        for _ in 0..7 {
            let request = Request::builder().uri(format!("/?{}", encoded(&parameters)));
            let response = face.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            waits.push(response.extensions().get::<HeldBack>().copied().unwrap().0);
        }
        assert!(waits[0].is_zero() && waits[6] > Duration::from_secs(1), "{waits:?}");
    }
    assert_eq!(attempts.count(), 14);
    let right = face.clone().oneshot(get(common("DescribeRegions", "n"))).await.unwrap();
    assert!(right.status().is_success() && right.extensions().get::<HeldBack>().is_none());
}

#[tokio::test]
async fn unknown_key_wrong_signature_in_this_order() {
    assert_eq!(
        refused(get(with(&[("AccessKeyId", "nobody")]))).await,
        code(404, "InvalidAccessKeyId.NotFound")
    );

    let mut parameters = sign(&Method::GET, common("DescribeRegions", "n"));
    parameters.insert("Timestamp".into(), "yesterday".into());
    let target = format!("/?{}", encoded(&parameters));
    let reply = ask(&face(), Request::builder().uri(target).body(Body::empty()).unwrap()).await;
    assert_eq!(reply.refusal(), code(400, "SignatureDoesNotMatch"));
    // A client splits the message at its colon, and compares the rest with what it signed itself.
    let message = reply.json()["Message"].as_str().unwrap().to_owned();
    let (words, signed) = message.split_once(':').unwrap();
    assert_eq!(words, "Specified signature is not matched with our calculation. server string to sign is");
    assert!(signed.starts_with("GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions"), "{signed}");
    assert!(signed.ends_with("Timestamp%3Dyesterday%26Version%3D2014-05-26"), "{signed}");
    assert!(!message.contains("testsecret"));

    let mut request = acs3_post("DescribeRegions", "n", &Pairs::new(), |_| {});
    request.headers_mut().insert("x-acs-action", HeaderValue::from_static("DescribeVpcs"));
    let reply = ask(&face(), request).await;
    assert_eq!(reply.refusal(), code(400, "SignatureDoesNotMatch"));
    assert!(reply.json()["Message"].as_str().unwrap().contains(":ACS3-HMAC-SHA256\n"), "{reply:?}");
}

#[tokio::test]
async fn the_refusal_of_a_wrong_signature_is_bounded() {
    let long = with(&[("Description", &"%".repeat(60_000))]);
    let mut parameters = sign(&Method::POST, long);
    parameters.insert("Action".into(), "DescribeVpcs".into());
    let request = Request::builder()
        .method(Method::POST)
        .uri("/")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Body::from(encoded(&parameters)))
        .unwrap();
    let reply = ask(&face(), request).await;
    assert_eq!(reply.refusal(), code(400, "SignatureDoesNotMatch"));
    assert!(reply.text.len() < 70_000);
}

#[tokio::test]
async fn times() {
    for time in ["2026-11-21T11:45:00Z", "2026-11-21T12:15:00Z", "2026-11-21T12:00:00.123456789Z"] {
        assert_eq!(ask(&face(), get(with(&[("Timestamp", time)]))).await.status, 200, "{time}");
    }
    for time in
        ["2026-11-21T11:44:59Z", "2026-11-21T12:15:01Z", "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]
    {
        let request = get(with(&[("Timestamp", time)]));
        assert_eq!(refused(request).await, code(400, "InvalidTimeStamp.Expired"), "{time}");
    }
    for time in [
        "yesterday",
        "2026-11-21",
        "2026-11-21 12:00:00Z",
        "2026-11-21T12:00:00",
        "2026-11-21T12:00:00+00:00",
        "20261121T120000Z",
        "2026-13-21T12:00:00Z",
        "+002026-11-21T12:00:00Z",
        "2026-11-21T12:00:00[UTC]Z",
        "2026-11-21T12:00:0中Z",
    ] {
        let request = get(with(&[("Timestamp", time)]));
        assert_eq!(refused(request).await, code(400, "InvalidTimeStamp.Format"), "{time}");
    }
}

#[tokio::test]
async fn a_nonce_is_used_once_by_whoever_has_the_key() {
    let face = face();
    // Whoever cannot sign burns no nonces.
    let mut forged = sign(&Method::GET, common("DescribeRegions", "n"));
    forged.insert("Signature".into(), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=".into());
    let forged = Request::builder().uri(format!("/?{}", encoded(&forged))).body(Body::empty()).unwrap();
    assert_eq!(ask(&face, forged).await.refusal(), code(400, "SignatureDoesNotMatch"));

    assert_eq!(ask(&face, get(common("DescribeRegions", "n"))).await.status, 200);
    assert_eq!(
        ask(&face, get(common("DescribeRegions", "n"))).await.refusal(),
        code(400, "SignatureNonceUsed")
    );
    // By the other recipe too.
    let request = acs3_post("DescribeRegions", "n", &Pairs::new(), |_| {});
    assert_eq!(ask(&face, request).await.refusal(), code(400, "SignatureNonceUsed"));
    let request = acs3_post("DescribeRegions", "m", &Pairs::new(), |_| {});
    assert_eq!(ask(&face, request).await.status, 200);
}

#[tokio::test]
async fn what_a_process_before_may_have_seen_is_refused() {
    let mut ecs = ecs(NOW);
    ecs.nonces = Nonces::default().since("2026-11-21T11:59:59Z".parse().unwrap()).into();
    let face = router(ecs);
    let earlier = get(with(&[("Timestamp", "2026-11-21T11:59:58Z")]));
    assert_eq!(ask(&face, earlier).await.refusal(), code(400, "InvalidTimeStamp.Expired"));
    assert_eq!(ask(&face, get(with(&[]))).await.status, 200);
}

#[tokio::test]
async fn version_then_action() {
    let parameters = with(&[("Version", "2013-01-10"), ("Action", "Nothing")]);
    assert_eq!(refused(get(parameters)).await, code(400, "InvalidVersion"));
    for action in ["Nothing", "describeregions", "<script>", "中"] {
        let reply = ask(&face(), get(with(&[("Action", action)]))).await;
        assert_eq!(reply.refusal(), code(404, "InvalidAction.NotFound"), "{action}");
        assert_eq!(reply.json()["Message"], "Specified api is not found, please check your url and method.");
    }
}

#[tokio::test]
async fn what_is_no_request_of_this_protocol() {
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        let request = Request::builder().method(method).body(Body::empty()).unwrap();
        assert_eq!(refused(request).await, code(405, "UnsupportedHTTPMethod"), "{method}");
    }
    for target in ["/index.html", "/v1/groups", "//", "*"] {
        let request = Request::builder().uri(target).body(Body::empty()).unwrap();
        assert_eq!(refused(request).await, code(404, "InvalidAction.NotFound"), "{target}");
    }
    let twice =
        Request::builder().uri("/?Action=DescribeRegions&Action=DescribeVpcs").body(Body::empty()).unwrap();
    assert_eq!(refused(twice).await, code(400, "InvalidParameter"));
    let many = (0..9000).map(|number| format!("a{number}=")).collect::<Vec<_>>().join("&");
    let many = Request::builder()
        .method(Method::POST)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(many))
        .unwrap();
    assert_eq!(refused(many).await, code(400, "InvalidParameter"));
    assert_eq!(refused(get(with(&[("Format", "YAML")]))).await, code(400, "InvalidParameter"));
}

#[tokio::test]
async fn a_form_and_a_query_are_one() {
    let signed = sign(&Method::POST, common("DescribeRegions", "n"));
    let (query, form): (Pairs, Pairs) =
        signed.into_iter().partition(|(name, _)| name.starts_with("Signature"));
    let request = |kind: &str, form: &Pairs| {
        Request::builder()
            .method(Method::POST)
            .uri(format!("http://ecs.example.com/?{}", encoded(&query)))
            .header("content-type", kind)
            .body(Body::from(encoded(form)))
            .unwrap()
    };
    let reply = ask(&face(), request("Application/X-WWW-Form-UrlEncoded; charset=UTF-8", &form)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // The parameters in a body of another kind would never be read.
    assert_eq!(refused(request("text/plain", &form)).await, code(415, "UnsupportedMediaType"));
    // The same name in both.
    let mut both = form.clone();
    both.insert("SignatureNonce".into(), "n".into());
    assert_eq!(
        refused(request("application/x-www-form-urlencoded", &both)).await,
        code(400, "InvalidParameter")
    );
}
