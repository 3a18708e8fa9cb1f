//! Applies the rules of one group of a document. A rule whose content is unchanged keeps its id, whatever its name and position,
//! so its counters continue.
//!
//! It must never change rules that were added by hand. Called by `Plan`.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
};

use sg_api_types::Happens;
use sg_records::{
    Action, Direction, Group, GroupId, NicType, PortSet, Ports, Protocol, Remote, Rule, RuleSpec,
};
use sg_store::Key;

use super::plan::Plan;
use crate::{
    Kind, Refusal,
    rule_check::{Strictness, checked},
    rules::put_rules,
};

/// Makes the rules of a group those of the document.
pub(super) fn make(plan: &mut Plan<'_>, id: &GroupId, wanted: &sg_model::Group) -> Result<(), Refusal> {
    let Some(group) = plan.tx.group(id).map(|group| Group::clone(group)) else { return Ok(()) };
    for direction in Direction::ALL {
        // A rule without a name was added by hand.
        let there =
            plan.tx.rules_of(id).filter(|rule| rule.direction == direction && !rule.spec.name.is_empty());
        let mut left: Vec<Rule> = there.map(|rule| Rule::clone(rule)).collect();
        let mut specs: VecDeque<RuleSpec> = VecDeque::new();
        for rule in wanted.rules(direction.into()) {
            let spec = spec(plan, rule);
            specs.push_back(checked(plan.tx, &group, &spec, Strictness::Document)?);
        }
        // First rules with the same content, then those with the same name, then new ones.
        let mut by_spec: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, rule) in left.iter().enumerate() {
            by_spec.entry(said(&rule.spec)).or_default().push(place);
        }
        let mut taken = vec![false; left.len()];
        let mut rest = Vec::new();
        for spec in specs {
            let places = by_spec.get_mut(&said(&spec));
            let same_name =
                |places: &Vec<usize>| places.iter().position(|&place| left[place].spec.name == spec.name);
            let found = places.and_then(|places| {
                let at = same_name(places).or_else(|| (!places.is_empty()).then_some(0))?;
                Some(places.remove(at))
            });
            match found {
                Some(place) => {
                    taken[place] = true;
                    if left[place].spec != spec {
                        change(plan, &left[place], spec);
                    }
                }
                None => rest.push(spec),
            }
        }
        let mut new = Vec::new();
        for spec in rest {
            match (0..left.len()).find(|&place| !taken[place] && left[place].spec.name == spec.name) {
                Some(place) => {
                    taken[place] = true;
                    change(plan, &left[place], spec);
                }
                None => new.push(spec),
            }
        }
        let mut place = 0;
        left.retain(|_| {
            place += 1;
            !taken[place - 1]
        });
        for rule in left {
            plan.tx.delete(Key::Rule(rule.id.clone()));
            plan.note(
                Happens::Remove,
                Kind::Rule,
                rule.id.as_str(),
                &rule.spec.name,
                vec![summary(&rule.spec)],
            );
        }
        for rule in put_rules(plan.tx, id, direction, new) {
            plan.note(Happens::Add, Kind::Rule, rule.id.as_str(), &rule.spec.name, vec![summary(&rule.spec)]);
        }
    }
    Ok(())
}

fn change(plan: &mut Plan<'_>, rule: &Rule, spec: RuleSpec) {
    let detail = match (summary(&rule.spec), summary(&spec)) {
        (before, after) if before == after => format!("now called {:?}", spec.name),
        (before, after) => format!("{before} → {after}"),
    };
    plan.note(Happens::Change, Kind::Rule, rule.id.as_str(), &spec.name, vec![detail]);
    plan.tx.put(Rule { spec, ..rule.clone() });
}

/// The content of a rule, without its name.
fn said(spec: &RuleSpec) -> String {
    let nameless = RuleSpec { name: String::new(), ..spec.clone() };
    serde_json::to_string(&nameless).unwrap_or_default()
}

/// A rule in one line.
fn summary(spec: &RuleSpec) -> String {
    let mut text = format!("{} {} {}", spec.action, spec.priority, spec.protocol);
    let ports = [("ports", &spec.ports), ("from ports", &spec.source_ports)];
    for (what, ports) in ports.into_iter().filter(|(_, ports)| !ports.is_any()) {
        let _ = write!(text, " {what} {ports}");
    }
    if let Some(kind) = spec.icmp_type {
        let _ = write!(text, " type {kind}");
        text += &spec.icmp_code.map(|code| format!(" code {code}")).unwrap_or_default();
    }
    let _ = write!(text, " remote {}", spec.remote);
    text += &spec.local.map(|local| format!(" local {local}")).unwrap_or_default();
    if !spec.enabled {
        text += " (not enabled)";
    }
    text
}

/// The rule of a document, with ids in place of references.
fn spec(plan: &Plan<'_>, rule: &sg_model::Rule) -> RuleSpec {
    let ports = |ports: &sg_model::Ports| match ports {
        sg_model::Ports::Any => Ports::Any,
        sg_model::Ports::Ranges(ranges) => Ports::Ranges(PortSet::of(ranges)),
        sg_model::Ports::List(list) => Ports::List(plan.port_lists[list.0].clone()),
    };
    let plain = |protocol| RuleSpec::accept(protocol);
    let service = match &rule.service {
        sg_model::Service::All => plain(Protocol::All),
        sg_model::Service::Other(number) => plain(Protocol::Number(*number)),
        sg_model::Service::Ported { protocol, destination, source } => RuleSpec {
            ports: ports(destination),
            source_ports: ports(source),
            ..plain(Protocol::Number(*protocol))
        },
        sg_model::Service::Icmp { family, message } => RuleSpec {
            icmp_type: message.map(|message| message.kind),
            icmp_code: message.and_then(|message| message.code),
            ..plain(Protocol::Number(match family {
                sg_model::Family::V4 => 1,
                sg_model::Family::V6 => 58,
            }))
        },
    };
    RuleSpec {
        action: match rule.action {
            sg_model::Action::Accept => Action::Accept,
            sg_model::Action::Drop => Action::Drop,
            sg_model::Action::Reject => Action::Reject,
        },
        priority: rule.priority.get(),
        remote: match rule.remote {
            sg_model::Remote::Any => Remote::Any,
            sg_model::Remote::Net(net) => Remote::Net(net),
            sg_model::Remote::Group(group) => Remote::Group(plan.groups[group.0].clone()),
            sg_model::Remote::PrefixList(list) => Remote::PrefixList(plan.prefix_lists[list.0].clone()),
        },
        local: rule.local,
        nic_type: NicType::Intranet,
        enabled: rule.enabled,
        name: rule.id.clone(),
        description: rule.description.clone().unwrap_or_default(),
        ..service
    }
}
