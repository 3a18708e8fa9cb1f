//! The documents that say which versions there are. Clients read them before they have a token, so they need none.

use axum::http::Method;
use serde_json::{Value, json};

use crate::huawei::{Call, Dialect, Huawei, Operation, Response, operation::Outcome, problem::Subject};

const fn version(
    path: &'static str,
    about: &'static str,
    handler: crate::huawei::operation::Handler,
) -> Operation {
    Operation {
        name: "ShowVersion",
        method: Method::GET,
        path,
        chosen_by: None,
        dialect: Dialect::Identity,
        subject: Subject::Other,
        about,
        role: None,
        handler,
        parameters: &[],
    }
}

pub(in crate::huawei) const VERSIONS: &[Operation] = &[
    version("/", "Lists the version of the network service.", root),
    version("/v2.0", "Says what version 2.0 of the network service is.", network),
    version("/v2.1", "Says what version 2.1 of the compute service is.", compute),
    version("/v2.1/{project_id}", "Says what version 2.1 of the compute service is.", compute),
    version("/v3", "Says what version 3 of the identity service is.", identity),
];

fn links(call: &Call, path: &str) -> Value {
    json!([{ "rel": "self", "href": format!("{}/{path}/", call.origin()) }])
}

fn of_network(call: &Call) -> Value {
    json!({ "id": "v2.0", "status": "CURRENT", "links": links(call, "v2.0") })
}

/// Only the network service: it is what clients are pointed here for without a path. One that looks for version 2 of it would take
/// the compute service's 2.1.
fn root<'a>(_: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move { Ok(Response::of(json!({ "versions": [of_network(call)] }))) })
}

fn network<'a>(_: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move { Ok(Response::of(json!({ "version": of_network(call) }))) })
}

fn compute<'a>(_: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let version = json!({
            "id": "v2.1",
            "status": "CURRENT",
            "version": "2.1",
            "min_version": "2.1",
            "links": links(call, "v2.1"),
        });
        Ok(Response::of(json!({ "version": version })))
    })
}

fn identity<'a>(_: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let version = json!({
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": links(call, "v3"),
            "media-types": [{ "base": "application/json", "type": "application/vnd.openstack.identity-v3+json" }],
        });
        Ok(Response::of(json!({ "version": version })))
    })
}
