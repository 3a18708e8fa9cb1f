//! A rule as a request of v3 describes it. The direction and the family are values; whether the fields fit together, the domain
//! decides.

use sg_records::{Action, Direction, Match, OnlyFamily, PortSet, Ports, Protocol, Remote, RuleSpec};
use sg_service::{DirectedRule, State};

use super::common::description;
use crate::huawei::{
    Call, Fault, Parameter, objects,
    parameters::{Fields, Kind, body},
    problem::{Problem, Subject},
};

/// The fields of a rule, under a name with its dot. Which priority is the default depends on the operation.
macro_rules! fields {
    ($prefix:literal, $priority:literal) => {
        &[
            body(concat!($prefix, "direction"), Kind::Text, "`ingress` or `egress`").required(),
            body(concat!($prefix, "ethertype"), Kind::Text, "`IPv4` or `IPv6`, in any case; default `IPv4`"),
            body(
                concat!($prefix, "protocol"),
                Kind::Text,
                "`tcp`, `udp`, `icmp`, `icmpv6` or 0 to 255; default: every protocol",
            ),
            body(concat!($prefix, "multiport"), Kind::Any, "`22,80-90`, or one number; default: every port"),
            body(
                concat!($prefix, "remote_ip_prefix"),
                Kind::Text,
                "an address or a prefix; one remote at most, and without one, everybody of the family",
            ),
            body(
                concat!($prefix, "remote_group_id"),
                Kind::Text,
                "the members of a group; one remote at most",
            ),
            body(
                concat!($prefix, "remote_address_group_id"),
                Kind::Text,
                "the addresses of an address group; one remote at most",
            ),
            body(
                concat!($prefix, "action"),
                Kind::Text,
                "`allow`, `deny` or, beyond the cloud, `reject`; default `allow`",
            ),
            body(
                concat!($prefix, "priority"),
                Kind::Integer,
                concat!("1 to 100, 1 being first; default ", $priority),
            ),
            body(concat!($prefix, "enabled"), Kind::Boolean, "default `true`"),
            body(concat!($prefix, "description"), Kind::Text, "up to 255 characters without `<` and `>`"),
        ]
    };
}

/// The fields of the one rule of a request.
pub(super) const OF_ONE: &[Parameter] = fields!("security_group_rule.", "100");
/// The fields of each rule of a batch.
pub(super) const OF_EACH: &[Parameter] = fields!("security_group_rules[].", "1");

/// The rule that `fields` describe. `priority` is that of a rule that says none.
///
/// # Errors
/// The first field that is malformed, or names an object that does not exist.
pub(super) fn rule(
    state: &State,
    call: &Call,
    fields: &Fields<'_>,
    priority: u8,
) -> Result<DirectedRule, Fault> {
    let malformed = |name: &str, wanted: &str| call.malformed(&fields.place(name), wanted);
    let direction = match fields.text("direction") {
        Some("ingress") => Direction::Ingress,
        Some("egress") => Direction::Egress,
        _ => return Err(malformed("direction", "ingress or egress is expected")),
    };
    let action = match fields.text("action") {
        None | Some("allow") => Action::Accept,
        Some("deny") => Action::Drop,
        // Our extension: the cloud has only the other two.
        Some("reject") => Action::Reject,
        Some(_) => return Err(malformed("action", "allow or deny is expected")),
    };
    let priority = match fields.integer("priority") {
        None => priority,
        Some(number) => u8::try_from(number)
            .ok()
            .filter(|number| (1..=100).contains(number))
            .ok_or_else(|| malformed("priority", "1 to 100 is expected"))?,
    };
    let family = family(call, fields)?;
    let protocol = match fields.text("protocol") {
        None | Some("") => Protocol::All,
        Some("icmpv6") => Protocol::Number(58),
        Some(text) => text
            .parse()
            .map_err(|_| malformed("protocol", "tcp, udp, icmp, icmpv6 or 0 to 255 is expected"))?,
    };
    let (ports, remote) = (ports(call, fields)?, remote(state, call, fields)?);
    let spec = RuleSpec {
        action,
        priority,
        matches: Match { ports, family: Some(family), remote, ..Match::of(protocol) },
        enabled: fields.boolean("enabled").unwrap_or(true),
        description: description(call, fields)?.unwrap_or_default(),
        ..RuleSpec::accept(protocol)
    };
    Ok(DirectedRule { direction: Some(direction), spec })
}

fn family(call: &Call, fields: &Fields<'_>) -> Result<OnlyFamily, Fault> {
    match fields.text("ethertype").unwrap_or("IPv4") {
        text if text.eq_ignore_ascii_case("IPv4") => Ok(OnlyFamily::Ipv4),
        text if text.eq_ignore_ascii_case("IPv6") => Ok(OnlyFamily::Ipv6),
        text => {
            let text: String = text.chars().take(64).collect();
            let message = format!(
                "Security group rule for ethertype {text} not supported. Allowed values are [IPv4, IPv6]: {}.",
                fields.place("ethertype")
            );
            Err(call.fault(Problem::Malformed, message))
        }
    }
}

/// One of the vendor's examples has a number.
fn ports(call: &Call, fields: &Fields<'_>) -> Result<Ports, Fault> {
    let Some(value) = fields.value("multiport") else { return Ok(Ports::Any) };
    let text = value.as_u64().map(|number| number.to_string());
    let text = text.as_deref().or_else(|| value.as_str());
    if text == Some("") {
        return Ok(Ports::Any);
    }
    let set = text.and_then(|text| text.parse::<PortSet>().ok());
    let set = set.filter(|set| set.ranges().iter().all(|range| range.first() > 0));
    let wanted =
        || call.malformed(&fields.place("multiport"), "ports from 1 to 65535 are expected, as 22,80-90");
    Ok(Ports::Ranges(set.ok_or_else(wanted)?.ranges().to_vec()))
}

/// The remote; without one, it is everybody of the family.
fn remote(state: &State, call: &Call, fields: &Fields<'_>) -> Result<Remote, Fault> {
    let given = ["remote_ip_prefix", "remote_group_id", "remote_address_group_id"]
        .map(|name| (name, fields.text(name).filter(|text| !text.is_empty())));
    let mut given = given.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let Some((name, text)) = given.next() else { return Ok(Remote::Any) };
    if let Some((other, _)) = given.next() {
        return Err(call.malformed(&fields.place(other), "a rule has one remote at most"));
    }
    match name {
        "remote_ip_prefix" => {
            let net = sg_records::net(text);
            let wanted = || call.malformed(&fields.place(name), "an address or a prefix is expected");
            Ok(Remote::Net(net.ok_or_else(wanted)?))
        }
        "remote_group_id" => {
            let group = objects::group(state, call, text);
            let group = group.ok_or_else(|| call.not_found(Subject::Group, "Security group", text))?;
            Ok(Remote::Group(group.id.clone()))
        }
        _ => {
            let list = objects::address_group(state, call, text);
            let list = list.ok_or_else(|| call.not_found(Subject::AddressGroup, "Address group", text))?;
            Ok(Remote::PrefixList(list.id.clone()))
        }
    }
}
