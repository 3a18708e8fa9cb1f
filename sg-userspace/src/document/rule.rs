//! One rule.

use sg_common::packet::protocol::{self, is_extension_header};

use super::{
    error::Notice,
    lower::Lowering,
    node::{Node, Value},
    ports,
    problem::Problem,
    read::{Fields, Read},
};
use crate::model::{Action, IcmpMessage, Ports, Priority, Remote, Rule, Service};

const KEYS: &[&str] = &[
    "action",
    "priority",
    "protocol",
    "ports",
    "source_ports",
    "icmp_type",
    "icmp_code",
    "remote",
    "local",
    "enabled",
    "id",
    "description",
];

const ACTIONS: &[(&str, Action)] =
    &[("accept", Action::Accept), ("drop", Action::Drop), ("reject", Action::Reject)];

const PROTOCOL: &str = "write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255";

/// The protocols that have ports, for messages.
const WITH_PORTS: &str = "tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite)";

const REMOTE: &str = "write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }";

const LOCAL: &str = "write an address or CIDR, such as 10.0.0.5 or \"2001:db8::/32\"; leave the key out for \
                     every address of the NIC";

/// Protocols by name, in lower case. `None` means every protocol.
const PROTOCOLS: &[(&str, Option<u8>)] = &[
    ("tcp", Some(protocol::TCP)),
    ("udp", Some(protocol::UDP)),
    ("icmp", Some(protocol::ICMP)),
    ("icmpv6", Some(protocol::ICMPV6)),
    ("gre", Some(protocol::GRE)),
    ("sctp", Some(protocol::SCTP)),
    ("all", None),
];

impl<'d> Lowering<'d> {
    /// A rule, with `default_id` unless it has an `id`.
    pub(super) fn rule(&mut self, node: &'d Node, default_id: impl FnOnce() -> String) -> Read<'d, Rule> {
        let fields = node.fields(KEYS)?;
        let id = fields.read("id", |id| id.name("a rule"))?;
        let service = self.service(fields)?;
        Ok(Rule {
            id: id.map_or_else(default_id, str::to_owned),
            enabled: fields.read("enabled", Node::boolean)?.unwrap_or(true),
            action: fields.read("action", |action| action.one_of(ACTIONS))?.unwrap_or(Action::Accept),
            priority: fields.read("priority", priority)?.unwrap_or(Priority::FIRST),
            service,
            remote: fields.read("remote", |remote| self.remote(remote))?.unwrap_or(Remote::Any),
            local: fields.read("local", |local| self.prefix(local, LOCAL))?,
            description: fields.read("description", description)?.flatten(),
        })
    }

    fn service(&mut self, fields: Fields<'d>) -> Read<'d, Service> {
        let named = fields.required("protocol", PROTOCOL)?;
        let mut service = protocol_of(named)?;
        match &mut service {
            Service::Ported { destination, source, .. } => {
                *destination = fields.read("ports", |ports| self.ports(ports))?.unwrap_or(Ports::Any);
                *source = fields.read("source_ports", |ports| self.ports(ports))?.unwrap_or(Ports::Any);
            }
            Service::Icmp { message, .. } => *message = icmp_message(fields)?,
            Service::Other(protocol) if is_extension_header(*protocol) => {
                self.warn(named, Notice::ExtensionHeader { protocol: *protocol });
            }
            Service::All | Service::Other(_) => {}
        }
        if !matches!(service, Service::Ported { .. }) {
            refuse(fields, named, &["ports", "source_ports"], WITH_PORTS)?;
        }
        if !matches!(service, Service::Icmp { .. }) {
            refuse(fields, named, &["icmp_type", "icmp_code"], "icmp and icmpv6")?;
        }
        Ok(service)
    }

    fn ports(&self, node: &'d Node) -> Read<'d, Ports> {
        match node.value {
            Value::Map(_) => {
                let list = node.fields(&["port_list"])?.required("port_list", ports::IN_A_RULE)?;
                Ok(Ports::List(self.port_lists.find(list)?))
            }
            _ => ports::ranges(node, ports::IN_A_RULE).map(Ports::Ranges),
        }
    }

    fn remote(&mut self, node: &'d Node) -> Read<'d, Remote> {
        match &node.value {
            Value::Map(_) => {
                let fields = node.fields(&["group", "prefix_list"])?;
                match (fields.get("group"), fields.get("prefix_list")) {
                    (Some(group), None) => self.groups.find(group).map(Remote::Group),
                    (None, Some(list)) => self.prefix_lists.find(list).map(Remote::PrefixList),
                    _ => Err(node.unfit(REMOTE)),
                }
            }
            Value::Text(text) if text == "any" => Ok(Remote::Any),
            _ => self.prefix(node, REMOTE).map(Remote::Net),
        }
    }
}

/// A text for people; an empty value means none.
pub(super) fn description(node: &Node) -> Read<'_, Option<String>> {
    if node.is_null() { Ok(None) } else { node.visible().map(|text| Some(text.to_owned())) }
}

fn priority(node: &Node) -> Read<'_, Priority> {
    let (low, high) = (Priority::FIRST.get(), Priority::LAST.get());
    let number = node.number("a priority", low, high)?;
    Ok(Priority::new(number).unwrap_or(Priority::FIRST))
}

fn protocol_of(node: &Node) -> Read<'_, Service> {
    let number = match &node.value {
        Value::Integer(number) => u8::try_from(*number).ok().map(Some),
        Value::Text(text) => {
            PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, number)| number)
        }
        _ => None,
    };
    let number = number.ok_or_else(|| node.unfit(PROTOCOL))?;
    Ok(number.map_or(Service::All, Service::of))
}

fn icmp_message(fields: Fields<'_>) -> Read<'_, Option<IcmpMessage>> {
    let kind = fields.read("icmp_type", |node| node.number("an ICMP type", 0, u8::MAX))?;
    let code = fields.read("icmp_code", |node| node.number("an ICMP code", 0, u8::MAX))?;
    match (kind, fields.get("icmp_code")) {
        (None, Some(written)) => Err(written.fails(Problem::CodeWithoutType)),
        (kind, _) => Ok(kind.map(|kind| IcmpMessage { kind, code })),
    }
}

/// Refuses keys that belong to other protocols than the one in `named`.
fn refuse<'d>(fields: Fields<'d>, named: &Node, keys: &[&'static str], owners: &'static str) -> Read<'d, ()> {
    let present = keys.iter().find_map(|&key| Some((key, fields.get(key)?)));
    present.map_or(Ok(()), |(key, node)| {
        let protocol = named.excerpt().to_string().replace('"', "");
        Err(node.fails(Problem::Misplaced { key, owners, protocol }))
    })
}
