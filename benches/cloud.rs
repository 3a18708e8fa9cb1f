//! A policy as a cloud account grows it: networks within networks, few services that many rules name, few ranges that others
//! share, some rules that drop before all others. Written once, as a list in the order in which it decides; each peer renders it.
//!
//! It must never depend on a peer, and no peer may use it while it is measured.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::Sequence;
use ipnet::Ipv4Net;

/// The number of TCP.
pub const TCP: u8 = 6;
/// The number of UDP.
pub const UDP: u8 = 17;

/// One inbound rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it accepts or drops.
    pub accepts: bool,
    /// 1 to 10 for drop, 11 to 100 for accept: drop rules decide first, so that a peer of sets needs two.
    pub priority: u8,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// The remote.
    pub remote: Ipv4Net,
    /// First and last port of the NIC.
    pub ports: [u16; 2],
}

/// A packet to check against the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The remote address.
    pub remote: Ipv4Addr,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// The port of the NIC.
    pub port: u16,
}

/// Every port.
pub const ALL_PORTS: [u16; 2] = [0, u16::MAX];

/// Services of half of the rules.
const SERVICES: [u16; 14] = [22, 53, 80, 123, 443, 3306, 5432, 6379, 8080, 9090, 9100, 9200, 10_250, 27_017];
/// Ranges that several rules name.
pub const RANGES: [[u16; 2]; 4] = [[1_024, 65_535], [30_000, 32_767], [8_000, 8_999], [49_152, 65_535]];
/// The networks that contain the others, half of the time.
const PRIVATE: [([u8; 4], u8); 3] = [([10, 0, 0, 0], 8), ([192, 168, 0, 0], 16), ([100, 64, 0, 0], 10)];

/// `count` rules, the same every time, in the order in which they decide.
#[must_use]
pub fn rules(count: usize) -> Vec<Rule> {
    let mut random = Sequence(31);
    let mut nets: Vec<Ipv4Net> =
        PRIVATE.iter().map(|&(address, length)| net(Ipv4Addr::from(address), length)).collect();
    let mut rules: Vec<Rule> = (0..count)
        .map(|_| {
            let accepts = !random.next().is_multiple_of(10);
            let priority = random.next();
            Rule {
                accepts,
                priority: if accepts { 11 + priority % 90 } else { 1 + priority % 10 } as u8,
                protocol: if random.next().is_multiple_of(5) { UDP } else { TCP },
                remote: remote(&mut random, &mut nets),
                ports: ports(&mut random),
            }
        })
        .collect();
    // The two services that everybody uses are open to everybody.
    for (rule, port) in rules.iter_mut().filter(|rule| rule.accepts).zip([80, 443]) {
        *rule = Rule { protocol: TCP, remote: net(Ipv4Addr::UNSPECIFIED, 0), ports: [port, port], ..*rule };
    }
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// A network of its own, or one within an existing one, 4 or 8 bits longer or an address.
fn remote(random: &mut Sequence, nets: &mut Vec<Ipv4Net>) -> Ipv4Net {
    let number = random.next();
    let address = Ipv4Addr::from_bits(random.next() as u32);
    let made = if number.is_multiple_of(3) {
        // No first byte of these is special, and none is that of the address that `path.rs` sends to.
        let [_, two, three, four] = address.octets();
        let first = 11 + (number >> 8) as u8 % 80;
        net(Ipv4Addr::new(first, two, three, four), [12, 16, 20, 24, 24, 24, 32][(number >> 16) as usize % 7])
    } else {
        let outer = nets[(number >> 16) as usize % nets.len()];
        let length = [outer.prefix_len() + 4, outer.prefix_len() + 8, 32][(number >> 8) as usize % 3].min(32);
        let inner = outer.addr().to_bits() | address.to_bits() & outer.hostmask().to_bits();
        net(Ipv4Addr::from_bits(inner), length)
    };
    nets.push(made);
    made
}

fn net(address: Ipv4Addr, length: u8) -> Ipv4Net {
    Ipv4Net::new(address, length).map(|net| net.trunc()).unwrap_or_default()
}

fn ports(random: &mut Sequence) -> [u16; 2] {
    let number = random.next();
    let port = (1 + (number >> 32) % 60_000) as u16;
    match number % 20 {
        0..10 => [SERVICES[(number >> 16) as usize % SERVICES.len()]; 2],
        10..12 => [port; 2],
        12..15 => ALL_PORTS,
        15..18 => RANGES[(number >> 16) as usize % RANGES.len()],
        _ => [port, port + 1 + (number >> 16) as u16 % 99],
    }
}

impl Rule {
    /// Whether it matches the packet.
    #[must_use]
    pub fn matches(&self, question: &Question) -> bool {
        self.protocol == question.protocol
            && self.remote.contains(&question.remote)
            && (self.ports[0]..=self.ports[1]).contains(&question.port)
    }

    /// Whether it matches everything that the other rule matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.remote.contains(&other.remote)
            && self.ports[0] <= other.ports[0]
            && self.ports[1] >= other.ports[1]
    }

    /// `tcp` or `udp`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.protocol == TCP { "tcp" } else { "udp" }
    }

    /// A packet that it matches; another one for another number.
    fn asked(&self, number: u64) -> Question {
        let mut random = Sequence(number);
        let host = random.next() as u32 & self.remote.hostmask().to_bits();
        let mut remote = self.remote.addr().to_bits() | host;
        if self.remote.prefix_len() == 0 {
            remote = remote & 0x3fff_ffff | 0x1000_0000;
        }
        let span = u64::from(self.ports[1] - self.ports[0]) + 1;
        let port = self.ports[0] + (random.next() % span) as u16;
        Question { remote: Ipv4Addr::from_bits(remote), protocol: self.protocol, port }
    }
}

/// The verdict of the first rule that matches; drop if none does.
#[must_use]
pub fn accepts(rules: &[Rule], question: &Question) -> bool {
    rules.iter().find(|rule| rule.matches(question)).is_some_and(|rule| rule.accepts)
}

/// Packets for each rule in turn, or if there are more rules, for about as many from the first to the last; and packets of
/// strangers; `count` of each.
#[must_use]
pub fn questions(rules: &[Rule], count: usize) -> Vec<Question> {
    let mut random = Sequence(97);
    let mut both = |number: usize| {
        let place = if count < rules.len() { number * rules.len() / count } else { number % rules.len() };
        let asked = rules[place].asked(number as u64);
        let port = if number.is_multiple_of(2) { asked.port } else { random.next() as u16 };
        // No rule names an address of 93.0.0.0/8, except those for everybody.
        let stranger = Ipv4Addr::from_bits(93 << 24 | random.next() as u32 >> 8);
        [asked, Question { remote: stranger, port, ..asked }]
    };
    (0..count).flat_map(&mut both).collect()
}

/// The document for `sgd`.
#[must_use]
pub fn document(rules: &[Rule], device: &str, local: Ipv4Addr) -> String {
    let mut text = "groups:\n  cloud:\n    inner_access: drop\n    ingress:\n".to_owned();
    for rule in rules {
        let action = if rule.accepts { "accept" } else { "drop" };
        let Rule { priority, remote, ports: [first, last], .. } = rule;
        let _ = writeln!(
            text,
            "      - {{ action: {action}, priority: {priority}, protocol: {}, ports: {first}-{last}, remote: {remote} }}",
            rule.protocol()
        );
    }
    let _ = writeln!(text, "nics:\n  - {{ device: {device}, addresses: [{local}], groups: [cloud] }}");
    text
}
