//! Differences of generated policies, held against the oracle: a packet is judged differently exactly if it is in a line, and as
//! that line says. The keys of packets are the edges of all fields, and their neighbours. `SG_DEEP=1` sends more than a million.

mod edges;
mod firewall;
mod lint;
mod rest;
mod search;
mod small;

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use fastrand::Rng;
use sg_common::packet::{has_ports, is_icmp};
use sg_model::{Direction, Family, HeaderNumbers, Policy};
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts, Reader};

use super::{AS_WRITTEN, Difference, Finder, Line, Nets, Options, Span, Start, WrittenOutcome, compare};

fn policy(document: &str) -> Policy {
    match sg_document::parse("generated", document.as_bytes()) {
        Ok(loaded) => loaded.policy,
        Err(error) => panic!("{error}\n{document}"),
    }
}

fn pick<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}

const REMOTES: [&str; 16] = [
    "any",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.1.2.2/31",
    "0.0.0.0/1",
    "192.0.2.0/24",
    "\"2001:db8::/32\"",
    "\"2001:db8:1::/48\"",
    "\"2001:db8:1::5\"",
    "\"fe80::/10\"",
    "{ group: friends }",
    "{ group: web }",
    "{ prefix_list: office }",
    "0.0.0.0/0",
    "\"::/0\"",
];

const SERVICES: [&str; 14] = [
    "protocol: all",
    "protocol: tcp",
    "protocol: tcp, ports: 80",
    "protocol: tcp, ports: \"22,80-90\"",
    "protocol: tcp, ports: 80, source_ports: \"1024-65535\"",
    "protocol: tcp, source_ports: \"0-1023\"",
    "protocol: udp, ports: 53",
    "protocol: udp, ports: { port_list: some }",
    "protocol: icmp",
    "protocol: icmp, icmp_type: 8",
    "protocol: icmp, icmp_type: 3, icmp_code: 4",
    "protocol: icmpv6, icmp_type: 128",
    "protocol: gre",
    "protocol: 50",
];

/// A rule as a document writes it, without an id.
fn rule(random: &mut Rng) -> String {
    let mut text = format!("{}, remote: {}", pick(random, &SERVICES), pick(random, &REMOTES));
    let families = ["icmp,", "icmpv6"].map(|name| text.contains(name));
    // A rule of two families is refused.
    if families[0]
        || text.contains("protocol: icmp ")
        || text.contains("icmp_type: 8,")
        || text.contains("icmp_type: 3,")
    {
        text = text.replace("\"2001:db8::/32\"", "any").replace("\"2001:db8:1::/48\"", "any");
        text = text
            .replace("\"2001:db8:1::5\"", "any")
            .replace("\"fe80::/10\"", "any")
            .replace("\"::/0\"", "any");
    }
    if families[1] {
        for net in
            ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.2.2/31", "0.0.0.0/1", "192.0.2.0/24", "0.0.0.0/0"]
        {
            text = text.replace(&format!("remote: {net}"), "remote: any");
        }
    }
    if random.u8(..6) == 0 && text.contains("remote: any") && !text.contains("icmp") {
        let _ = write!(text, ", local: {}", pick(random, &["10.9.0.5", "\"2001:db8:9::5\"", "10.9.0.0/24"]));
    }
    if random.u8(..8) == 0 {
        let _ = write!(text, ", dscp: {}", pick(random, &[0, 46]));
    }
    let _ = write!(text, ", priority: {}", random.u8(1..4));
    let _ = write!(text, ", action: {}", pick(random, &["accept", "drop", "reject"]));
    text
}

/// What a generated document is made of.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of documents")]
#[derive(Clone)]
struct Parts {
    rules: [Vec<String>; 4],
    friends: Vec<&'static str>,
    office: Vec<&'static str>,
    some: Vec<u16>,
    merged: bool,
    enterprise: bool,
    guest: bool,
    groups: &'static str,
    addresses: &'static str,
    reject: bool,
}

const FRIENDS: [&str; 5] = ["10.1.2.3", "10.1.2.9", "\"2001:db8:1::5\"", "192.0.2.77", "10.200.0.1"];
const OFFICE: [&str; 5] =
    ["10.1.0.0/16", "\"2001:db8:1::/48\"", "192.0.2.128/25", "10.1.2.3", "192.0.2.100-192.0.2.140"];

impl Parts {
    fn new(random: &mut Rng) -> Self {
        Self {
            rules: std::array::from_fn(|_| (0..random.usize(0..6)).map(|_| rule(random)).collect()),
            friends: FRIENDS.into_iter().filter(|_| random.bool()).collect(),
            office: OFFICE.into_iter().filter(|_| random.bool()).collect(),
            some: [53, 80, 8080].into_iter().filter(|_| random.bool()).collect(),
            merged: random.bool(),
            enterprise: random.bool(),
            guest: random.u8(..3) == 0,
            groups: pick(random, &["web", "ops", "web, ops", "ops, web"]),
            addresses: pick(random, &["10.9.0.5", "10.9.0.5, \"2001:db8:9::5\"", "10.1.2.3"]),
            reject: random.bool(),
        }
    }

