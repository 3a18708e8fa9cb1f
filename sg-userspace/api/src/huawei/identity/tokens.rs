//! Tokens: issued for the id and secret of an access key, shown, revoked.

use axum::http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::{Value, json};
use sg_records::KeyRole;

use super::credentials::{authenticated, domain, scope};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response,
    operation::Outcome,
    parameters::{Kind, body, header, query},
    problem::{Problem, Subject},
    project::{Project, projects},
    token::Issued,
};

/// The header with the token that a request or a response is about.
const SUBJECT: HeaderName = HeaderName::from_static("x-subject-token");
const PATH: &str = "/v3/auth/tokens";

const USER_DOMAIN: &str = "any: keys have no domains";
const PROJECT_DOMAIN: &str = "any: projects have no domains";
const NO_CATALOG: Parameter = query("nocatalog", Kind::Text, "given: without the catalog of services");
const OF_TOKEN: Parameter =
    header("X-Subject-Token", "the token that is meant, of the same access key").required();

pub(in crate::huawei) const TOKENS: &[Operation] = &[
    Operation {
        name: "KeystoneCreateUserTokenByPassword",
        method: Method::POST,
        path: PATH,
        chosen_by: None,
        dialect: Dialect::Identity,
        subject: Subject::Other,
        about: "Issues a token, in the header `X-Subject-Token`, which is valid for 24 hours.",
        role: None,
        handler: issue,
        parameters: &[&[
            NO_CATALOG,
            body("auth", Kind::Object, "").required(),
            body("auth.identity", Kind::Object, "").required(),
            body("auth.identity.methods", Kind::Texts, "`password` or `application_credential`").required(),
            body("auth.identity.password", Kind::Object, ""),
            body("auth.identity.password.user", Kind::Object, "").required(),
            body("auth.identity.password.user.name", Kind::Text, "id of an access key"),
            body("auth.identity.password.user.id", Kind::Text, "instead of the name"),
            body("auth.identity.password.user.password", Kind::Text, "its secret").required(),
            body("auth.identity.password.user.domain", Kind::Object, USER_DOMAIN),
            body("auth.identity.password.user.domain.id", Kind::Text, USER_DOMAIN),
            body("auth.identity.password.user.domain.name", Kind::Text, USER_DOMAIN),
            body("auth.identity.application_credential", Kind::Object, ""),
            body("auth.identity.application_credential.id", Kind::Text, "id of an access key").required(),
            body("auth.identity.application_credential.secret", Kind::Text, "its secret").required(),
            body("auth.scope", Kind::Object, "default: the project of the region of this server"),
            body("auth.scope.project", Kind::Object, ""),
            body("auth.scope.project.id", Kind::Text, "id of a project"),
            body("auth.scope.project.name", Kind::Text, "or name of a region"),
            body("auth.scope.project.domain", Kind::Object, PROJECT_DOMAIN),
            body("auth.scope.project.domain.id", Kind::Text, PROJECT_DOMAIN),
            body("auth.scope.project.domain.name", Kind::Text, PROJECT_DOMAIN),
            body("auth.scope.domain", Kind::Object, "tokens are for projects").refused(),
            body("auth.scope.unscoped", Kind::Any, "as without a scope"),
        ]],
    },
    Operation {
        name: "KeystoneValidateToken",
        method: Method::GET,
        path: PATH,
        chosen_by: None,
        dialect: Dialect::Identity,
        subject: Subject::Other,
        about: "Shows what a token is for.",
        role: Some(KeyRole::Viewer),
        handler: validate,
        parameters: &[&[OF_TOKEN, NO_CATALOG]],
    },
    Operation {
        name: "KeystoneRevokeToken",
        method: Method::DELETE,
        path: PATH,
        chosen_by: None,
        dialect: Dialect::Identity,
        subject: Subject::Other,
        about: "Makes a token invalid.",
        role: Some(KeyRole::Viewer),
        handler: revoke,
        parameters: &[&[OF_TOKEN]],
    },
];

