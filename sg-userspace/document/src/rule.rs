//! One rule.

use sg_common::packet::protocol::{self, is_extension_header};
use sg_model::{
    Action, Direction, HeaderNumbers, Match, MatchField, OnlyFamily, Ports, Priority, Protocol, Remote, Rule,
    Scope, Service,
};

use super::{
    elsewhere,
    error::Notice,
    lowering::Lowering,
    node::{Node, Value},
    ports,
    problem::Problem,
    read::{Failure, Fields, Keys, Read},
    words::{Excerpt, Near},
};

/// The keys of a rule: what it matches, among the others.
const KEYS: &[&str] = &{
    let mut keys = [""; MatchField::ALL.len() + 5];
    (keys[0], keys[1]) = ("action", "priority");
    let mut at = 2;
    while at < MatchField::ALL.len() + 2 {
        keys[at] = MatchField::ALL[at - 2].key();
        at += 1;
    }
    (keys[at], keys[at + 1], keys[at + 2]) = ("enabled", "id", "description");
    keys
};

/// What other programs call the keys of every rule.
macro_rules! meant {
    ($($direction:tt)*) => { &[
        $($direction)*
        ("port", "ports"),
        ("port_range", "ports"),
        ("port_ranges", "ports"),
        ("dport", "ports"),
        ("dports", "ports"),
        ("dst_port", "ports"),
        ("destination_port", "ports"),
        ("destination_ports", "ports"),
        ("to_port", "ports"),
        ("from_port", "ports"),
        ("sport", "source_ports"),
        ("sports", "source_ports"),
        ("src_port", "source_ports"),
        ("source_port", "source_ports"),
        ("proto", "protocol"),
        ("ip_protocol", "protocol"),
        ("ethertype", "family"),
        ("ether_type", "family"),
        ("address_family", "family"),
        ("ip_version", "family"),
        ("policy", "action"),
        ("verdict", "action"),
        ("target", "action"),
        ("effect", "action"),
        ("access", "action"),
        ("prio", "priority"),
        ("peer", "remote"),
        ("cidr", "remote"),
        ("cidrs", "remote"),
        ("cidr_ip", "remote"),
        ("cidr_blocks", "remote"),
        ("remote_ip", "remote"),
        ("comment", "description"),
        ("direction", "ingress: or egress: of the group"),
        ("name", "id"),
    ] };
}

/// Of an inbound rule, the source is the other end.
const INBOUND: Keys = Keys {
    allowed: KEYS,
    meant: meant! {
        ("source", "remote"),
        ("src", "remote"),
        ("source_ip", "remote"),
        ("src_ip", "remote"),
        ("source_address", "remote"),
        ("from", "remote"),
        ("saddr", "remote"),
        ("destination", "local"),
        ("dst", "local"),
        ("dest", "local"),
        ("destination_ip", "local"),
        ("dst_ip", "local"),
        ("to", "local"),
        ("daddr", "local"),
    },
};

/// Of an outbound rule, the destination is.
const OUTBOUND: Keys = Keys {
    allowed: KEYS,
    meant: meant! {
        ("source", "local"),
        ("src", "local"),
        ("source_ip", "local"),
        ("src_ip", "local"),
        ("from", "local"),
        ("saddr", "local"),
        ("destination", "remote"),
        ("dst", "remote"),
        ("dest", "remote"),
        ("destination_ip", "remote"),
        ("dst_ip", "remote"),
        ("destination_address", "remote"),
        ("to", "remote"),
        ("daddr", "remote"),
    },
};

const REMOTE_KEYS: Keys = Keys {
    allowed: &["group", "prefix_list"],
    meant: &[
        ("security_group", "group"),
        ("groups", "group"),
        ("prefix_lists", "prefix_list"),
        ("list", "prefix_list"),
        ("ipset", "prefix_list"),
    ],
};

const PORT_KEYS: Keys =
    Keys { allowed: &["port_list"], meant: &[("list", "port_list"), ("port_lists", "port_list")] };

pub(super) const ACTIONS: &[(&str, Action)] =
    &[("accept", Action::Accept), ("drop", Action::Drop), ("reject", Action::Reject)];

const PROTOCOL: &str = "write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255";

/// The protocols that have ports, for messages.
const WITH_PORTS: &str = "tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite)";

const REMOTE: &str = "write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }";

const REMOTES: &str =
    "a rule has one remote; list the addresses under prefix_lists and write { prefix_list: NAME }";

const LOCAL: &str = "write an address or CIDR, such as 10.0.0.5 or \"2001:db8::/32\"; leave the key out for \
                     every address of the NIC";