    fn change(&mut self, random: &mut Rng) {
        let list = random.usize(..4);
        let place = random.usize(..=self.rules[list].len());
        match random.u8(..10) {
            0..4 => self.rules[list].insert(place, rule(random)),
            4 | 5 if place < self.rules[list].len() => drop(self.rules[list].remove(place)),
            6 if self.rules[list].len() > 1 => self.rules[list].reverse(),
            7 => self.friends = FRIENDS.into_iter().filter(|_| random.bool()).collect(),
            8 => self.office = OFFICE.into_iter().filter(|_| random.bool()).collect(),
            _ => match random.u8(..6) {
                0 => self.merged = !self.merged,
                1 => self.groups = pick(random, &["web", "ops", "web, ops", "ops, web"]),
                2 => self.guest = !self.guest,
                3 => self.reject = !self.reject,
                4 => self.some = [53, 80, 8080].into_iter().filter(|_| random.bool()).collect(),
                _ => self.addresses = pick(random, &["10.9.0.5", "10.9.0.5, \"2001:db8:9::5\"", "10.1.2.3"]),
            },
        }
    }

    fn document(&self) -> String {
        let list = |rules: &[String], name: &str| {
            let rules = rules
                .iter()
                .enumerate()
                .map(|(place, rule)| format!("      - {{ id: {name}{place}, {rule} }}\n"));
            let rules: String = rules.collect();
            if rules.is_empty() { " []\n".to_owned() } else { format!("\n{rules}") }
        };
        let kind = if self.enterprise { "enterprise" } else { "basic" };
        let default = if self.reject { "reject" } else { "drop" };
        let mut text =
            format!("precedence: {}\ndefault: {default}\n", if self.merged { "merged" } else { "sequence" });
        let _ = writeln!(text, "prefix_lists: {{ office: [{}] }}", self.office.join(", "));
        let _ = writeln!(
            text,
            "port_lists: {{ some: {:?} }}",
            if self.some.is_empty() { &[9][..] } else { &self.some }
        );
        let _ = writeln!(text, "members: {{ friends: [{}] }}", self.friends.join(", "));
        let _ = writeln!(text, "groups:\n  friends: {{ type: {kind} }}");
        for (name, [ingress, egress]) in [("web", [0, 1]), ("ops", [2, 3])] {
            let _ =
                write!(text, "  {name}:\n    type: {kind}\n    ingress:{}", list(&self.rules[ingress], "i"));
            let _ = write!(text, "    egress:{}", list(&self.rules[egress], "e"));
        }
        let role = if self.guest { "guest" } else { "host" };
        let _ = writeln!(
            text,
            "nics:\n  - {{ device: eth0, role: {role}, addresses: [{}], groups: [{}] }}",
            self.addresses, self.groups
        );
        text
    }
}

fn in_spans<T: PartialOrd + Copy>(list: Option<&Vec<Span<T>>>, key: T) -> bool {
    list.is_none_or(|list| list.iter().any(|(first, last)| *first <= key && key <= *last))
}

/// Whether a packet is of a line.
fn has(line: &Line<'_>, probe: &Probe) -> bool {
    let Line {
        nic: _,
        direction,
        family,
        remote,
        local,
        protocols,
        ports,
        source_ports,
        icmp,
        dscp,
        before: _,
        after: _,
    } = line;
    let in_nets = |nets: Option<&Nets>, address: IpAddr| {
        nets.is_none_or(|nets| nets.iter().any(|net| net.contains(&address)))
    };
    let content = match probe.content() {
        sg_probe::Content::Ports { source, destination } => {
            icmp.is_none() && in_spans(ports.as_ref(), destination) && in_spans(source_ports.as_ref(), source)
        }
        sg_probe::Content::Icmp { kind, code } => {
            let is_of = |[kinds, codes]: &[Span<u8>; 2]| {
                (kinds.0..=kinds.1).contains(&kind) && (codes.0..=codes.1).contains(&code)
            };
            ports.is_none()
                && source_ports.is_none()
                && icmp.as_ref().is_none_or(|list| list.iter().any(is_of))
        }
        sg_probe::Content::Bare => ports.is_none() && source_ports.is_none() && icmp.is_none(),
    };
    *direction == probe.direction()
        && *family == probe.ends().family()
        && in_nets(remote.as_ref(), probe.remote())
        && in_nets(local.as_ref(), probe.local())
        && in_spans(protocols.as_ref(), probe.protocol())
        && in_spans(dscp.as_ref(), probe.dscp())
        && content
}

