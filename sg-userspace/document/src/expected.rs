//! One test of a document: packets, and what must happen to all of them. It must never ask whether it holds: who applies the document
//! does. `lower` calls it.

use sg_common::flow::Direction;
use sg_model::{Action, End, Expectation, GroupIndex, Match, MatchField, Over, Packets, Remote};

use super::{
    elsewhere,
    lowering::Lowering,
    names::Directory,
    node::{Node, Value},
    problem::Problem,
    read::{Keys, Read},
    rule::{ACTIONS, description},
};

/// The match fields that a test has: all but those that name an end as a rule sees it.
const FIELDS: usize = MatchField::ALL.len() - 2;

/// The keys of a test.
const ALLOWED: &[&str] = &{
    let mut keys = [""; FIELDS + 8];
    (keys[0], keys[1], keys[2], keys[3], keys[4]) = ("nic", "group", "direction", "from", "to");
    let (mut at, mut field) = (5, 0);
    while field < MatchField::ALL.len() {
        if !matches!(MatchField::ALL[field], MatchField::Remote | MatchField::Local) {
            keys[at] = MatchField::ALL[field].key();
            at += 1;
        }
        field += 1;
    }
    (keys[at], keys[at + 1], keys[at + 2]) = ("expect", "rule", "description");
    keys
};

const KEYS: Keys = Keys {
    allowed: ALLOWED,
    meant: &[
        ("device", "nic"),
        ("interface", "nic"),
        ("source", "from"),
        ("src", "from"),
        ("destination", "to"),
        ("dst", "to"),
        ("dest", "to"),
        ("port", "ports"),
        ("dport", "ports"),
        ("dst_port", "ports"),
        ("source_port", "source_ports"),
        ("sport", "source_ports"),
        ("proto", "protocol"),
        ("ethertype", "family"),
        ("action", "expect"),
        ("verdict", "expect"),
        ("expected", "expect"),
        ("result", "expect"),
        ("id", "rule"),
        ("name", "description"),
        ("comment", "description"),
        ("remote", "from or to"),
        ("local", "from or to"),
    ],
};

const DIRECTIONS: &[(&str, Direction)] = &[("ingress", Direction::Ingress), ("egress", Direction::Egress)];

const MEANT_DIRECTIONS: &[(&str, &str)] = &[
    ("in", "ingress"),
    ("inbound", "ingress"),
    ("incoming", "ingress"),
    ("out", "egress"),
    ("outbound", "egress"),
    ("outgoing", "egress"),
];

const DIRECTION: &str = "write ingress or egress, as the owner of the NIC sees it";
const EXPECT: &str = "write accept, drop or reject";
const OVER: &str = "write nic: DEVICE or group: NAME; a test of a group is one of every NIC that holds it";
const NO_REMOTES: &str =
    "write any, an address or CIDR, { group: NAME }, { prefix_list: NAME }, or a list of these";

impl<'d> Lowering<'d> {
    /// A test; `None` if what it needs is missing or cannot be read, which is a failure.
    pub(super) fn expectation(&mut self, node: &'d Node, nics: &Directory<'d, usize>) -> Option<Expectation> {
        let fields = self.fields(node, &KEYS);
        let over = match (fields.get("nic"), fields.get("group")) {
            (Some(nic), None) => {
                let known = nics.find(nic).and_then(|_| nic.text());
                self.keep(known).map(|device| Over::Device(device.to_owned()))
            }
            (None, Some(group)) => {
                let found = self.groups.find(group);
                self.keep(found).map(|group: GroupIndex| Over::Group(group))
            }
            (Some(_), Some(group)) => {
                self.keep::<()>(Err(group.unfit("a test has nic or group, not both; write two tests")));
                None
            }
            (None, None) => {
                if fields.sound {
                    self.keep::<()>(Err(node.fails(Problem::Missing { key: "nic", allowed: OVER })));
                }
                None
            }
        };
        let direction = self.required(fields, "direction", DIRECTION);
        let direction = direction.and_then(|node| {
            let read = node.one_of_meant(DIRECTIONS, MEANT_DIRECTIONS);
            self.keep(read)
        });
        let service: Match = self.of_protocol(fields);
        let from = self.field(fields, "from", Self::end).unwrap_or_default();
        let to = self.field(fields, "to", Self::end).unwrap_or_default();
        let action = self.required(fields, "expect", EXPECT);
        let action = action.and_then(|node| {
            let read = node.one_of_meant(ACTIONS, elsewhere::ACTIONS);
            self.keep(read)
        });
        let rule = self.field(fields, "rule", |_, node| node.name("a rule"));
        self.field(fields, "description", |_, node| description(node));
        let (Some(over), Some(direction), Some(action)) = (over, direction, action) else { return None };
        Some(expectation(over, direction, [from, to], service, action, rule))
    }

    /// Any of several remotes, or one.
    fn end(&mut self, node: &'d Node) -> Read<'d, End> {
        let of = match &node.value {
            Value::List(items) if items.is_empty() => return Err(node.unfit(NO_REMOTES)),
            Value::List(_) => self.each(node, NO_REMOTES, Self::remote)?,
            _ => vec![self.remote(node)?],
        };
        let is_any = of.contains(&Remote::Any);
        Ok(End { of: if is_any { Vec::new() } else { of }, not_of: Vec::new() })
    }
}

fn expectation(
    over: Over,
    direction: Direction,
    [from, to]: [End; 2],
    service: Match,
    action: Action,
    rule: Option<&str>,
) -> Expectation {
    let (remote, local) = match direction {
        Direction::Ingress => (from, to),
        Direction::Egress => (to, from),
    };
    let packets =
        Packets { over, direction: Some(direction), family: None, remote, local, services: vec![service] };
    Expectation { packets, action, rule: rule.map(str::to_owned) }
}
