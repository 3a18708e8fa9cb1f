//! Actions on rules: authorise, modify, revoke, each for both directions.

use sg_model::HeaderNumbers;
use sg_records::{Direction, Group, KeyRole, NicType, RuleId};
use sg_service::{Authorize, ModifyRule, Refusal, Revoke, RevokeMatching};

use super::{
    action::{Action, ActionFuture},
    common::{group, is_classic, submit},
    parameter::{CLIENT_TOKEN, GROUP, REGION, text, texts},
    permission::{EGRESS_FLAT, EGRESS_PERMISSIONS, INGRESS_FLAT, INGRESS_PERMISSIONS, Parts, is_flat},
    refusals::{ErrorContext, fault},
};
use crate::ecs::{Call, Ecs, Fault, Response};

/// The maximum number of rules, or ids of rules, of one call.
const MOST: usize = 100;

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "AuthorizeSecurityGroup",
        about: "Adds up to 100 inbound rules.",
        role: KeyRole::Editor,
        handler: |ecs, call| authorize(ecs, call, Direction::Ingress),
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP], INGRESS_PERMISSIONS, INGRESS_FLAT],
    },
    Action {
        name: "AuthorizeSecurityGroupEgress",
        about: "Adds up to 100 outbound rules.",
        role: KeyRole::Editor,
        handler: |ecs, call| authorize(ecs, call, Direction::Egress),
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP], EGRESS_PERMISSIONS, EGRESS_FLAT],
    },
    Action {
        name: "ModifySecurityGroupRule",
        about: "Changes an inbound rule: the one of an id, or the description of the one with the given match.",
        role: KeyRole::Editor,
        handler: |ecs, call| modify(ecs, call, Direction::Ingress),
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP, text("SecurityGroupRuleId", "")], INGRESS_FLAT],
    },
    Action {
        name: "ModifySecurityGroupEgressRule",
        about: "Changes an outbound rule: the one of an id, or the description of the one with the given match.",
        role: KeyRole::Editor,
        handler: |ecs, call| modify(ecs, call, Direction::Egress),
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP, text("SecurityGroupRuleId", "")], EGRESS_FLAT],
    },
    Action {
        name: "RevokeSecurityGroup",
        about: "Removes up to 100 inbound rules, by their ids or by their match.",
        role: KeyRole::Editor,
        handler: |ecs, call| revoke(ecs, call, Direction::Ingress),
        parameters: &[
            &[REGION, CLIENT_TOKEN, GROUP, texts("SecurityGroupRuleId", "")],
            INGRESS_PERMISSIONS,
            INGRESS_FLAT,
        ],
    },
    Action {
        name: "RevokeSecurityGroupEgress",
        about: "Removes up to 100 outbound rules, by their ids or by their match.",
        role: KeyRole::Editor,
        handler: |ecs, call| revoke(ecs, call, Direction::Egress),
        parameters: &[
            &[REGION, CLIENT_TOKEN, GROUP, texts("SecurityGroupRuleId", "")],
            EGRESS_PERMISSIONS,
            EGRESS_FLAT,
        ],
    },
];

fn authorize<'a>(ecs: &'a Ecs, call: &'a Call, direction: Direction) -> ActionFuture<'a> {
    Box::pin(async move {
        let group = group(&ecs.service.snapshot(), call)?;
        let rules = permissions(call, direction, &group)?.into_iter().map(|(spec, _)| spec).collect();
        // A rule that is there is no error, and is not added again.
        let operation = Authorize::of(group.id.as_str(), direction, rules);
        submit(ecs, call, ErrorContext::Rules(direction), operation).await?;
        Ok(Response::done())
    })
}

/// The rules of a call, in the new form or the old one.
fn permissions(
    call: &Call,
    direction: Direction,
    group: &Group,
) -> Result<Vec<(sg_records::RuleSpec, bool)>, Fault> {
    let fields = call.fields();
    let elements = fields.objects("Permissions")?;
    let both = || {
        Fault::bad("InvalidParam.Permissions", "Permissions and parameters of one rule cannot both be given.")
    };
    if !elements.is_empty() && is_flat(&fields) {
        return Err(both());
    }
    if elements.len() > MOST {
        let message = format!("Permissions holds {} rules; {MOST} are allowed.", elements.len());
        return Err(Fault::bad("InvalidParam.Permissions", message));
    }
    let all = if elements.is_empty() { vec![fields] } else { elements };
    all.iter()
        .map(|fields| {
            let permission = Parts::read(fields, direction)?.whole(direction, group)?;
            Ok((permission.spec, permission.with_priority))
        })
        .collect()
}

