//! Rules of v1, and what v2.0 shows of rules alike: one range of ports, and neither action nor priority. A rule that is created here
//! accepts, and is the last by priority.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sg_model::{Bounded, HeaderNumbers};
use sg_records::{
    Action, Direction, GroupId, KeyRole, Match, OnlyFamily, Ports, Protocol, Remote, Rule, RuleSpec, uuid_of,
};
use sg_service::{Authorize, Duplicates, Refusal, Revoke, Sameness, State, Tx};

use super::paging::{PAGE, page};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response, objects,
    operation::Outcome,
    paging::{Ordered, ordered},
    parameters::{Fields, Kind, body, query},
    problem::{Problem, Subject},
    selection::Selection,
    v3::{rule_form, shown_rule, submit},
};

/// The priority of a rule that is created without one.
const LAST: u8 = 100;

/// The fields of a new rule, of v1 and of v2.0.
pub(in crate::huawei) const NEW_RULE: &[Parameter] = &[
    body("security_group_rule", Kind::Object, "").required(),
    body("security_group_rule.security_group_id", Kind::Text, "").required(),
    body("security_group_rule.direction", Kind::Text, "`ingress` or `egress`").required(),
    body("security_group_rule.ethertype", Kind::Text, "`IPv4` or `IPv6`; default `IPv4`"),
    body(
        "security_group_rule.protocol",
        Kind::Text,
        "`tcp`, `udp`, `icmp`, `icmpv6` or 0 to 255; default: all",
    ),
    body("security_group_rule.port_range_min", Kind::Integer, "1 to 65535; of ICMP the type; default: all"),
    body("security_group_rule.port_range_max", Kind::Integer, "1 to 65535; of ICMP the code; default: all"),
    body("security_group_rule.remote_ip_prefix", Kind::Text, "an address or a prefix; one remote at most"),
    body("security_group_rule.remote_group_id", Kind::Text, "a group; one remote at most"),
    body("security_group_rule.remote_address_group_id", Kind::Text, "an address group; one remote at most"),
    body("security_group_rule.description", Kind::Text, ""),
];

pub(in crate::huawei) const RULES: &[Operation] = &[
    Operation {
        name: "ListSecurityGroupRules",
        method: Method::GET,
        path: "/v1/{project_id}/security-group-rules",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Rule,
        about: "Lists the rules that accept and are enabled.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[query("security_group_id", Kind::Text, ""), query("remote_ip_prefix", Kind::Text, "")],
        ],
    },
    Operation {
        name: "CreateSecurityGroupRule",
        method: Method::POST,
        path: "/v1/{project_id}/security-group-rules",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Rule,
        about: "Creates a rule that accepts, with the priority 100.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[NEW_RULE],
    },
    Operation {
        name: "ShowSecurityGroupRule",
        method: Method::GET,
        path: "/v1/{project_id}/security-group-rules/{security_group_rule_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Rule,
        about: "Shows a rule. One that denies or is not enabled is refused with 404.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "DeleteSecurityGroupRule",
        method: Method::DELETE,
        path: "/v1/{project_id}/security-group-rules/{security_group_rule_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Rule,
        about: "Deletes a rule, also one that is not shown.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
];

/// Whether these versions can say what a rule does. They have neither actions nor switches, so every rule of theirs is read as one that
/// accepts: what denies, or is not enabled, must not be shown.
pub(in crate::huawei) fn can_say(rule: &Rule) -> bool {
    rule.spec.enabled && rule.spec.action == Action::Accept
}

/// A rule. What v1 does not have is left out; several ranges of ports are shown as none.
pub(in crate::huawei) fn shown(call: &Call, state: &State, rule: &Rule) -> Value {
    let mut shown = shown_rule(call, state, rule);
    if let Value::Object(fields) = &mut shown {
        for name in ["action", "priority", "enabled", "multiport", "created_at", "updated_at", "project_id"] {
            fields.remove(name);
        }
    }
    let (min, max) = numbers(&rule.spec.matches);
    shown["port_range_min"] = min.into();
    shown["port_range_max"] = max.into();
    shown["tenant_id"] = call.project.id.as_str().into();
    shown
}