fn issue<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (key, method) = authenticated(huawei, call)?;
        let fields = call.fields();
        // What is not asked for changes nothing.
        let _ = fields.object("auth").object("scope").has("unscoped");
        let state = huawei.service.snapshot();
        let project = match scope(&fields) {
            None => Project::of(&huawei.region),
            Some(scope) => {
                let fits = |project: &Project| {
                    scope.id.is_none_or(|id| id == project.id)
                        && scope.name.is_none_or(|name| name == project.region || name == project.id)
                };
                let found = projects(&huawei.region, &state).find(fits);
                found.filter(|_| scope.id.or(scope.name).is_some()).ok_or_else(|| {
                    let message = "There is no such project: its name is that of a region of this server.";
                    Fault::unauthorized(message)
                })?
            }
        };
        let (token, issued) = huawei.tokens.issue(&key, project, (huawei.clock)());
        let shown = shown(call, &issued, method);
        Ok(with_token(Response::created(shown), &token).to(&key))
    })
}

fn with_token(response: Response, token: &str) -> Response {
    match HeaderValue::try_from(token) {
        Ok(mut token) => {
            token.set_sensitive(true);
            response.with_header(SUBJECT, token)
        }
        // A token of ours is no such text.
        Err(_) => response,
    }
}

/// The token that a request is about, if it is one of the caller's key.
fn subject<'a>(huawei: &Huawei, call: &'a Call) -> Result<(&'a str, Issued), Fault> {
    let token = call.header(SUBJECT.as_str());
    let token = token.ok_or_else(|| Fault::missing(call.operation, "X-Subject-Token"))?;
    let issued = huawei.tokens.find(token, (huawei.clock)());
    issued.filter(|issued| issued.key == call.key_id).map(|issued| (token, issued)).ok_or_else(|| {
        call.fault(Problem::NotFound(Subject::Other), "There is no such token of this access key.".to_owned())
    })
}

fn validate<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (token, issued) = subject(huawei, call)?;
        Ok(with_token(Response::of(shown(call, &issued, "password")), token))
    })
}

fn revoke<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (token, _) = subject(huawei, call)?;
        huawei.tokens.revoke(token);
        Ok(Response::no_content())
    })
}

/// What a token is for, and where the services are.
fn shown(call: &Call, token: &Issued, method: &str) -> Value {
    let Issued { key, project, since, expires } = token;
    let mut shown = json!({
        "methods": [method],
        "user": { "id": key, "name": key, "domain": domain(), "password_expires_at": null },
        "project": { "id": project.id, "name": project.region, "domain": domain() },
        "is_domain": false,
        "roles": [],
        "audit_ids": [call.request_id],
        "issued_at": time(*since),
        "expires_at": time(*expires),
    });
    if !call.query.has("nocatalog") {
        shown["catalog"] = catalog(call, project);
    }
    json!({ "token": shown })
}

fn catalog(call: &Call, project: &Project) -> Value {
    let origin = call.origin();
    let service = |kind: &str, name: &str, path: String| {
        let endpoint = |interface: &str| {
            json!({
                "id": format!("{kind}-{interface}"),
                "interface": interface,
                "region": project.region,
                "region_id": project.region,
                "url": format!("{origin}/{path}"),
            })
        };
        let endpoints: Vec<Value> = ["public", "internal", "admin"].map(endpoint).into();
        json!({ "id": kind, "type": kind, "name": name, "endpoints": endpoints })
    };
    json!([
        service("vpc", "vpc", format!("v1/{}", project.id)),
        service("network", "neutron", String::new()),
        service("compute", "nova", format!("v2.1/{}", project.id)),
        service("ecs", "ecs", format!("v1/{}", project.id)),
        service("identity", "keystone", "v3".to_owned()),
    ])
}

/// `2026-11-21T04:00:00.000000Z`.
fn time(when: Timestamp) -> String {
    when.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}
