//! Quotas of v3: those that concern groups.

use axum::http::Method;
use serde_json::json;
use sg_records::KeyRole;

use crate::huawei::{Call, Dialect, Huawei, Operation, Response, operation::Outcome, problem::Subject};

pub(in crate::huawei) const QUOTAS: &[Operation] = &[Operation {
    name: "ShowQuota",
    method: Method::GET,
    path: "/v3/{project_id}/vpc/quotas",
    chosen_by: None,
    dialect: Dialect::V3,
    subject: Subject::Other,
    about: "Shows the quotas that concern groups.",
    role: Some(KeyRole::Viewer),
    handler: show,
    parameters: &[],
}];

fn show<'a>(huawei: &'a Huawei, _: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let quotas = &state.settings().quotas;
        let composite = quotas.composite_rules_per_nic;
        let quota = json!({
            "security_group": quotas.closed_groups_per_region,
            "security_group_rule": quotas.closed_rules_per_region,
            // A group has no quota of its own, so all rules may be in one.
            "secgroup_contain_rules": quotas.closed_rules_per_region,
            "secgroup_referred_by_nic": quotas.members_per_closed_group,
            "eni_contain_secgroup": quotas.closed_groups_per_nic,
            "address_group_contain_ipset": quotas.entries_per_prefix_list,
            "security_group_contain_ingress_ipv4_composite_rules": composite,
            "security_group_contain_ingress_ipv6_composite_rules": composite,
            "security_group_contain_egress_ipv4_composite_rules": composite,
            "security_group_contain_egress_ipv6_composite_rules": composite,
        });
        Ok(Response::of(json!({ "quota": quota })))
    })
}