/// The range of ports, or type and code of ICMP.
fn numbers(matches: &Match) -> (Option<u16>, Option<u16>) {
    let HeaderNumbers { icmp_type, icmp_code, .. } = matches.numbers;
    match &matches.ports {
        Ports::Ranges(ranges) => match ranges.as_slice() {
            [range] => (Some(range.first()), Some(range.last())),
            _ => (None, None),
        },
        Ports::Any | Ports::List(_) => {
            let number = |number: Option<Bounded<{ u8::MAX }>>| number.map(|number| number.get().into());
            (number(icmp_type), number(icmp_code))
        }
    }
}

/// All rules, and how one is shown that the query selects.
pub(in crate::huawei) fn all<'a>(
    state: &'a State,
    call: &'a Call,
    shown: impl Fn(&Call, &State, &Rule) -> Value + 'a,
) -> (Ordered<&'a Arc<Rule>>, impl Fn(&&'a Arc<Rule>) -> Option<Value> + 'a) {
    let of_project =
        |rule: &&Arc<Rule>| state.group(&rule.group).is_some_and(|group| group.region == call.project.region);
    let selection = Selection::with(call, &[], rule_form);
    let shown =
        move |rule: &&Arc<Rule>| can_say(rule).then(|| selection.admit(shown(call, state, rule))).flatten();
    (ordered(state.rules().values().filter(of_project), |rule| uuid_of(&rule.id)), shown)
}

/// The rule that the path names.
pub(in crate::huawei) fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Rule>, Fault> {
    let text = call.value("security_group_rule_id");
    let found = objects::rule(state, call, text);
    found.ok_or_else(|| call.not_found(Subject::Rule, "Security group rule", text))
}

/// The rule that the path names, to show it.
///
/// # Errors
/// If there is none, or none that these versions can say.
pub(in crate::huawei) fn find_shown<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Rule>, Fault> {
    let rule = find(state, call)?;
    if can_say(rule) {
        return Ok(rule);
    }
    let message = "The security group rule denies or is not enabled, so it could not be found in this version, which has only rules that accept: use VPC v3.";
    Err(call.fault(Problem::NotFound(Subject::Rule), message.to_owned()))
}

/// The rule that a request describes, its direction, and its group.
///
/// # Errors
/// The first field that is malformed or names what does not exist.
pub(in crate::huawei) fn given(
    state: &State,
    call: &Call,
    fields: &Fields<'_>,
) -> Result<(GroupId, Direction, RuleSpec), Fault> {
    let text = fields.text("security_group_id").unwrap_or_default();
    let group = objects::group(state, call, text)
        .ok_or_else(|| call.not_found(Subject::Group, "Security group", text))?;
    let malformed = |name: &str, wanted: &str| call.malformed(&fields.place(name), wanted);
    let direction = match fields.text("direction") {
        Some("ingress") => Direction::Ingress,
        Some("egress") => Direction::Egress,
        _ => return Err(malformed("direction", "ingress or egress is expected")),
    };
    let family = match fields.text("ethertype").unwrap_or("IPv4") {
        text if text.eq_ignore_ascii_case("IPv4") => OnlyFamily::Ipv4,
        text if text.eq_ignore_ascii_case("IPv6") => OnlyFamily::Ipv6,
        _ => return Err(malformed("ethertype", "IPv4 or IPv6 is expected")),
    };
    let protocol = match fields.text("protocol").unwrap_or_default() {
        "" => Protocol::All,
        "icmpv6" => Protocol::Number(58),
        text => text
            .parse()
            .map_err(|_| malformed("protocol", "tcp, udp, icmp, icmpv6 or 0 to 255 is expected"))?,
    };
    let matches = Match {
        family: Some(family),
        remote: remote(state, call, fields)?,
        ..with_numbers(call, fields, protocol)?
    };
    let description = fields.text("description").unwrap_or_default().to_owned();
    let spec = RuleSpec {
        action: Action::Accept,
        priority: LAST,
        matches,
        description,
        ..RuleSpec::accept(protocol)
    };
    Ok((group.id.clone(), direction, spec))
}

/// Adds a rule that the group does not have.
#[derive(Clone, Debug)]
pub(in crate::huawei) struct AddRule {
    pub(in crate::huawei) group: String,
    pub(in crate::huawei) direction: Direction,
    pub(in crate::huawei) spec: RuleSpec,
}

impl sg_service::Operation for AddRule {
    type Output = Rule;