fn modify<'a>(ecs: &'a Ecs, call: &'a Call, direction: Direction) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let group = group(&state, call)?;
        let fields = call.fields();
        let parts = Parts::read(&fields, direction)?;
        let operation = if let Some(id) = fields.text("SecurityGroupRuleId") {
            let rule = RuleId::from(id);
            let known = state.rule(&rule).filter(|known| known.group == group.id);
            let missing = || {
                let message = "The specified SecurityGroupRuleId does not exist.";
                Fault::not_found("InvalidSecurityGroupRuleId.NotFound", message)
            };
            let known = known.ok_or_else(missing)?;
            if is_classic(&group) && parts.nic_type.is_some_and(|wanted| wanted != known.spec.nic_type) {
                let message = "The NicType of a rule cannot be modified.";
                return Err(Fault::bad("InvalidOperation.ModifyNicType", message));
            }
            changes(parts, id.to_owned(), direction)
        } else {
            // The old form identifies the rule by its match, and changes its description.
            let description = parts.description.clone();
            let permission = parts.whole(direction, &group)?;
            let same = RevokeMatching {
                group: group.id.to_string(),
                direction,
                rules: vec![(permission.spec, permission.with_priority)],
            };
            let found = ecs.service.try_out(&same).map_err(|refusal| about(&refusal, direction))?;
            let missing = || {
                let message = "The specified rule does not exist in the specified security group.";
                Fault::not_found("SecurityGroupRule.NotFound", message)
            };
            let rule = found.first().ok_or_else(missing)?.to_string();
            ModifyRule { rule, direction: Some(direction), description, ..ModifyRule::default() }
        };
        submit(ecs, call, ErrorContext::Rules(direction), operation).await?;
        Ok(Response::done())
    })
}

fn about(refusal: &Refusal, direction: Direction) -> Fault {
    fault(refusal, ErrorContext::Rules(direction))
}

fn changes(parts: Parts, rule: String, direction: Direction) -> ModifyRule {
    let Parts { action, priority, protocol, ports, source_ports, remote, local, nic_type: _, description } =
        parts;
    ModifyRule {
        rule,
        group: None,
        direction: Some(direction),
        action,
        priority,
        protocol,
        ports,
        source_ports,
        numbers: HeaderNumbers::NONE,
        // A rule of one family keeps it.
        family: None,
        remote,
        local,
        enabled: None,
        description,
    }
}

fn revoke<'a>(ecs: &'a Ecs, call: &'a Call, direction: Direction) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let group = group(&state, call)?;
        let fields = call.fields();
        let ids = fields.list("SecurityGroupRuleId")?;
        if ids.is_empty() {
            let mut rules = permissions(call, direction, &group)?;
            // In the classic network, an unspecified NIC type means either.
            if is_classic(&group) && fields.text("NicType").is_none() {
                let other = rules.iter().cloned().map(|(mut spec, with_priority)| {
                    spec.nic_type = NicType::Intranet;
                    (spec, with_priority)
                });
                rules = other.chain(rules.iter().cloned()).collect();
            }
            let operation = RevokeMatching { group: group.id.to_string(), direction, rules };
            submit(ecs, call, ErrorContext::Rules(direction), operation).await?;
            return Ok(Response::done());
        }
        if is_flat(&fields) || !fields.objects("Permissions")?.is_empty() {
            let message = "SecurityGroupRuleId and Permissions cannot both be given.";
            return Err(Fault::bad("InvalidParam.Permissions", message));
        }
        if ids.len() > MOST {
            let message = format!("{} rule ids; {MOST} are allowed.", ids.len());
            return Err(Fault::bad("InvalidParam.SecurityGroupRuleId", message));
        }
        let unknown = |id: &str| {
            let rule = state.rule(&RuleId::from(id));
            rule.is_none_or(|rule| rule.group != group.id || rule.direction != direction)
        };
        if let Some(id) = ids.iter().find(|id| unknown(id)) {
            let code = match direction {
                Direction::Ingress => "InvalidParam.SecurityGroupRuleId",
                Direction::Egress => "InvalidSecurityGroupRule.RuleNotExist",
            };
            let id: String = id.chars().take(64).collect();
            return Err(Fault::bad(
                code,
                format!("The specified rule {id} does not exist in the security group."),
            ));
        }
        let rules = ids.into_iter().map(std::borrow::Cow::into_owned).collect();
        let operation = Revoke { group: group.id.to_string(), direction: Some(direction), rules };
        let done = submit(ecs, call, ErrorContext::Rules(direction), operation).await;
        match done {
            Err(fault) if fault.code == "InvalidParam.DuplicatePermissions" => {
                Err(fault.named("InvalidParam.SecurityGroupRuleIdRepeated"))
            }
            done => done.map(|_| Response::done()),
        }
    })
}
