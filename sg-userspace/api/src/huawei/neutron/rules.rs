//! Rules of v2.0.

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{KeyRole, Rule};
use sg_service::State;

use super::paging::{PAGE, page};
use crate::huawei::{
    Call, Dialect, Huawei, Operation, Response,
    operation::Outcome,
    parameters::{Kind, query},
    problem::Subject,
    v1::{self, AddRule, NEW_RULE},
    v3::{submit, time},
};

pub(in crate::huawei) const RULES: &[Operation] = &[
    Operation {
        name: "NeutronListSecurityGroupRules",
        method: Method::GET,
        path: "/v2.0/security-group-rules",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Rule,
        about: "Lists the rules that accept and are enabled.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("security_group_id", Kind::Texts, "one of these"),
                query("direction", Kind::Text, ""),
                query("ethertype", Kind::Text, "in any case"),
                query("protocol", Kind::Texts, "one of these"),
                query("description", Kind::Texts, "one of these"),
                query("remote_ip_prefix", Kind::Texts, "one of these"),
                query("remote_group_id", Kind::Texts, "one of these"),
                query("port_range_min", Kind::Integer, ""),
                query("port_range_max", Kind::Integer, ""),
                query("tenant_id", Kind::Text, ""),
                query("project_id", Kind::Text, ""),
            ],
        ],
    },
    Operation {
        name: "NeutronCreateSecurityGroupRule",
        method: Method::POST,
        path: "/v2.0/security-group-rules",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Rule,
        about: "Creates a rule that accepts, with the priority 100.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[NEW_RULE],
    },
    Operation {
        name: "NeutronShowSecurityGroupRule",
        method: Method::GET,
        path: "/v2.0/security-group-rules/{security_group_rule_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Rule,
        about: "Shows a rule. One that denies or is not enabled is refused with 404.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "NeutronDeleteSecurityGroupRule",
        method: Method::DELETE,
        path: "/v2.0/security-group-rules/{security_group_rule_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Rule,
        about: "Deletes a rule, also one that is not shown.",
        role: Some(KeyRole::Editor),
        handler: v1::delete_rule,
        parameters: &[],
    },
];

/// A rule: that of v1, with its times.
pub(super) fn shown(call: &Call, state: &State, rule: &Rule) -> Value {
    let mut shown = v1::shown_rule(call, state, rule);
    shown["project_id"] = call.project.id.as_str().into();
    shown["created_at"] = time(rule.created).into();
    shown["updated_at"] = time(rule.updated).into();
    shown
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let (all, shown) = v1::all_rules(&state, call, shown);
        page(call, "security_group_rules", &all, shown)
    })
}

fn rule(call: &Call, state: &State, rule: &Rule) -> Value {
    json!({ "security_group_rule": shown(call, state, rule) })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(Response::of(rule(call, &state, v1::find_shown_rule(&state, call)?)))
    })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group_rule");
        let (group, direction, spec) = v1::given_rule(&huawei.service.snapshot(), call, &fields)?;
        let operation = AddRule { group: group.to_string(), direction, spec };
        submit(huawei, call, operation, |made| {
            Response::created(rule(call, &huawei.service.snapshot(), &made))
        })
        .await
    })
}
