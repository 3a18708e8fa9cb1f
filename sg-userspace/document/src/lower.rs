//! The tree → a policy.

use std::{collections::BTreeMap, net::IpAddr};

use sg_model::{
    Direction, Established, Expectation, Group, GroupIndex, GroupType, Invalid, MidStream, Nic, Place,
    Policy, PolicyParts, PortListIndex, PortRange, Precedence, PrefixListIndex, Prefixes, Rule, Takeover,
    Unmatched, identifies,
};

use super::{
    address,
    blame::{blame, follows, node_of},
    elsewhere,
    error::Notice,
    guard::{self, Guard, Unread},
    lowering::Lowering,
    names::{Directory, Looks},
    node::{Node, Value},
    ports,
    read::{Failure, Failures, Fields, Keys, Read},
    rule, shadow,
};

/// The keys that only policies have at their beginning.
pub(super) const SECTIONS: [&str; 4] = ["groups", "nics", "prefix_lists", "port_lists"];

/// The keys of a document.
pub(super) const KEYS: Keys = Keys {
    allowed: &[
        "precedence",
        "established",
        "mid_stream",
        "takeover",
        "default",
        "prefix_lists",
        "port_lists",
        "members",
        "groups",
        "nics",
        "allow_unfiltered",
        "keep",
        "keep_ssh",
        "tests",
    ],
    meant: &[
        ("order", "precedence"),
        ("default_action", "default"),
        ("default_policy", "default"),
        ("address_lists", "prefix_lists"),
        ("ipsets", "prefix_lists"),
        ("security_groups", "groups"),
        ("securitygroups", "groups"),
        ("interfaces", "nics"),
        ("devices", "nics"),
        ("ports", "nics"),
        ("test", "tests"),
        ("expectations", "tests"),
    ],
};

const GROUP_KEYS: Keys = Keys {
    allowed: &["type", "inner_access", "description", "ingress", "egress"],
    meant: &[
        ("inbound", "ingress"),
        ("inbound_rules", "ingress"),
        ("incoming", "ingress"),
        ("input", "ingress"),
        ("in", "ingress"),
        ("outbound", "egress"),
        ("outbound_rules", "egress"),
        ("outgoing", "egress"),
        ("output", "egress"),
        ("out", "egress"),
        ("comment", "description"),
        ("kind", "type"),
    ],
};

const PRECEDENCES: &[(&str, Precedence)] =
    &[("sequence", Precedence::Sequence), ("merged", Precedence::Merged)];

const ESTABLISHED: &[(&str, Established)] =
    &[("revalidate", Established::Revalidate), ("keep", Established::Keep)];

const DEFAULTS: &[(&str, Unmatched)] = &[("drop", Unmatched::Drop), ("reject", Unmatched::Reject)];
const MID_STREAM: &[(&str, MidStream)] = &[("loose", MidStream::Loose), ("strict", MidStream::Strict)];

const GROUP_TYPES: &[(&str, GroupType)] =
    &[("basic", GroupType::Basic), ("enterprise", GroupType::Enterprise), ("closed", GroupType::Closed)];

const INNER_ACCESS: &[(&str, bool)] = &[("accept", true), ("drop", false)];

const PREFIX: &str =
    "write an address, CIDR or range, such as 203.0.113.0/24, 203.0.113.1-203.0.113.9 or \"2001:db8::/32\"";

/// The policy of a document, and what may not be meant.
pub(super) struct Lowered<'d> {
    pub(super) policy: Policy,
    /// What it says about changes, without the packets to keep.
    pub(super) guard: Guard,
    pub(super) keep: Unread<'d>,
    pub(super) tests: Vec<(&'d Node, Expectation)>,
    pub(super) warnings: Vec<(&'d Node, Notice)>,
}

/// Converts the tree of a document, or returns its failures: one or more, at most [`Failures::MOST`].
pub(super) fn lower(root: &Node) -> Result<Lowered<'_>, Vec<Failure<'_>>> {
    let mut lowering = Lowering::new();
    let (parts, tests) = lowering.document(root);
    let (guard, keep) = lowering.guard(root);
    let Lowering { mut failures, mut warnings, .. } = lowering;
    if !SECTIONS.iter().any(|key| root.get(key).is_some()) {
        // It is another kind of file, and may hold secrets: one of its words is enough to say so.
        failures.truncate(1);
    }
    let policy = match Policy::checked(parts, Failures::MOST) {
        Ok(policy) if failures.all().is_empty() => {
            guard::check(&policy, &keep, &mut failures);
            policy
        }
        Ok(_) => return Err(failures.into_all()),
        Err(Invalid { first, rest }) => {
            let read = failures.all().len();
            for invalid in [first].into_iter().chain(rest) {
                if read == 0 || !follows(root, &invalid, &failures.all()[..read]) {
                    failures.push(blame(root, invalid));
                }
            }
            return Err(failures.into_all());
        }
    };
    if !failures.all().is_empty() {
        return Err(failures.into_all());
    }
    if policy.nics().is_empty() {
        warnings.add(root, Notice::NothingProtected);
    }
    for (rule, notice) in shadow::shadowed(&policy) {
        if let Some(node) = node_of(root, &Place::Rule(rule)) {
            warnings.add(node, notice);
        }
    }
    Ok(Lowered { policy, guard, keep, tests, warnings: warnings.into_all(root) })
}

/// `takeover`: a number of seconds, or a word.
fn takeover(node: &Node) -> Read<'_, Takeover> {
    let read = match &node.value {
        Value::Integer(seconds) => u32::try_from(*seconds).ok().map(Takeover::Seconds),
        // A number in quotes is a text, here as elsewhere.
        Value::Text(text) => text.parse().ok().filter(|read| matches!(read, Takeover::Named(_))),
        _ => None,
    };
    read.ok_or_else(|| node.unfit(Takeover::ALLOWED))
}

