//! Groups of v1, each with its rules, and what v2.0 does alike.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Group, GroupType, KeyRole, Rule, VpcId, uuid_of};
use sg_service::{CreateGroup, DeleteGroups, GroupTemplate, NewLabel, State};

use super::{
    paging::{PAGE, page},
    rules,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response, objects,
    operation::Outcome,
    paging::{Ordered, ordered},
    parameters::{Kind, body, query},
    problem::Subject,
    selection::Selection,
    v3::{name, submit},
};

pub(in crate::huawei) const GROUPS: &[Operation] = &[
    Operation {
        name: "ListSecurityGroups",
        method: Method::GET,
        path: "/v1/{project_id}/security-groups",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Group,
        about: "Lists groups with their rules.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("vpc_id", Kind::Text, "groups that NICs of this VPC may hold"),
                query(
                    "enterprise_project_id",
                    Kind::Text,
                    "`0`, which everything is in, or `all_granted_eps`",
                ),
            ],
        ],
    },
    Operation {
        name: "CreateSecurityGroup",
        method: Method::POST,
        path: "/v1/{project_id}/security-groups",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Group,
        about: "Creates a group with the rules that every group begins with.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[&[
            body("security_group", Kind::Object, "").required(),
            body("security_group.name", Kind::Text, "").required(),
            body("security_group.enterprise_project_id", Kind::Text, "`0`, which every group is in"),
            body("security_group.vpc_id", Kind::Text, "a group is of the whole project").refused(),
        ]],
    },
    Operation {
        name: "ShowSecurityGroup",
        method: Method::GET,
        path: "/v1/{project_id}/security-groups/{security_group_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Group,
        about: "Shows a group with its rules.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "DeleteSecurityGroup",
        method: Method::DELETE,
        path: "/v1/{project_id}/security-groups/{security_group_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Group,
        about: "Deletes a group that no NIC holds and no rule of another group names.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
];

/// A group with its rules.
fn shown(call: &Call, state: &State, group: &Group) -> Value {
    json!({
        "id": uuid_of(&group.id).to_string(),
        "name": group.label.name,
        "description": group.label.description,
        "vpc_id": group.vpc.as_ref().map(|vpc| uuid_of(vpc).to_string()).unwrap_or_default(),
        "enterprise_project_id": "0",
        "security_group_rules": rules_of(call, state, group, rules::shown),
    })
}

/// The rules of a group that these versions can say.
pub(in crate::huawei) fn rules_of(
    call: &Call,
    state: &State,
    group: &Group,
    shown: impl Fn(&Call, &State, &Rule) -> Value,
) -> Vec<Value> {
    state
        .rules_of(&group.id)
        .filter(|rule| rules::can_say(rule))
        .map(|rule| shown(call, state, rule))
        .collect()
}

/// All groups, and how one is shown that the query selects. A group without a VPC is for the NICs of every one.
pub(in crate::huawei) fn all<'a>(
    state: &'a State,
    call: &'a Call,
    shown: impl Fn(&Call, &State, &Group) -> Value + 'a,
) -> (Ordered<&'a Arc<Group>>, impl Fn(&&'a Arc<Group>) -> Option<Value> + 'a) {
    let here = state.groups().values().filter(|group| group.region == call.project.region);
    let selection = Selection::with(call, &["vpc_id"], |_, _| None);
    let wanted: Vec<&str> = call.query.texts("vpc_id").collect();
    let vpcs: Vec<&VpcId> = wanted.iter().filter_map(|id| Some(&objects::vpc(state, call, id)?.id)).collect();
    let is_for_vpc = move |group: &Group| {
        wanted.is_empty() || group.vpc.as_ref().map_or_else(|| !vpcs.is_empty(), |vpc| vpcs.contains(&vpc))
    };
    let shown = move |group: &&Arc<Group>| {
        is_for_vpc(group).then(|| selection.admit(shown(call, state, group))).flatten()
    };
    (ordered(here, |group| uuid_of(&group.id)), shown)
}

/// The group that the path names.
pub(in crate::huawei) fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Group>, Fault> {
    let text = call.value("security_group_id");
    objects::group(state, call, text).ok_or_else(|| call.not_found(Subject::Group, "Security group", text))
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let (all, shown) = all(&state, call, shown);
        page(call, "security_groups", &all, shown)
    })
}

fn group(call: &Call, state: &State, group: &Group) -> Response {
    Response::of(json!({ "security_group": shown(call, state, group) }))
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(group(call, &state, find(&state, call)?))
    })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group");
        if fields.text("enterprise_project_id").is_some_and(|project| project != "0") {
            let wanted = "this server has the default enterprise project 0 only";
            return Err(call.malformed("security_group.enterprise_project_id", wanted));
        }
        let operation = new_group(call, name(call, &fields)?.unwrap_or_default(), String::new());
        submit(huawei, call, operation, |made| group(call, &huawei.service.snapshot(), &made)).await
    })
}

/// The creation of a group with the rules that every group begins with.
pub(in crate::huawei) fn new_group(call: &Call, name: String, description: String) -> CreateGroup {
    CreateGroup {
        label: NewLabel { name, description, ..NewLabel::default() },
        region: call.project.region.clone(),
        vpc: None,
        kind: GroupType::Closed,
        inner_access: None,
        template: GroupTemplate::Standard,
    }
}

/// Deletes the group that the path names.
pub(in crate::huawei) fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let id = find(&huawei.service.snapshot(), call)?.id.to_string();
        let operation = DeleteGroups { groups: vec![id] };
        submit(huawei, call, operation, |_| Response::no_content()).await
    })
}
