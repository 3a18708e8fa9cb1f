//! Security groups of v3.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Group, GroupType, KeyRole, uuid_of};
use sg_service::{CreateGroup, DeleteGroups, GroupTemplate, LabelChange, ModifyGroup, NewLabel, State};

use super::{
    common::{DRY_RUN, ENTERPRISE_PROJECT, description, enterprise_project, name, submit, tags_shown, time},
    rules,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response, ids, objects,
    operation::Outcome,
    paging::{PAGE, ordered, page},
    parameters::{Fields, Kind, body, query},
    problem::Subject,
    selection::Selection,
};

const ALL: &str = "/v3/{project_id}/vpc/security-groups";
const ONE: &str = "/v3/{project_id}/vpc/security-groups/{security_group_id}";

pub(in crate::huawei) const GROUPS: &[Operation] = &[
    Operation {
        name: "ListSecurityGroups",
        method: Method::GET,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Group,
        about: "Lists groups.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("name", Kind::Texts, "one of these"),
                query("description", Kind::Texts, "one of these"),
                query(
                    "enterprise_project_id",
                    Kind::Text,
                    "`0`, which every group is in, or `all_granted_eps`; no group is in another one",
                ),
            ],
        ],
    },
    Operation {
        name: "CreateSecurityGroup",
        method: Method::POST,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Group,
        about: "Creates a group.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[&[
            DRY_RUN,
            body("security_group", Kind::Object, "").required(),
            body("security_group.name", Kind::Text, "").required(),
            body("security_group.description", Kind::Text, ""),
            body("security_group.enterprise_project_id", Kind::Text, "`0`, which every group is in"),
            body("security_group.tags", Kind::Objects, ""),
            body("security_group.tags[].key", Kind::Text, "").required(),
            body("security_group.tags[].value", Kind::Text, ""),
        ]],
    },
    Operation {
        name: "ShowSecurityGroup",
        method: Method::GET,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Group,
        about: "Shows a group with its rules.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "UpdateSecurityGroup",
        method: Method::PUT,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Group,
        about: "Changes the name or the description of a group.",
        role: Some(KeyRole::Editor),
        handler: update,
        parameters: &[&[
            DRY_RUN,
            body("security_group", Kind::Object, "").required(),
            body("security_group.name", Kind::Text, ""),
            body("security_group.description", Kind::Text, ""),
        ]],
    },
    Operation {
        name: "DeleteSecurityGroup",
        method: Method::DELETE,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Group,
        about: "Deletes a group without members that no other group's rule names.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let all = state.groups().values().filter(|group| group.region == call.project.region);
        let all = ordered(all, |group| uuid_of(&group.id));
        let selection = Selection::of(call);
        let (groups, info) = page(call, &all, |group| selection.admit(shown(call, group)))?;
        Ok(Response::of(json!({ "security_groups": groups, "page_info": info })))
    })
}

/// The group that the path names.
fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Group>, Fault> {
    named(state, call, call.value("security_group_id"))
}

/// The group that a request names.
pub(super) fn named<'a>(state: &'a State, call: &Call, id: &str) -> Result<&'a Arc<Group>, Fault> {
    objects::group(state, call, id).ok_or_else(|| call.not_found(Subject::Group, "Security group", id))
}

/// A group in a list, which has no rules there.
fn shown(call: &Call, group: &Group) -> Value {
    json!({
        "id": ids::shown(&group.id),
        "name": group.label.name,
        "description": group.label.description,
        "project_id": call.project.id,
        "created_at": time(group.label.created),
        "updated_at": time(group.label.updated),
        "enterprise_project_id": ENTERPRISE_PROJECT,
        "tags": tags_shown(&group.label),
    })
}

/// A group with its rules.
fn with_rules(call: &Call, state: &State, group: &Group) -> Value {
    let mut value = shown(call, group);
    let rules: Vec<Value> = state.rules_of(&group.id).map(|rule| rules::shown(call, state, rule)).collect();
    value["security_group_rules"] = rules.into();
    json!({ "security_group": value })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(Response::of(with_rules(call, &state, find(&state, call)?)))
    })
}

fn update<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group");
        let group = find(&huawei.service.snapshot(), call)?.id.to_string();
        call.change.aims_at(&group);
        let label =
            LabelChange { name: name(call, &fields)?, description: description(call, &fields)?, tags: None };
        let operation = ModifyGroup { group, label, inner_access: None };
        submit(huawei, call, operation, |group| {
            Response::of(with_rules(call, &huawei.service.snapshot(), &group))
        })
        .await
    })
}

fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let group = find(&huawei.service.snapshot(), call)?.id.to_string();
        call.change.aims_at(&group);
        submit(huawei, call, DeleteGroups { groups: vec![group] }, |_| Response::no_content()).await
    })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group");
        enterprise_project(call, &fields)?;
        let label = NewLabel {
            name: name(call, &fields)?.unwrap_or_default(),
            description: description(call, &fields)?.unwrap_or_default(),
            tags: tags(call, &fields)?,
        };
        let operation = CreateGroup {
            label,
            region: call.project.region.clone(),
            vpc: None,
            kind: GroupType::Closed,
            inner_access: None,
            template: GroupTemplate::Standard,
        };
        submit(huawei, call, operation, |group| {
            Response::created(with_rules(call, &huawei.service.snapshot(), &group))
        })
        .await
    })
}

fn tags(call: &Call, fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for tag in fields.objects("tags").unwrap_or_default() {
        let (key, value) = (tag.text("key").unwrap_or_default(), tag.text("value").unwrap_or_default());
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(call.malformed(&tag.place("key"), "another tag has this key"));
        }
    }
    Ok(tags)
}
