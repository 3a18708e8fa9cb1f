//! Quotas of v1: how many groups and rules there may be, and how many there are.

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{GroupType, KeyRole};
use sg_service::State;

use crate::huawei::{
    Call, Dialect, Huawei, Operation, Response,
    operation::Outcome,
    parameters::{Kind, query},
    problem::Subject,
    selection::Selection,
};

pub(in crate::huawei) const QUOTAS: &[Operation] = &[Operation {
    name: "ShowQuota",
    method: Method::GET,
    path: "/v1/{project_id}/quotas",
    chosen_by: None,
    dialect: Dialect::V1,
    subject: Subject::Other,
    about: "Shows the quotas of groups and rules of the project, and how much of them is used.",
    role: Some(KeyRole::Viewer),
    handler: show,
    parameters: &[&[query("type", Kind::Text, "`securityGroup` or `securityGroupRule`; default: both")]],
}];

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let (groups, rules) = used(&state, &call.project.region);
        let quotas = &state.settings().quotas;
        let all = [
            ("securityGroup", groups, quotas.closed_groups_per_region),
            ("securityGroupRule", rules, quotas.closed_rules_per_region),
        ];
        let shown =
            all.map(|(name, used, quota)| json!({ "type": name, "used": used, "quota": quota, "min": 0 }));
        let selection = Selection::of(call);
        let resources: Vec<Value> = shown.into_iter().filter_map(|one| selection.admit(one)).collect();
        Ok(Response::of(json!({ "quotas": { "resources": resources } })))
    })
}

/// The numbers of groups and of rules in a region that count.
fn used(state: &State, region: &str) -> (usize, usize) {
    let groups =
        state.groups().values().filter(|group| group.region == region && group.kind == GroupType::Closed);
    groups.fold((0, 0), |(groups, rules), group| (groups + 1, rules + state.rules_of(&group.id).count()))
}
