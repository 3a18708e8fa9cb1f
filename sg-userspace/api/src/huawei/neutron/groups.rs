//! Groups of v2.0, each with its rules.

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Group, KeyRole, uuid_of};
use sg_service::{LabelChange, ModifyGroup, State};

use super::{
    paging::{PAGE, page},
    rules,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response,
    operation::Outcome,
    parameters::{Fields, Kind, body, query},
    problem::Subject,
    v1,
    v3::{submit, time},
};

/// The name of the group that NICs get which are registered without one.
const DEFAULT: &str = "default";

pub(in crate::huawei) const GROUPS: &[Operation] = &[
    Operation {
        name: "NeutronListSecurityGroups",
        method: Method::GET,
        path: "/v2.0/security-groups",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Group,
        about: "Lists groups with their rules.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("name", Kind::Texts, "one of these"),
                query("description", Kind::Texts, "one of these"),
                query("tenant_id", Kind::Text, ""),
                query("project_id", Kind::Text, ""),
            ],
        ],
    },
    Operation {
        name: "NeutronCreateSecurityGroup",
        method: Method::POST,
        path: "/v2.0/security-groups",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Group,
        about: "Creates a group with the rules that every group begins with.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[&[
            body("security_group", Kind::Object, "").required(),
            body("security_group.name", Kind::Text, "any but `default`"),
            body("security_group.description", Kind::Text, ""),
        ]],
    },
    Operation {
        name: "NeutronShowSecurityGroup",
        method: Method::GET,
        path: "/v2.0/security-groups/{security_group_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Group,
        about: "Shows a group with its rules.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "NeutronUpdateSecurityGroup",
        method: Method::PUT,
        path: "/v2.0/security-groups/{security_group_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Group,
        about: "Changes name and description of a group.",
        role: Some(KeyRole::Editor),
        handler: update,
        parameters: &[&[
            body("security_group", Kind::Object, "").required(),
            body("security_group.name", Kind::Text, "any but `default`"),
            body("security_group.description", Kind::Text, ""),
        ]],
    },
    Operation {
        name: "NeutronDeleteSecurityGroup",
        method: Method::DELETE,
        path: "/v2.0/security-groups/{security_group_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Group,
        about: "Deletes a group that no NIC holds and no rule of another group names.",
        role: Some(KeyRole::Editor),
        handler: v1::delete_group,
        parameters: &[],
    },
];

/// A group with its rules.
fn shown(call: &Call, state: &State, group: &Group) -> Value {
    json!({
        "id": uuid_of(&group.id).to_string(),
        "name": group.label.name,
        "description": group.label.description,
        "project_id": call.project.id,
        "tenant_id": call.project.id,
        "stateful": true,
        "created_at": time(group.label.created),
        "updated_at": time(group.label.updated),
        "security_group_rules": v1::rules_of(call, state, group, rules::shown),
    })
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let (all, shown) = v1::all_groups(&state, call, shown);
        page(call, "security_groups", &all, shown)
    })
}

fn group(call: &Call, state: &State, group: &Group) -> Value {
    json!({ "security_group": shown(call, state, group) })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(Response::of(group(call, &state, v1::find_group(&state, call)?)))
    })
}

/// Refuses the name of the default group for another one.
fn is_free(call: &Call, fields: &Fields<'_>) -> Result<(), Fault> {
    match fields.text("name") {
        Some(DEFAULT) => {
            Err(call.malformed("security_group.name", "a name other than `default` is expected"))
        }
        _ => Ok(()),
    }
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group");
        is_free(call, &fields)?;
        let text = |name| fields.text(name).unwrap_or_default().to_owned();
        let operation = v1::new_group(call, text("name"), text("description"));
        submit(huawei, call, operation, |made| {
            Response::created(group(call, &huawei.service.snapshot(), &made))
        })
        .await
    })
}

fn update<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let found = v1::find_group(&state, call)?;
        let fields = call.fields().object("security_group");
        if fields.text("name").is_some_and(|name| name != found.label.name) {
            is_free(call, &fields)?;
        }
        let text = |name| fields.text(name).map(str::to_owned);
        let label =
            LabelChange { name: text("name"), description: text("description"), ..LabelChange::default() };
        let operation = ModifyGroup { group: found.id.to_string(), label, ..ModifyGroup::default() };
        submit(huawei, call, operation, |made| Response::of(group(call, &huawei.service.snapshot(), &made)))
            .await
    })
}