/// What other programs call protocols.
const MEANT_PROTOCOLS: &[(&str, &str)] = &[
    ("any", "all"),
    ("ip", "all"),
    ("*", "all"),
    ("icmp6", "icmpv6"),
    ("ipv6_icmp", "icmpv6"),
    ("icmp_v6", "icmpv6"),
    ("icmpv4", "icmp"),
    ("igmp", "2"),
    ("ipip", "4"),
    ("dccp", "33"),
    ("esp", "50"),
    ("ah", "51"),
    ("ospf", "89"),
    ("vrrp", "112"),
    ("udplite", "136"),
];

const FAMILIES: &[(&str, OnlyFamily)] = &[("ipv4", OnlyFamily::Ipv4), ("ipv6", OnlyFamily::Ipv6)];

/// What other programs call families.
const MEANT_FAMILIES: &[(&str, &str)] = &[
    ("4", "ipv4"),
    ("ip4", "ipv4"),
    ("v4", "ipv4"),
    ("inet", "ipv4"),
    ("6", "ipv6"),
    ("ip6", "ipv6"),
    ("v6", "ipv6"),
    ("inet6", "ipv6"),
];

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
    pub(super) fn rule(
        &mut self,
        node: &'d Node,
        direction: Direction,
        default_id: impl FnOnce() -> String,
    ) -> Rule {
        let fields = match direction {
            Direction::Ingress => self.fields(node, &INBOUND),
            Direction::Egress => self.fields(node, &OUTBOUND),
        };
        let id = self.field(fields, "id", |_, id| id.name("a rule"));
        let of_protocol = self.of_protocol(fields);
        let action =
            self.field(fields, "action", |_, action| action.one_of_meant(ACTIONS, elsewhere::ACTIONS));
        Rule {
            id: id.map_or_else(default_id, str::to_owned),
            enabled: self.field(fields, "enabled", |_, node| node.boolean()).unwrap_or(true),
            action: action.unwrap_or(Action::Accept),
            priority: self.field(fields, "priority", |_, node| priority(node)).unwrap_or(Priority::FIRST),
            matches: self.match_fields(fields, of_protocol),
            description: self.field(fields, "description", |_, node| description(node)).flatten(),
        }
    }

    fn match_fields(&mut self, fields: Fields<'d>, of_protocol: Match) -> Match {
        let Match { protocol, ports, source_ports, numbers, family, remote: _, local: _ } = of_protocol;
        Match {
            protocol,
            ports,
            source_ports,
            numbers,
            family,
            remote: self.field(fields, MatchField::Remote.key(), Self::remote).unwrap_or_default(),
            local: self.field(fields, MatchField::Local.key(), |me, local| me.prefix(local, LOCAL)),
        }
    }

    /// The protocol, and the fields that only some protocols have.
    pub(super) fn of_protocol(&mut self, fields: Fields<'d>) -> Match {
        let named = self.required(fields, MatchField::Protocol.key(), PROTOCOL);
        let protocol = named.and_then(|named| self.keep(protocol_of(named)));
        let mut read = Match::of(protocol.unwrap_or(Protocol::All));
        // What belongs to a protocol that is not known is read for its mistakes.
        let known = named.filter(|_| protocol.is_some());
        let own = match read.conditions().service {
            Service::Ported { .. } => Scope::Ported,
            Service::Icmp { .. } => Scope::Icmp,
            Service::All | Service::Other(_) => Scope::Every,
        };
        let is_read = |field: MatchField| known.is_none() || [Scope::Every, own].contains(&field.scope());
        if let Some(named) = known {
            if let Service::Other(protocol) = read.conditions().service
                && is_extension_header(protocol)
            {
                self.warn(named, Notice::ExtensionHeader { protocol });
            }
            for field in MatchField::ALL.into_iter().filter(|field| !is_read(*field)) {
                self.refuse(fields, named, field);
            }
        }
        if is_read(MatchField::Ports) {
            let mut ports =
                |field: MatchField| self.field(fields, field.key(), Self::ports).unwrap_or_default();
            (read.ports, read.source_ports) = (ports(MatchField::Ports), ports(MatchField::SourcePorts));
        }
        read.numbers = HeaderNumbers::read(|field, what, max| {
            is_read(field)
                .then(|| self.field(fields, field.key(), |_, node| node.number(what, 0, max)))
                .flatten()
        });
        if own == Scope::Icmp
            && let (None, Some(code)) =
                (fields.get(MatchField::IcmpType.key()), fields.get(MatchField::IcmpCode.key()))
        {
            self.keep::<()>(Err(code.fails(Problem::CodeWithoutType)));
        }
        if read.numbers.icmp_type.is_none() {
            // If the type cannot be read, that is a failure already.
            read.numbers.icmp_code = None;
        }
        read.family = self
            .field(fields, MatchField::Family.key(), |_, node| node.one_of_meant(FAMILIES, MEANT_FAMILIES));
        if known.is_some() { read } else { Match::of(Protocol::All) }
    }

    /// Refuses a key that belongs to other protocols than the one in `named`.
    fn refuse(&mut self, fields: Fields<'d>, named: &Node, misplaced: MatchField) {
        let Some(node) = fields.get(misplaced.key()) else { return };
        let owners = match misplaced.scope() {
            Scope::Every => return,
            Scope::Ported => WITH_PORTS,
            Scope::Icmp => "icmp and icmpv6",
        };
        let protocol = named.excerpt().to_string().replace('"', "");
        self.keep::<()>(Err(node.fails(Problem::Misplaced { key: misplaced.key(), owners, protocol })));
    }

    fn ports(&mut self, node: &'d Node) -> Read<'d, Ports> {
        match &node.value {
            Value::Map(_) => {
                let fields = self.fields(node, &PORT_KEYS);
                let list = self.required(fields, "port_list", ports::IN_A_RULE.allowed);
                list.map_or(Ok(Ports::Any), |list| self.port_lists.find(list).map(Ports::List))
            }
            Value::List(items) if !items.is_empty() => {
                let ranges = self
                    .each(node, ports::IN_A_RULE.allowed, |_, item| ports::ranges(item, &ports::IN_A_LIST));
                Ok(Ports::Ranges(ranges?.concat()))
            }
            _ => ports::ranges(node, &ports::IN_A_RULE).map(Ports::Ranges),
        }
    }

    pub(super) fn remote(&mut self, node: &'d Node) -> Read<'d, Remote> {
        match &node.value {
            Value::Map(_) => {
                let fields = self.fields(node, &REMOTE_KEYS);
                match (fields.get("group"), fields.get("prefix_list")) {
                    (Some(group), None) => self.groups.find(group).map(Remote::Group),
                    (None, Some(list)) => self.prefix_lists.find(list).map(Remote::PrefixList),
                    (Some(_), Some(_)) => Err(node.fails(Problem::TwoRemotes)),
                    (None, None) if fields.sound => Err(node.unfit(REMOTE)),
                    (None, None) => Ok(Remote::Any),
                }
            }
            Value::List(_) => Err(node.unfit(REMOTES)),
            Value::Text(text) if text == "any" => Ok(Remote::Any),
            Value::Text(text) => {
                let read = self.prefix(node, REMOTE).map(Remote::Net);
                let is_unfit = |failure: &Failure<'_>| matches!(*failure.problem, Problem::Unfit { .. });
                match read {
                    Err(failure) if is_unfit(&failure) => {
                        Err(self.named_remote(node, text).unwrap_or(failure))
                    }
                    read => read,
                }
            }
            _ => Err(node.unfit(REMOTE)),
        }
    }

    /// The failure of a remote that is the mere name of a group or list.
    fn named_remote(&self, node: &'d Node, name: &str) -> Option<Failure<'d>> {
        let (what, key) = if self.groups.has(name) {
            ("a group", "group")
        } else if self.prefix_lists.has(name) {
            ("a prefix list", "prefix_list")
        } else if name.eq_ignore_ascii_case("any") || matches!(name, "all" | "*" | "0.0.0.0" | "::") {
            return Some(node.unfit("write any, or leave the key out, for every address"));
        } else {
            return None;
        };
        let name = Excerpt::bare(name);
        Some(node.unfit(format!("that is the name of {what}; did you mean {{ {key}: {name} }}?")))
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

fn protocol_of(node: &Node) -> Read<'_, Protocol> {
    if let Value::Text(text) = &node.value {
        if let Some((protocol, port)) = elsewhere::service(text) {
            return Err(node.unfit(format!("write protocol: {protocol} with ports: {port}")));
        }
        if let Near(Some(meant)) = Near::meant(text, MEANT_PROTOCOLS) {
            return Err(node.unfit(format!("write {}", meant.unquoted())));
        }
    }
    let number = match &node.value {
        Value::Integer(-1) => return Err(node.unfit("write all for every protocol")),
        Value::Integer(number) => u8::try_from(*number).ok().map(Some),
        Value::Text(text) => {
            PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, number)| number)
        }
        _ => None,
    };
    let number = number.ok_or_else(|| node.unfit(PROTOCOL))?;
    Ok(number.map_or(Protocol::All, Protocol::Number))
}