    fn run(&self, tx: &mut Tx) -> Result<Rule, Refusal> {
        let operation = Authorize {
            duplicates: Duplicates::Refuse,
            same: Sameness::Packets,
            ..Authorize::of(self.group.clone(), self.direction, vec![self.spec.clone()])
        };
        operation.run(tx)?.pop().ok_or(Refusal::NothingToChange)
    }
}

/// The protocol with its range of ports, or its type and code of ICMP.
fn with_numbers(call: &Call, fields: &Fields<'_>, protocol: Protocol) -> Result<Match, Fault> {
    let malformed = |name: &str, wanted: &str| call.malformed(&fields.place(name), wanted);
    let (min, max) = (fields.integer("port_range_min"), fields.integer("port_range_max"));
    let mut matches = Match::of(protocol);
    if matches!(protocol, Protocol::Number(1 | 58)) {
        let number = |name, value: Option<i64>| {
            let number = value.map(|value| u8::try_from(value).map(Bounded::from)).transpose();
            number.map_err(|_| malformed(name, "0 to 255 is expected: the type of ICMP, and the code"))
        };
        matches.numbers.icmp_type = number("port_range_min", min)?;
        matches.numbers.icmp_code = number("port_range_max", max)?;
        return Ok(matches);
    }
    if let (None, None) = (min, max) {
        return Ok(matches);
    }
    // One of them alone is the only port.
    let (Some(first), Some(last)) = (min.or(max), max.or(min)) else { return Ok(matches) };
    let text = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let range = sg_records::port_range(&text, '-').filter(|_| first >= 1 && first <= last && last <= 65_535);
    let range = range.ok_or_else(|| {
        let fault = malformed("port_range_min", "1 to 65535 is expected, and no more than port_range_max");
        if call.operation.dialect == Dialect::Neutron {
            fault.named("SecurityGroupInvalidPortRange")
        } else {
            fault
        }
    })?;
    matches.ports = Ports::Ranges(vec![range]);
    Ok(matches)
}

/// The remote of a rule. Without one, it is anyone of the family.
fn remote(state: &State, call: &Call, fields: &Fields<'_>) -> Result<Remote, Fault> {
    let given = ["remote_ip_prefix", "remote_group_id", "remote_address_group_id"];
    let given: Vec<(&str, &str)> = given
        .into_iter()
        .filter_map(|name| Some((name, fields.text(name).filter(|text| !text.is_empty())?)))
        .collect();
    match given.as_slice() {
        [] => Ok(Remote::Any),
        [("remote_ip_prefix", text)] => {
            let wanted =
                || call.malformed(&fields.place("remote_ip_prefix"), "an address or prefix is expected");
            Ok(Remote::Net(sg_records::net(text).ok_or_else(wanted)?))
        }
        [("remote_group_id", text)] => {
            let found = objects::group(state, call, text).map(|group| Remote::Group(group.id.clone()));
            found.ok_or_else(|| call.not_found(Subject::Group, "Security group", text))
        }
        [(_, text)] => {
            let found =
                objects::address_group(state, call, text).map(|list| Remote::PrefixList(list.id.clone()));
            found.ok_or_else(|| call.not_found(Subject::AddressGroup, "Address group", text))
        }
        [_, (name, _), ..] => Err(call.malformed(&fields.place(name), "a rule has one remote at most")),
    }
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let (all, shown) = all(&state, call, shown);
        page(call, "security_group_rules", &all, shown)
    })
}

fn rule(call: &Call, state: &State, rule: &Rule) -> Response {
    Response::of(json!({ "security_group_rule": shown(call, state, rule) }))
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(rule(call, &state, find_shown(&state, call)?))
    })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("security_group_rule");
        let (group, direction, spec) = given(&huawei.service.snapshot(), call, &fields)?;
        let operation = AddRule { group: group.to_string(), direction, spec };
        submit(huawei, call, operation, |made| rule(call, &huawei.service.snapshot(), &made)).await
    })
}

/// Deletes the rule that the path names.
pub(in crate::huawei) fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let rule = find(&state, call)?;
        let operation =
            Revoke { group: rule.group.to_string(), direction: None, rules: vec![rule.id.to_string()] };
        submit(huawei, call, operation, |_| Response::no_content()).await
    })
}