impl<'d> Lowering<'d> {
    fn document(&mut self, root: &'d Node) -> (PolicyParts, Vec<(&'d Node, Expectation)>) {
        let fields = self.fields(root, &KEYS);
        let prefix_lists = self.field(fields, "prefix_lists", |me, node| me.named("a prefix list", node));
        let port_lists = self.field(fields, "port_lists", |me, node| me.named("a port list", node));
        let groups = self.field(fields, "groups", |me, node| me.named("a group", node));
        let [prefix_lists, port_lists, groups] =
            [prefix_lists, port_lists, groups].map(Option::unwrap_or_default);
        self.prefix_lists = Directory::new("prefix list", PrefixListIndex, &prefix_lists);
        self.port_lists = Directory::new("port list", PortListIndex, &port_lists);
        self.groups = Directory::new("group", GroupIndex, &groups);
        self.precedence =
            self.field(fields, "precedence", |_, node| node.one_of(PRECEDENCES)).unwrap_or_default();
        self.established =
            self.field(fields, "established", |_, node| node.one_of(ESTABLISHED)).unwrap_or_default();
        self.mid_stream =
            self.field(fields, "mid_stream", |_, node| node.one_of(MID_STREAM)).unwrap_or_default();
        self.takeover = self.field(fields, "takeover", |_, node| takeover(node)).unwrap_or_default();
        self.default = self
            .field(fields, "default", |_, node| node.one_of_meant(DEFAULTS, elsewhere::ACTIONS))
            .unwrap_or_default();
        let parts = PolicyParts {
            prefix_lists: self.every(prefix_lists, |me, name, list| (name.to_owned(), me.prefixes(list))),
            port_lists: self.every(port_lists, |me, name, list| (name.to_owned(), me.port_ranges(list))),
            members: self.field(fields, "members", Self::members).unwrap_or_default(),
            groups: self.every(groups, Self::group),
            nics: self.field(fields, "nics", Self::nics).unwrap_or_default(),
        };
        let tests = self.field(fields, "tests", |me, node| me.tests(node, fields)).unwrap_or_default();
        (parts, tests)
    }

    fn tests(&mut self, node: &'d Node, fields: Fields<'d>) -> Read<'d, Vec<(&'d Node, Expectation)>> {
        let nics = fields.get("nics").and_then(|nics| nics.items("").ok()).into_iter().flatten();
        let devices = nics.filter_map(|nic| {
            let device = nic.get("device")?;
            Some((device.text().ok()?, device))
        });
        let devices: Vec<_> = devices.collect();
        let nics = Directory::new("NIC", |position| position, &devices);
        let allowed = "write a list of tests, - { nic: eth0, direction: ingress, protocol: tcp, ports: 22, expect: drop }";
        let all = self.each(node, allowed, |me, test| Ok((test, me.expectation(test, &nics))))?;
        Ok(all.into_iter().filter_map(|(node, test)| Some((node, test?))).collect())
    }

    /// What the document says about changes to it; its probes are read once there is a policy.
    fn guard(&mut self, root: &'d Node) -> (Guard, Unread<'d>) {
        // Its unknown keys are known as failures.
        let fields = Fields { node: root, sound: true };
        let usual = Guard::default();
        let guard = Guard {
            allow_unfiltered: self.field(fields, "allow_unfiltered", Self::devices).unwrap_or_default(),
            keep: Vec::new(),
            ssh_ports: self.field(fields, "keep_ssh", Self::ssh_ports).unwrap_or(usual.ssh_ports),
        };
        (guard, self.field(fields, "keep", Self::probes).unwrap_or_default())
    }

    /// The entries of a section, as long as failures are looked for.
    fn every<T>(
        &mut self,
        entries: Vec<(&'d str, &'d Node)>,
        mut read: impl FnMut(&mut Self, &'d str, &'d Node) -> T,
    ) -> Vec<T> {
        let mut all = Vec::with_capacity(entries.len());
        for (name, node) in entries {
            if self.failures.is_full() {
                break;
            }
            all.push(read(self, name, node));
        }
        all
    }

    /// The groups of a document, or its lists of one kind: a name and a node each, in the order of the document.
    fn named(&mut self, what: &'static str, node: &'d Node) -> Read<'d, Vec<(&'d str, &'d Node)>> {
        let mut looks = Looks::default();
        let mut all = Vec::new();
        for (key, value) in node.entries("write a mapping, NAME: ...")? {
            if self.failures.is_full() {
                break;
            }
            self.keep(key.name(what).and_then(|name| looks.enter(what, name, key)));
            // Every entry keeps its place.
            all.push((key.text().unwrap_or_default(), value));
        }
        Ok(all)
    }

    fn prefixes(&mut self, list: &'d Node) -> Prefixes {
        let allowed = "write a list of addresses, CIDRs and ranges, [203.0.113.0/24]";
        let entries = self.each(list, allowed, |me, entry| me.prefix_entry(entry, PREFIX));
        self.keep(entries).unwrap_or_default().into_iter().collect()
    }

    fn port_ranges(&mut self, list: &'d Node) -> Vec<PortRange> {
        let ranges = self.each(list, "write a list of ports and ranges, [80, 8080-8090]", |_, ports| {
            ports::ranges(ports, &ports::IN_A_LIST)
        });
        self.keep(ranges).unwrap_or_default().concat()
    }

    fn members(&mut self, node: &'d Node) -> Read<'d, BTreeMap<GroupIndex, Vec<IpAddr>>> {
        let mut all = BTreeMap::new();
        for (group, members) in node.entries("write a mapping, GROUP: [ADDRESS]")? {
            if self.failures.is_full() {
                break;
            }
            let group = self.groups.find(group);
            let group = self.keep(group);
            let members = self.each(members, "write a list of addresses, [10.0.0.5]", Self::member);
            all.extend(group.zip(self.keep(members)));
        }
        Ok(all)
    }

    fn member(&mut self, node: &'d Node) -> Read<'d, IpAddr> {
        let address = address::address(node)?;
        if !identifies(address) {
            self.warn(node, Notice::LinkLocalMember { address });
        }
        Ok(address)
    }

    fn group(&mut self, name: &str, node: &'d Node) -> Group {
        let fields = self.fields(node, &GROUP_KEYS);
        let kind = self.field(fields, "type", |_, node| node.one_of(GROUP_TYPES)).unwrap_or(GroupType::Basic);
        let inner_access =
            self.field(fields, "inner_access", |_, node| node.one_of_meant(INNER_ACCESS, elsewhere::ACTIONS));
        Group {
            name: name.to_owned(),
            kind,
            inner_access: inner_access.unwrap_or(kind.is_open()),
            description: self.field(fields, "description", |_, node| rule::description(node)).flatten(),
            ingress: self.rules(fields, name, Direction::Ingress),
            egress: self.rules(fields, name, Direction::Egress),
        }
    }

    fn rules(&mut self, fields: Fields<'d>, group: &str, direction: Direction) -> Vec<Rule> {
        let key = direction.name();
        let rules = self.field(fields, key, |me, list| {
            let mut position = 0;
            me.each(list, "write a list of rules, - { protocol: tcp, ports: 22 }", |me, node| {
                let rule = me.rule(node, direction, || format!("{group}/{key}/{position}"));
                position += 1;
                Ok((rule, node))
            })
        });
        let rules: Vec<(Rule, &Node)> = rules.unwrap_or_default();
        let mut looks = Looks::default();
        for (rule, node) in &rules {
            let entered = looks.enter("a rule", &rule.id, node.get("id").unwrap_or(node));
            self.keep(entered);
        }
        rules.into_iter().map(|(rule, _)| rule).collect()
    }

    fn nics(&mut self, node: &'d Node) -> Read<'d, Vec<Nic>> {
        self.each(node, "write a list of NICs, - { device: eth0, groups: [NAME] }", |me, nic| Ok(me.nic(nic)))
    }
}
