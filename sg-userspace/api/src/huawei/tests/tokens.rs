//! Tokens, projects and versions.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, http::Method, http::Request};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sg_records::KeyRole;

use super::{Huawei, KEY, NOW, REGION, Reply, ask, get, huawei, project, router, sign, unsigned};
use crate::keys::{AccessKeys, KnownKey, Secret};

const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";
const TOKENS: &str = "/v3/auth/tokens";

/// The credentials of a request for a token.
fn credentials(name: &str, password: &str, scope: &Value) -> Value {
    let user = json!({ "name": name, "password": password, "domain": { "name": "any" } });
    json!({ "auth": { "identity": { "methods": ["password"], "password": { "user": user } }, "scope": scope } })
}

async fn plain(face: &Router, method: Method, target: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(target.replace("{project_id}", &project()))
        .header("host", "sg.example:8751");
    if !body.is_null() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(face, request.body(Body::from(body)).unwrap()).await
}

async fn token(face: &Router) -> String {
    let scope = json!({ "project": { "name": REGION, "domain": { "id": "default" } } });
    let reply = plain(face, Method::POST, TOKENS, &[], &credentials(KEY.0, KEY.1, &scope)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let token = reply.json()["token"].take();
    assert_eq!(
        token["project"],
        json!({ "id": project(), "name": REGION, "domain": { "id": "default", "name": "Default" } })
    );
    let urls: Vec<(&str, &str)> = token["catalog"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| {
            assert_eq!(service["endpoints"][0]["region"], REGION);
            assert_eq!(service["endpoints"][0]["interface"], "public");
            (service["type"].as_str().unwrap(), service["endpoints"][0]["url"].as_str().unwrap())
        })
        .collect();
    let project = project();
    let vpc = format!("http://sg.example:8751/v1/{project}");
    let compute = format!("http://sg.example:8751/v2.1/{project}");
    assert!(urls.contains(&("vpc", &vpc)) && urls.contains(&("compute", &compute)), "{urls:?}");
    assert!(urls.contains(&("network", "http://sg.example:8751/")), "{urls:?}");
    assert!(urls.contains(&("identity", "http://sg.example:8751/v3")), "{urls:?}");
    let text = reply.headers["x-subject-token"].to_str().unwrap().to_owned();
    assert!(text.len() >= 32 && !reply.text.contains(&text));
    text
}

#[tokio::test]
async fn a_token_authenticates_and_can_be_shown_and_revoked() {
    let face = router(huawei());
    let token = token(&face).await;
    let with_token = [("x-auth-token", token.as_str())];
    assert_eq!(plain(&face, Method::GET, GROUPS, &with_token, &Value::Null).await.status, 200);
    // Without a project in the path, the token's is meant; with another one, neither is.
    let both = [("x-auth-token", token.as_str()), ("x-subject-token", token.as_str())];
    let shown = plain(&face, Method::GET, TOKENS, &both, &Value::Null).await;
    assert_eq!(shown.json()["token"]["user"]["id"], KEY.0);
    let other = GROUPS.replace("{project_id}", "0123456789abcdef0123456789abcdef");
    let reply = plain(&face, Method::GET, &other, &with_token, &Value::Null).await;
    assert_eq!(reply.refusal(), (400, "VPC.0007".to_owned()));
    assert_eq!(plain(&face, Method::DELETE, TOKENS, &both, &Value::Null).await.status, 204);
    let reply = plain(&face, Method::GET, GROUPS, &with_token, &Value::Null).await;
    assert_eq!(reply.refusal(), (401, "APIGW.0301".to_owned()));
    assert!(reply.text.contains("decrypt token fail"), "{reply:?}");
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_key() {
    struct Deletable(Mutex<bool>);
    impl AccessKeys for Deletable {
        fn find(&self, id: &str) -> Option<KnownKey> {
            let is_there = *self.0.lock().unwrap() && id == KEY.0;
            is_there.then(|| KnownKey { secret: Secret::new(KEY.1.as_bytes()), role: KeyRole::Viewer })
        }
    }
    let now = Arc::new(Mutex::new(NOW.parse::<Timestamp>().unwrap()));
    let keys = Arc::new(Deletable(Mutex::new(true)));
    let clock = {
        let now = Arc::clone(&now);
        Arc::new(move || *now.lock().unwrap())
    };
    let face = router(Huawei { keys: Arc::<Deletable>::clone(&keys), clock, ..huawei() });
    let token = token(&face).await;
    let with_token = [("x-auth-token", token.as_str())];
    let status = async || plain(&face, Method::GET, GROUPS, &with_token, &Value::Null).await.status.as_u16();
    assert_eq!(status().await, 200);
    let group = json!({ "security_group": { "name": "web" } });
    let reply = plain(&face, Method::POST, GROUPS, &with_token, &group).await;
    assert_eq!(reply.refusal(), (403, "VPC.2201".to_owned()), "its role is that of its key");
    *keys.0.lock().unwrap() = false;
    assert_eq!(status().await, 401);
    *keys.0.lock().unwrap() = true;
    assert_eq!(status().await, 200);
    *now.lock().unwrap() += SignedDuration::from_hours(24);
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn whoever_does_not_have_the_secret_gets_no_token() {
    let face = router(huawei());
    let scope = json!({ "project": { "name": REGION } });
    let refused = [
        (credentials(KEY.0, "wrong", &scope), 401, "password"),
        (credentials("nobody", KEY.1, &scope), 401, "password"),
        (credentials(KEY.0, KEY.1, &json!({ "project": { "name": "elsewhere" } })), 401, "project"),
        (credentials(KEY.0, KEY.1, &json!({ "project": {} })), 401, "project"),
        (credentials(KEY.0, KEY.1, &json!({ "domain": { "name": "a" } })), 400, "auth.scope.domain"),
        (json!({ "auth": { "identity": { "methods": ["saml2"] } } }), 400, "auth.identity.methods"),
        (
            json!({ "auth": { "identity": { "methods": ["password"] } } }),
            400,
            "auth.identity.password.user.name",
        ),
        (json!({ "auth": {} }), 400, "auth.identity"),
        (json!({ "auth": 1 }), 400, "auth"),
    ];
    for (body, status, named) in refused {
        let reply = plain(&face, Method::POST, TOKENS, &[], &body).await;
        let error = reply.json()["error"].take();
        assert_eq!((reply.status.as_u16(), &error["code"]), (status, &json!(status)), "{reply:?}");
        assert!(error["message"].as_str().unwrap().contains(named), "{reply:?}");
        assert!(!reply.text.contains(KEY.1) && !reply.headers.contains_key("x-subject-token"));
    }
    let by_application = json!({ "auth": { "identity": {
        "methods": ["application_credential"],
        "application_credential": { "id": KEY.0, "secret": KEY.1 },
    } } });
    assert_eq!(plain(&face, Method::POST, TOKENS, &[], &by_application).await.status, 201);
}

#[tokio::test]
async fn both_a_signature_and_a_token_or_neither_is_refused() {
    let face = router(huawei());
    let token = token(&face).await;
    let signed = || sign(unsigned(Method::GET, GROUPS, ""));
    assert_eq!(ask(&face, signed().await).await.status, 200);
    for (name, value) in [
        ("x-auth-token", token.as_str()),
        ("authorization", "SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=00"),
        ("x-security-token", "a"),
    ] {
        let mut request = signed().await;
        request.headers_mut().append(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        assert_eq!(ask(&face, request).await.refusal(), (401, "APIGW.0301".to_owned()), "{name}");
    }
    for headers in [vec![], vec![("x-auth-token", "")], vec![("x-auth-token", "a")]] {
        let reply = plain(&face, Method::GET, GROUPS, &headers, &Value::Null).await;
        assert_eq!(reply.refusal(), (401, "APIGW.0301".to_owned()), "{headers:?}");
    }
}

#[tokio::test]
async fn a_region_leads_to_its_project() {
    let face = router(huawei());
    let list = get(&face, &format!("/v3/projects?name={REGION}")).await.json();
    assert_eq!(list["projects"].as_array().unwrap().len(), 1);
    assert_eq!(list["projects"][0]["id"], project());
    assert_eq!(get(&face, "/v3/projects?name=other").await.json()["projects"], json!([]));
    // The client signs fewer headers when it asks for this.
    let mut request = unsigned(Method::GET, "/v3/projects", "");
    request.headers_mut().remove("x-project-id");
    request.headers_mut().remove("content-type");
    assert_eq!(ask(&face, sign(request).await).await.json()["projects"][0]["name"], REGION);
}

#[tokio::test]
async fn clients_without_a_token_learn_which_versions_there_are() {
    let face = router(huawei());
    let versions = [
        ("/", "/versions/0"),
        ("/v2.0", "/version"),
        ("/v2.0/", "/version"),
        ("/v2.1", "/version"),
        ("/v3/", "/version"),
    ];
    for (path, place) in versions {
        let reply = plain(&face, Method::GET, path, &[], &Value::Null).await;
        assert_eq!(reply.status, 200, "{path}");
        let document = reply.json();
        let link = document.pointer(place).unwrap()["links"][0]["href"].as_str().unwrap();
        assert!(link.starts_with("http://sg.example:8751/v"), "{path}: {link}");
    }
    let by_proxy = plain(&face, Method::GET, "/", &[("x-forwarded-proto", "https")], &Value::Null).await;
    assert!(by_proxy.text.contains("https://sg.example:8751/v2.0/"));
    let unknown = plain(&face, Method::GET, "/v4", &[], &Value::Null).await;
    assert_eq!(unknown.status, 401, "what there is, only callers learn");
    assert_eq!(get(&face, "/v4").await.refusal(), (404, "APIGW.0101".to_owned()));
}

/// Whoever has no key does not learn from a header which projects there are.
#[tokio::test]
async fn strangers_do_not_learn_which_projects_there_are() {
    let face = router(huawei());
    let versions = async |project: &str| {
        let headers = [("x-project-id", project)];
        let path = format!("/v2.1/{project}");
        let reply = plain(&face, Method::GET, &path, &headers, &Value::Null).await;
        (reply.status, reply.text)
    };
    let (status, text) = versions(&project()).await;
    assert_eq!(status, 200);
    assert_eq!(versions("0123456789abcdef0123456789abcdef").await, (status, text));
    assert_eq!(versions("no-project").await.0, 400);
}
