//! The projects: a client that knows its region only asks for the id of its project.

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::KeyRole;

use crate::huawei::{
    Call, Dialect, Huawei, Operation, Response,
    operation::Outcome,
    parameters::{Kind, query},
    problem::Subject,
    project::{Project, projects},
};

/// The domain of all users and projects.
pub(super) const DOMAIN: &str = "default";

pub(in crate::huawei) const PROJECTS: &[Operation] = &[Operation {
    name: "KeystoneListProjects",
    method: Method::GET,
    path: "/v3/projects",
    chosen_by: None,
    dialect: Dialect::Identity,
    subject: Subject::Other,
    about: "Lists the projects: one for the region of this server, and one for each region that has an object.",
    role: Some(KeyRole::Viewer),
    handler: list,
    parameters: &[&[
        query("name", Kind::Text, "name of the region"),
        query("domain_id", Kind::Text, "`default`, which every project is in"),
        query("enabled", Kind::Boolean, "every project is enabled"),
    ]],
}];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let query = &call.query;
        let admits = |project: &Project| {
            query.text("name").is_none_or(|name| name == project.region)
                && query.text("domain_id").is_none_or(|domain| domain == DOMAIN)
                && query.boolean("enabled") != Some(false)
        };
        let state = huawei.service.snapshot();
        let found = projects(&huawei.region, &state);
        let found: Vec<Value> = found.filter(admits).map(|project| shown(call, &project)).collect();
        let links =
            json!({ "self": format!("{}/v3/projects", call.origin()), "next": null, "previous": null });
        Ok(Response::of(json!({ "projects": found, "links": links })))
    })
}

fn shown(call: &Call, project: &Project) -> Value {
    json!({
        "id": project.id,
        "name": project.region,
        "description": "",
        "domain_id": DOMAIN,
        "parent_id": DOMAIN,
        "enabled": true,
        "is_domain": false,
        "links": { "self": format!("{}/v3/projects/{}", call.origin(), project.id) },
    })
}
