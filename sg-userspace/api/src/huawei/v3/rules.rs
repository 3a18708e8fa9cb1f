//! Rules of v3.

use std::{collections::BTreeSet, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{
    Action, Family, GroupId, KeyRole, OnlyFamily, PortSet, Ports, Protocol, Remote, Rule, net, uuid_of,
};
use sg_service::{AddRules, Authorize, Duplicates, Revoke, Sameness, State};

use super::{
    common::{DRY_RUN, submit, time},
    described::{self, OF_EACH, OF_ONE},
    groups,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Response, ids, objects,
    operation::Outcome,
    paging::{PAGE, ordered, page},
    parameters::{Kind, body, query},
    problem::Subject,
    selection::Selection,
};

const ALL: &str = "/v3/{project_id}/vpc/security-group-rules";
const ONE: &str = "/v3/{project_id}/vpc/security-group-rules/{security_group_rule_id}";
const BATCH: &str =
    "/v3/{project_id}/vpc/security-groups/{security_group_id}/security-group-rules/batch-create";

/// The priority of a new rule that says none: of one by itself, and of one of a batch.
const DEFAULT_PRIORITY: (u8, u8) = (100, 1);

pub(in crate::huawei) const RULES: &[Operation] = &[
    Operation {
        name: "ListSecurityGroupRules",
        method: Method::GET,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Rule,
        about: "Lists rules.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("security_group_id", Kind::Texts, "rules of one of these groups"),
                query("direction", Kind::Text, "`ingress` or `egress`"),
                query("ethertype", Kind::Texts, "one of these, in any case; rules for both have neither"),
                query("protocol", Kind::Texts, "one of these; blank: rules for every protocol"),
                query("action", Kind::Text, "`allow`, `deny` or `reject`"),
                query("priority", Kind::Integers, "one of these"),
                query("enabled", Kind::Boolean, ""),
                query("description", Kind::Texts, "one of these"),
                query("remote_ip_prefix", Kind::Text, "exactly this address or prefix"),
                query("remote_group_id", Kind::Texts, "one of these"),
                query("remote_address_group_id", Kind::Texts, "one of these"),
            ],
        ],
    },
    Operation {
        name: "CreateSecurityGroupRule",
        method: Method::POST,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Rule,
        about: "Adds a rule to a group. One that matches the same packets as another of its direction is refused.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[
            &[
                DRY_RUN,
                body("security_group_rule", Kind::Object, "").required(),
                body("security_group_rule.security_group_id", Kind::Text, "").required(),
            ],
            OF_ONE,
        ],
    },
    Operation {
        name: "BatchCreateSecurityGroupRules",
        method: Method::POST,
        path: BATCH,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Rule,
        about: "Adds rules to a group, in both directions: all of them or none.",
        role: Some(KeyRole::Editor),
        handler: create_batch,
        parameters: &[
            &[
                DRY_RUN,
                body(
                    "ignore_duplicate",
                    Kind::Boolean,
                    "`true`: rules that match the same packets as another, with the same `action` and `enabled`, are left out, of the response, too; default `false`: refused",
                ),
                body("security_group_rules", Kind::Objects, "").required(),
            ],
            OF_EACH,
        ],
    },
    Operation {
        name: "ShowSecurityGroupRule",
        method: Method::GET,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Rule,
        about: "Shows a rule.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "DeleteSecurityGroupRule",
        method: Method::DELETE,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Rule,
        about: "Deletes a rule.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let here = |rule: &&Arc<Rule>| {
            state.group(&rule.group).is_some_and(|group| group.region == call.project.region)
        };
        let of_groups: Vec<&str> = call.query.texts("security_group_id").collect();
        let all: Vec<&Arc<Rule>> = if of_groups.is_empty() {
            state.rules().values().filter(here).collect()
        } else {
            // A group may be named twice.
            let groups: BTreeSet<&GroupId> =
                of_groups.iter().filter_map(|id| Some(&objects::group(&state, call, id)?.id)).collect();
            groups.into_iter().flat_map(|group| state.rules_of(group)).collect()
        };
        let all = ordered(all, |rule| uuid_of(&rule.id));
        let selection = Selection::with(call, &[], form);
        let (rules, info) = page(call, &all, |rule| selection.admit(shown(call, &state, rule)))?;
        Ok(Response::of(json!({ "security_group_rules": rules, "page_info": info })))
    })
}

/// The one form of what can be written in several ways.
pub(in crate::huawei) fn form(name: &str, text: &str) -> Option<String> {
    match name {
        "ethertype" => Some(text.to_ascii_lowercase()),
        "remote_ip_prefix" => net(text).map(|net| net.to_string()),
        "protocol" if text == "icmpv6" => Some("58".to_owned()),
        "protocol" => match text.parse() {
            Ok(Protocol::Number(number)) => Some(number.to_string()),
            Ok(Protocol::All) | Err(_) => None,
        },
        _ => None,
    }
}

fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Rule>, Fault> {
    let id = call.value("security_group_rule_id");
    objects::rule(state, call, id).ok_or_else(|| call.not_found(Subject::Rule, "Security group rule", id))
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(Response::of(json!({ "security_group_rule": shown(call, &state, find(&state, call)?) })))
    })
}

fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let rule = Arc::clone(find(&huawei.service.snapshot(), call)?);
        call.change.aims_at(rule.id.as_str());
        let operation =
            Revoke { group: rule.group.to_string(), direction: None, rules: vec![rule.id.to_string()] };
        submit(huawei, call, operation, |_| Response::no_content()).await
    })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group_rule");
        let state = huawei.service.snapshot();
        let group = groups::named(&state, call, fields.text("security_group_id").unwrap_or_default())?;
        call.change.aims_at(group.id.as_str());
        let rule = described::rule(&state, call, &fields, DEFAULT_PRIORITY.0)?;
        let operation = Authorize {
            group: group.id.to_string(),
            direction: None,
            rules: vec![rule],
            duplicates: Duplicates::Refuse,
            same: Sameness::Packets,
        };
        submit(huawei, call, operation, |rules| {
            let state = huawei.service.snapshot();
            let rule = rules.first().map(|rule| shown(call, &state, rule));
            Response::created(json!({ "security_group_rule": rule }))
        })
        .await
    })
}

fn create_batch<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let state = huawei.service.snapshot();
        let group = groups::named(&state, call, call.value("security_group_id"))?;
        call.change.aims_at(group.id.as_str());
        let rules = fields.objects("security_group_rules").unwrap_or_default();
        let rules: Result<Vec<_>, Fault> =
            rules.iter().map(|rule| described::rule(&state, call, rule, DEFAULT_PRIORITY.1)).collect();
        let ignores = fields.boolean("ignore_duplicate").unwrap_or(false);
        let operation = AddRules(Authorize {
            group: group.id.to_string(),
            direction: None,
            rules: rules?,
            duplicates: if ignores { Duplicates::Ignore } else { Duplicates::Refuse },
            same: Sameness::Packets,
        });
        submit(huawei, call, operation, |authorized| {
            let state = huawei.service.snapshot();
            let new = authorized.iter().filter(|one| one.is_new);
            let rules: Vec<Value> = new.map(|one| shown(call, &state, &one.rule)).collect();
            Response::created(json!({ "security_group_rules": rules }))
        })
        .await
    })
}

/// A rule. Fields that it does not have are `null`.
///
/// What the vendor's rules do not have is left out: source ports, local addresses, the DSCP, types of ICMP messages. A port list is
/// shown as the ports that are in it.
pub(in crate::huawei) fn shown(call: &Call, state: &State, rule: &Rule) -> Value {
    let spec = &rule.spec;
    let (mut prefix, mut group, mut address_group) = (None, None, None);
    match &spec.matches.remote {
        Remote::Any => {}
        Remote::Net(net) => prefix = Some(net.to_string()),
        Remote::Group(id) => group = Some(ids::shown(id)),
        Remote::PrefixList(id) => address_group = Some(ids::shown(id)),
    }
    json!({
        "id": ids::shown(&rule.id),
        "security_group_id": ids::shown(&rule.group),
        "project_id": call.project.id,
        "description": spec.description,
        "direction": rule.direction.to_string(),
        "ethertype": family(state, rule).map(|family| match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }),
        "protocol": protocol(spec.matches.protocol),
        "multiport": multiport(state, &spec.matches.ports),
        "action": action(spec.action),
        "priority": spec.priority,
        "enabled": spec.enabled,
        "remote_ip_prefix": prefix,
        "remote_group_id": group,
        "remote_address_group_id": address_group,
        "created_at": time(rule.created),
        "updated_at": time(rule.updated),
    })
}

/// The family that a rule is for; none if it is for both.
fn family(state: &State, rule: &Rule) -> Option<Family> {
    let matches = &rule.spec.matches;
    match (&matches.remote, matches.protocol) {
        (Remote::Net(net), _) => Some(Family::of(*net)),
        _ if matches.local.is_some() => matches.local.map(Family::of),
        (_, Protocol::Number(1)) => Some(Family::V4),
        (_, Protocol::Number(58)) => Some(Family::V6),
        _ if matches.family.is_some() => matches.family.map(|family| match family {
            OnlyFamily::Ipv4 => Family::V4,
            OnlyFamily::Ipv6 => Family::V6,
        }),
        (Remote::PrefixList(id), _) => state.prefix_list(id)?.extra.family,
        (Remote::Any | Remote::Group(_), _) => None,
    }
}

/// The vendor has names for four protocols.
fn protocol(protocol: Protocol) -> Option<String> {
    match protocol {
        Protocol::All => None,
        Protocol::Number(1) => Some("icmp".to_owned()),
        Protocol::Number(6) => Some("tcp".to_owned()),
        Protocol::Number(17) => Some("udp".to_owned()),
        Protocol::Number(58) => Some("icmpv6".to_owned()),
        Protocol::Number(number) => Some(number.to_string()),
    }
}

fn multiport(state: &State, ports: &Ports) -> Option<String> {
    let text = |ranges: &[sg_model::PortRange]| {
        let range = |range: &sg_model::PortRange| PortSet::range(*range).to_string();
        ranges.iter().map(range).collect::<Vec<_>>().join(",")
    };
    match ports {
        Ports::Any => None,
        Ports::Ranges(ranges) => Some(text(ranges)),
        Ports::List(id) => {
            let entries = &state.port_list(id)?.entries;
            Some(entries.iter().map(|entry| entry.ports.to_string()).collect::<Vec<_>>().join(","))
        }
    }
}

/// The vendor has no `reject`; it is shown as what it is.
const fn action(action: Action) -> &'static str {
    match action {
        Action::Accept => "allow",
        Action::Drop => "deny",
        Action::Reject => "reject",
    }
}
