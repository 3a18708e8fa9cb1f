//! Changes that would take away their caller's own connections, and how a caller insists.

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};
use sg_records::KeyRole;

use super::{
    Caller, Peer, code, over, request,
    roles::{key, signed},
    send, service,
};
use crate::listen::Local;

const OPEN: &str = "
groups: { web: { ingress: [ { id: ssh, protocol: tcp, ports: \"22,8751\", remote: 192.0.2.0/24 } ] } }
nics: [ { device: eth0, addresses: [10.0.0.5], groups: [web] } ]
";

/// The document that lets in nobody but another network.
fn closed() -> String {
    OPEN.replace("192.0.2.0/24", "198.51.100.0/24")
}

fn apply(path: &str, text: &str, own: &[&str]) -> Request<Body> {
    let mut request = request(Method::POST, path, json!({ "text": text }).to_string());
    for own in own {
        request.headers_mut().append("ssh-connection", own.parse().unwrap());
    }
    request
}

/// A face whose store has the open document.
async fn face() -> Router {
    let face = over(&service(), Caller::Socket);
    let (status, said) = send(&face, apply("/v1/apply", OPEN, &[])).await;
    assert_eq!(status, 200, "{said}");
    face
}

const OWN: &str = "192.0.2.7 50000 10.0.0.5 22";

#[tokio::test]
async fn the_ssh_connection_of_the_caller_is_kept() {
    let face = face().await;
    for path in ["/v1/apply?dry_run=true", "/v1/apply"] {
        let (status, said) = send(&face, apply(path, &closed(), &[OWN])).await;
        assert_eq!((status, code(&said)), (409, "lost_access"), "{path}: {said}");
        let details = &said["error"]["details"];
        assert_eq!((&details["device"], &details["by"]), (&json!("eth0"), &json!("drop by default")));
        let what = "your SSH connection from 192.0.2.7 port 50000 to 10.0.0.5 port 22";
        assert_eq!(details["what"], what);
    }
    let (_, rules): (u16, Value) =
        send(&face, request(Method::GET, "/v1/groups/web/rules", Body::empty())).await;
    assert!(rules.to_string().contains("192.0.2.0/24"), "nothing was changed: {rules}");
    // What takes itself back may do it, and leave devices out.
    for text in [closed(), "groups: {}\n".to_owned()] {
        let (status, said) = send(&face, apply("/v1/apply?confirm=60", &text, &[OWN])).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(send(&face, request(Method::POST, "/v1/pending/cancel", "{}")).await.0, 200);
    }
    assert_eq!(send(&face, apply("/v1/apply?force=true", &closed(), &[OWN])).await.0, 200);
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_refused() {
    let face = face().await;
    for own in [&["here"][..], &[OWN, OWN]] {
        let (status, said) = send(&face, apply("/v1/apply", OPEN, own)).await;
        assert_eq!((status, code(&said)), (400, "malformed"), "{said}");
        assert!(said.to_string().contains("SSH-Connection"), "{said}");
    }
}

#[tokio::test]
async fn the_connection_of_a_tcp_client_is_kept() {
    let service = service();
    let key = key(&service, KeyRole::Editor).await;
    assert_eq!(send(&over(&service, Caller::Socket), apply("/v1/apply", OPEN, &[])).await.0, 200);
    let face = over(&service, Caller::AccessKey);
    let ask = |from: &str| {
        let mut request = signed(&key, "POST", "/v1/apply");
        *request.body_mut() = Body::from(json!({ "text": closed() }).to_string());
        request.extensions_mut().insert(Peer::Address(from.parse().unwrap()));
        request.extensions_mut().insert(Local("10.0.0.5:8751".parse().unwrap()));
        request
    };
    let (status, said) = send(&face, ask("192.0.2.7:40000")).await;
    assert_eq!((status, code(&said)), (409, "lost_access"), "{said}");
    assert!(said.to_string().contains("your connection to the API from 192.0.2.7 port 40000"), "{said}");
    let (status, said) = send(&face, ask("198.51.100.7:40000")).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn a_document_that_leaves_out_a_filtered_device_has_a_code_of_its_own() {
    let face = face().await;
    let (status, said) = send(&face, apply("/v1/apply", "{}", &[])).await;
    assert_eq!((status, code(&said)), (409, "unfiltered_device"), "{said}");
    assert_eq!(said["error"]["details"], json!({ "devices": ["eth0"] }));
    let body = json!({ "text": "{}", "allow_unfiltered": true }).to_string();
    assert_eq!(send(&face, request(Method::POST, "/v1/apply", body)).await.0, 200);
}
