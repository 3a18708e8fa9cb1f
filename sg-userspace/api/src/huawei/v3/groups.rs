//! Security groups of v3.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Group, GroupType, KeyRole, Rule};
use sg_service::{CreateGroup, NewLabel};

use super::{
    common::{DRY_RUN, ENTERPRISE_PROJECT, submit, tags_shown, time},
    rules,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response, ids,
    operation::Outcome,
    paging::{PAGE, page},
    parameters::{Fields, Kind, body, query},
    problem::Subject,
};

pub(in crate::huawei) const GROUPS: &[Operation] = &[
    Operation {
        name: "ListSecurityGroups",
        method: Method::GET,
        path: "/v3/{project_id}/vpc/security-groups",
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
        path: "/v3/{project_id}/vpc/security-groups",
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
];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let query = &call.query;
        let names: Vec<&str> = query.texts("name").collect();
        let descriptions: Vec<&str> = query.texts("description").collect();
        let wanted: Vec<&str> = query.texts("id").collect();
        let is_there = query
            .text("enterprise_project_id")
            .is_none_or(|project| project == ENTERPRISE_PROJECT || project == "all_granted_eps");
        let admits = |group: &Group| {
            is_there
                && group.region == call.project.region
                && one_of(&wanted, &ids::shown(&group.id))
                && one_of(&names, &group.label.name)
                && one_of(&descriptions, &group.label.description)
        };
        let mut found: Vec<&Arc<Group>> = state.groups().values().filter(|group| admits(group)).collect();
        found.sort_by_cached_key(|group| ids::shown(&group.id));
        let (part, info) = page(call, &found, |group| ids::shown(&group.id))?;
        let groups: Vec<Value> = part.iter().map(|group| shown(call, group)).collect();
        Ok(Response::of(json!({ "security_groups": groups, "page_info": info })))
    })
}

/// Whether a value is one of those that a filter names; a filter that names none admits every value.
pub(super) fn one_of(wanted: &[&str], value: &str) -> bool {
    wanted.is_empty() || wanted.contains(&value)
}

/// A group in a list, which has no rules there.
fn shown(call: &Call, group: &Group) -> Value {
    json!({
        "id": ids::shown(&group.id),
        "name": group.label.name,
        "description": group.label.description,
        "project_id": call.project.id,
        "created_at": time(group.label.created),
        "updated_at": time(group.label.created),
        "enterprise_project_id": ENTERPRISE_PROJECT,
        "tags": tags_shown(&group.label),
    })
}

/// A group with its rules.
fn with_rules<'a>(
    call: &Call,
    state: &sg_service::State,
    group: &Group,
    of_group: impl Iterator<Item = &'a Arc<Rule>>,
) -> Value {
    let mut value = shown(call, group);
    let rules: Vec<Value> = of_group.map(|rule| rules::shown(call, state, rule)).collect();
    value["security_group_rules"] = rules.into();
    value
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group");
        enterprise_project(call, &fields)?;
        let label = NewLabel {
            name: fields.text("name").unwrap_or_default().to_owned(),
            description: fields.text("description").unwrap_or_default().to_owned(),
            tags: tags(call, &fields)?,
        };
        let operation = CreateGroup {
            label,
            region: call.project.region.clone(),
            vpc: None,
            kind: GroupType::Basic,
            inner_access: Some(false),
        };
        submit(huawei, call, operation, |group| {
            let state = huawei.service.snapshot();
            let group = with_rules(call, &state, &group, state.rules_of(&group.id));
            Response::created(json!({ "security_group": group }))
        })
        .await
    })
}

/// Refuses a new object in an enterprise project other than the one that everything is in.
pub(super) fn enterprise_project(call: &Call, fields: &Fields<'_>) -> Result<(), Fault> {
    match fields.text("enterprise_project_id") {
        None | Some(ENTERPRISE_PROJECT) => Ok(()),
        Some(_) => {
            let wanted = "this server has the default enterprise project 0 only";
            Err(call.malformed(&fields.place("enterprise_project_id"), wanted))
        }
    }
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
