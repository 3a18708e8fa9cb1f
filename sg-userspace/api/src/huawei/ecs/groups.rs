//! Groups of servers: those of all its interfaces. A group is added to every interface, at the end.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Direction, Group, KeyRole, uuid_of};
use sg_service::State;

use super::{
    find,
    membership::{Change, ChangeServer},
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response, objects,
    operation::Outcome,
    parameters::{Kind, body},
    problem::{Problem, Subject},
    v1,
    v3::submit,
};

pub(in crate::huawei) const GROUPS: &[Operation] = &[
    Operation {
        name: "NovaListServerSecurityGroups",
        method: Method::GET,
        path: "/v2.1/{project_id}/servers/{server_id}/os-security-groups",
        chosen_by: None,
        dialect: Dialect::Nova,
        subject: Subject::Group,
        about: "Lists the groups of a server with their inbound rules.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[],
    },
    Operation {
        name: "NovaAssociateSecurityGroup",
        method: Method::POST,
        path: "/v2.1/{project_id}/servers/{server_id}/action",
        chosen_by: Some("addSecurityGroup"),
        dialect: Dialect::Nova,
        subject: Subject::Group,
        about: "Adds a group to every interface of a server, behind the others. Those that hold it keep it where it is.",
        role: Some(KeyRole::Editor),
        handler: add,
        parameters: &[&[
            body("addSecurityGroup", Kind::Object, "").required(),
            body("addSecurityGroup.name", Kind::Text, "name or id of the group").required(),
        ]],
    },
    Operation {
        name: "NovaDisassociateSecurityGroup",
        method: Method::POST,
        path: "/v2.1/{project_id}/servers/{server_id}/action",
        chosen_by: Some("removeSecurityGroup"),
        dialect: Dialect::Nova,
        subject: Subject::Group,
        about: "Removes a group from every interface of a server that holds it. Each must keep another one.",
        role: Some(KeyRole::Editor),
        handler: remove,
        parameters: &[&[
            body("removeSecurityGroup", Kind::Object, "").required(),
            body("removeSecurityGroup.name", Kind::Text, "name or id of the group").required(),
        ]],
    },
];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let server = find::server(&state, call)?;
        let mut groups: Vec<&Arc<Group>> = Vec::new();
        for id in find::interfaces(&state, server).iter().flat_map(|nic| &nic.groups) {
            if let Some(group) = state.group(id)
                && !groups.iter().any(|other| other.id == group.id)
            {
                groups.push(group);
            }
        }
        let groups: Vec<Value> = groups.into_iter().map(|group| shown(call, &state, group)).collect();
        Ok(Response::of(json!({ "security_groups": groups })))
    })
}

/// A group in the form of Nova, which knows inbound rules that accept, and one range of ports.
fn shown(call: &Call, state: &State, group: &Group) -> Value {
    let inbound =
        state.rules_of(&group.id).filter(|rule| rule.direction == Direction::Ingress && v1::can_say(rule));
    let rules: Vec<Value> = inbound
        .map(|rule| {
            let rule = v1::shown_rule(call, state, rule);
            let named = rule["remote_group_id"].as_str().and_then(|id| objects::group(state, call, id));
            let named = named.map(|named| json!({ "name": named.label.name, "tenant_id": call.project.id }));
            let range = rule["remote_ip_prefix"].as_str().map(|cidr| json!({ "cidr": cidr }));
            json!({
                "id": rule["id"],
                "parent_group_id": rule["security_group_id"],
                "ip_protocol": rule["protocol"],
                "from_port": rule["port_range_min"],
                "to_port": rule["port_range_max"],
                "group": named.unwrap_or_else(|| json!({})),
                "ip_range": range.unwrap_or_else(|| json!({})),
            })
        })
        .collect();
    json!({
        "id": uuid_of(&group.id).to_string(),
        "name": group.label.name,
        "description": group.label.description,
        "tenant_id": call.project.id,
        "rules": rules,
    })
}

/// The group that the body names by its id or its name.
fn named<'a>(state: &'a State, call: &Call, action: &str) -> Result<&'a Arc<Group>, Fault> {
    let text = call.fields().object(action).text("name").unwrap_or_default();
    if let Some(group) = objects::group(state, call, text) {
        return Ok(group);
    }
    let of_name = |group: &&Arc<Group>| group.region == call.project.region && group.label.name == text;
    let mut found = state.groups().values().filter(of_name);
    let first = found.next().ok_or_else(|| call.not_found(Subject::Group, "Security group", text))?;
    if found.next().is_some() {
        let message = "Several security groups have this name: use the id of one.";
        return Err(call.fault(Problem::Conflict, message.to_owned()));
    }
    Ok(first)
}

/// The change that a request is.
fn change(huawei: &Huawei, call: &Call, action: &str, change: Change) -> Result<ChangeServer, Fault> {
    let state = huawei.service.snapshot();
    let server = find::server(&state, call)?.id.to_string();
    let group = named(&state, call, action)?.id.to_string();
    Ok(ChangeServer { server, group, change })
}

fn add<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let operation = change(huawei, call, "addSecurityGroup", Change::Join)?;
        submit(huawei, call, operation, |()| Response::accepted(Value::Null)).await
    })
}

fn remove<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let operation = change(huawei, call, "removeSecurityGroup", Change::Leave)?;
        submit(huawei, call, operation, |()| Response::accepted(Value::Null)).await
    })
}