const V4: [&str; 16] = [
    "0.0.0.0",
    "9.255.255.255",
    "10.0.0.0",
    "10.0.255.255",
    "10.1.0.0",
    "10.1.2.1",
    "10.1.2.2",
    "10.1.2.3",
    "10.1.2.4",
    "10.1.2.9",
    "10.9.0.5",
    "10.9.0.6",
    "10.255.255.255",
    "127.255.255.255",
    "192.0.2.128",
    "255.255.255.255",
];
const V6: [&str; 11] = [
    "::",
    "2001:db7:ffff::",
    "2001:db8::",
    "2001:db8:1::4",
    "2001:db8:1::5",
    "2001:db8:1:ffff::",
    "2001:db8:2::",
    "2001:db8:9::5",
    "fe80::5",
    "fec0::1",
    "ff02::1:2",
];
const PORTS: [u16; 19] = [0, 21, 22, 23, 52, 53, 54, 67, 68, 79, 80, 81, 90, 91, 546, 547, 1023, 1024, 8080];

fn probe(random: &mut Rng) -> Probe {
    let family = if random.bool() { Family::V4 } else { Family::V6 };
    let address = |random: &mut Rng| -> IpAddr {
        let text = match family {
            Family::V4 => pick(random, &V4),
            Family::V6 => pick(random, &V6),
        };
        text.parse().unwrap()
    };
    let protocol = pick(random, &[1, 6, 6, 17, 17, 47, 50, 58, 99, 132]);
    let mut numbers = HeaderNumbers::NONE;
    if is_icmp(family, protocol) {
        numbers =
            HeaderNumbers::icmp(pick(random, &[3, 8, 9, 128, 134, 136]), Some(pick(random, &[0, 3, 4, 5])));
    }
    if random.u8(..4) == 0 {
        numbers.dscp = sg_model::Bounded::new(pick(random, &[1, 45, 46, 63]));
    }
    let port = |random: &mut Rng| has_ports(protocol).then(|| pick(random, &PORTS));
    Probe::new(ProbeParts {
        nic: 0,
        direction: if random.bool() { Direction::Ingress } else { Direction::Egress },
        protocol,
        source: address(random),
        destination: address(random),
        source_port: port(random),
        destination_port: port(random),
        numbers,
    })
    .unwrap()
}

fn written<'a>(policy: &'a Policy, oracle: &mut Oracle<'_>, probe: &Probe) -> WrittenOutcome<'a> {
    let result = oracle.judge(probe).written(policy);
    WrittenOutcome { verdict: result.verdict, group: result.group, rule: result.rule }
}

fn start(probe: &Probe) -> Start {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let (source_port, detail) = match probe.content() {
        sg_probe::Content::Ports { source, destination } => (source, destination),
        sg_probe::Content::Icmp { kind, code } => (0, u16::from_be_bytes([kind, code])),
        sg_probe::Content::Bare => (0, 0),
    };
    Start {
        direction: probe.direction(),
        family: probe.ends().family(),
        remote: bits(probe.remote()),
        local: bits(probe.local()),
        protocol: probe.protocol(),
        source_port,
        detail,
        dscp: probe.dscp(),
    }
}

/// The oracle under both policies, and the lines: a packet is in a line exactly if they differ, and as it says.
struct Judges<'a> {
    documents: [&'a str; 2],
    policies: [&'a Policy; 2],
    oracles: [Oracle<'a>; 2],
    lines: &'a [Line<'a>],
    finder: Finder<'a>,
}

impl<'a> Judges<'a> {
    fn new(documents: [&'a str; 2], policies: [&'a Policy; 2], difference: &'a Difference<'a>) -> Self {
        assert!(difference.undecided.is_empty(), "undecided");
        let (lines, finder) = (&difference.lines[..], Finder::new(&difference.lines));
        Self { documents, policies, oracles: policies.map(Oracle::new), lines, finder }
    }

    fn check(&mut self, probe: &Probe) {
        let [old, new] = &mut self.oracles;
        let told = [written(self.policies[0], old, probe), written(self.policies[1], new, probe)];
        let lines: Vec<_> = self.lines.iter().filter(|line| has(line, probe)).collect();
        let [before, after] = self.documents;
        let context = || format!("{probe}: {told:?}\n{lines:?}\n--- before\n{before}--- after\n{after}");
        let found = self.finder.find("eth0", &start(probe)).map(|number| &self.lines[number]);
        assert_eq!(found, lines.first().copied(), "{}", context());
        match lines.as_slice() {
            [] => assert_eq!(told[0].verdict, told[1].verdict, "no line has {}", context()),
            [line] => assert_eq!([line.before.written(), line.after.written()], told, "{}", context()),
            _ => panic!("two lines have {}", context()),
        }
    }

    /// What each line shows as its sample, as `sgctl check` reads it.
    fn check_samples(&mut self) {
        let after = self.policies[1];
        let reader = Reader::new(after);
        for line in self.lines {
            let sample = serde_json::to_vec(&line.sample(after.nic(line.nic))).unwrap();
            let probe = reader
                .probe(&sample)
                .unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(&sample)));
            assert!(has(line, &probe), "the sample {probe} is not of {line:#?}");
            self.check(&probe);
        }
    }
}

