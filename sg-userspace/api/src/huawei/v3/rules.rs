//! Rules of v3.

use serde_json::{Value, json};
use sg_records::{Action, Family, PortSet, Ports, Protocol, Remote, Rule, shortest};
use sg_service::State;

use super::common::time;
use crate::huawei::{Call, ids};

/// A rule. Fields that it does not have are `null`.
///
/// What the vendor's rules do not have is left out: source ports, local addresses, the DSCP, types of ICMP messages. A port list is
/// shown as the ports that are in it.
pub(super) fn shown(call: &Call, state: &State, rule: &Rule) -> Value {
    let spec = &rule.spec;
    let (mut prefix, mut group, mut address_group) = (None, None, None);
    match &spec.matches.remote {
        Remote::Any => {}
        Remote::Net(net) => prefix = Some(shortest(*net)),
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
        "updated_at": time(rule.created),
    })
}

/// The family that a rule is for; none if it is for both.
fn family(state: &State, rule: &Rule) -> Option<Family> {
    match (&rule.spec.matches.remote, rule.spec.matches.protocol) {
        (Remote::Net(net), _) => Some(Family::of(*net)),
        (_, Protocol::Number(1)) => Some(Family::V4),
        (_, Protocol::Number(58)) => Some(Family::V6),
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