/// How many: `few` in a normal run, `many` where `SG_DEEP` asks for more.
fn amount(few: u64, many: u64) -> u64 {
    if std::env::var_os("SG_DEEP").is_some() { many } else { few }
}

/// Two documents of which the second is the first with some changes.
fn changed(random: &mut Rng) -> [String; 2] {
    let old = Parts::new(random);
    let mut new = old.clone();
    for _ in 0..random.usize(1..5) {
        new.change(random);
    }
    [old.document(), new.document()]
}

#[test]
fn a_packet_is_in_a_line_exactly_if_it_is_judged_differently() {
    for seed in 0..amount(400, 2_000) {
        let mut random = Rng::with_seed(seed);
        let documents = changed(&mut random);
        let [before, after] = [policy(&documents[0]), policy(&documents[1])];
        let difference = compare(&before, &after, Options::default());
        let mut judges = Judges::new([&documents[0], &documents[1]], [&before, &after], &difference);
        (0..600).for_each(|_| judges.check(&probe(&mut random)));
        judges.check_samples();
        assert!(compare(&before, &before, Options::default()).lines.is_empty());
        // The other way round it is the same, with before and after swapped.
        let mut back = compare(&after, &before, Options::default());
        for line in &mut back.lines {
            std::mem::swap(&mut line.before, &mut line.after);
        }
        for probe in (0..300).map(|_| probe(&mut random)) {
            let find = |lines: &[Line<'_>]| {
                lines
                    .iter()
                    .find(|line| has(line, &probe))
                    .map(|line| [line.before.written(), line.after.written()].map(|one| format!("{one:?}")))
            };
            assert_eq!(find(&difference.lines), find(&back.lines));
        }
    }
}

#[test]
fn unrelated_policies_differ_as_the_oracle_says() {
    for seed in 0..amount(150, 1_000) {
        let mut random = Rng::with_seed(seed + 1_000_000);
        let documents = [Parts::new(&mut random).document(), Parts::new(&mut random).document()];
        let [before, after] = [policy(&documents[0]), policy(&documents[1])];
        let difference = compare(&before, &after, Options::default());
        let mut judges = Judges::new([&documents[0], &documents[1]], [&before, &after], &difference);
        (0..600).for_each(|_| judges.check(&probe(&mut random)));
        judges.check_samples();
    }
}

#[test]
fn without_time_it_says_what_it_does_not_know() {
    let mut random = Rng::with_seed(5);
    let before = Parts::new(&mut random);
    let mut after = before.clone();
    after.rules[0]
        .insert(0, "protocol: tcp, ports: 80, remote: 10.0.0.0/8, priority: 1, action: reject".to_owned());
    after.groups = "web";
    let [before, after] = [policy(&before.document()), policy(&after.document())];
    let difference = compare(&before, &after, Options { time: Duration::ZERO, ..Options::default() });
    assert!(difference.lines.is_empty());
    assert!(!difference.undecided.is_empty());
}

#[test]
fn of_one_nic_nothing_else_is_compared() {
    let text = |port, nics| {
        policy(&format!(
            "groups: {{ g: {{ ingress: [{{ id: r, protocol: tcp, ports: {port} }}] }} }}\nnics: [{nics}]"
        ))
    };
    let of = |device| format!("{{ device: {device}, groups: [g], addresses: [10.0.0.1] }}");
    let before = text(22, of("eth0") + ", " + &of("eth1"));
    let after = text(23, of("eth0") + ", " + &of("eth2"));
    let all = compare(&before, &after, Options::default());
    for nic in ["eth0", "eth1", "eth2"] {
        let found = compare(&before, &after, Options { nic: Some(nic), ..Options::default() });
        let expected: Vec<_> = all.lines.iter().filter(|line| line.nic == nic).cloned().collect();
        assert!(!expected.is_empty() && found.lines == expected, "{nic}");
        // What is left out takes no time either.
        let late = Options { nic: Some(nic), time: Duration::ZERO, ..Options::default() };
        assert!(compare(&before, &after, late).undecided.iter().all(|part| part.nic == nic));
    }
}
