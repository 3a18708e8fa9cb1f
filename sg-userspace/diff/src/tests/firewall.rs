//! Differences of rules that overlap in every dimension, as those of firewalls and access lists do, held against the oracle packet by
//! packet: universes so small that every packet is asked about.

use std::fmt::Write as _;

use sg_model::HeaderNumbers;

use super::*;

/// Bits of remote and local addresses in the universe.
const BITS: [u32; 2] = [4, 3];
const PORTS: u16 = 6;
const SOURCE_PORTS: u16 = 4;

/// A prefix in the universe; `any` where it has all of it, as a rule writes that.
fn net(random: &mut Rng, end: usize, lengths: std::ops::RangeInclusive<u32>) -> Option<String> {
    let length = random.u32(lengths);
    let host = random.u32(..1 << BITS[end]) >> (BITS[end] - length) << (BITS[end] - length);
    (length > 0).then(|| format!("10.{end}.0.{host}/{}", 32 - BITS[end] + length))
}

fn span(random: &mut Rng, count: u16) -> String {
    let (one, other) = (random.u16(..count), random.u16(..count));
    format!("{}-{}", one.min(other), one.max(other))
}

/// A rule as a document writes it. Firewalls leave an end open, access lists name both and no source port.
pub(super) fn rule(random: &mut Rng, is_firewall: bool) -> String {
    let lengths = match random.u8(..10) {
        0..4 if is_firewall => [0..=0, 1..=BITS[1]],
        4..8 if is_firewall => [1..=BITS[0], 0..=0],
        8 => [0..=1, 0..=1],
        _ => [2..=BITS[0], 1..=BITS[1]],
    };
    let [remote, local] = lengths;
    let (remote, local) = (net(random, 0, remote), net(random, 1, local));
    let mut text = format!("remote: {}", remote.unwrap_or_else(|| "any".to_owned()));
    if let Some(local) = local {
        let _ = write!(text, ", local: {local}");
    }
    let protocol = pick(random, &["tcp", "tcp", "tcp", "udp", "all", "icmp", "gre"]);
    let _ = write!(text, ", protocol: {protocol}");
    if matches!(protocol, "tcp" | "udp") {
        if random.u8(..3) > 0 {
            let _ = write!(text, ", ports: \"{}\"", span(random, PORTS));
        }
        if is_firewall && random.u8(..3) == 0 {
            let _ = write!(text, ", source_ports: \"{}\"", span(random, SOURCE_PORTS));
        }
    }
    let action = pick(random, &["accept", "accept", "drop", "reject"]);
    let _ = write!(text, ", action: {action}, priority: {}", random.u8(1..4));
    text
}

pub(super) fn document(rules: &[(usize, String)]) -> String {
    let mut text = "groups:\n  all:\n    inner_access: drop\n    ingress:\n".to_owned();
    for (id, rule) in rules {
        let _ = writeln!(text, "      - {{ id: r{id}, {rule} }}");
    }
    text + "nics:\n  - { device: eth0, addresses: [10.1.0.5], groups: [all] }\n"
}

/// Every packet of the universe, with those just outside: addresses, one of IPv6, ports, a protocol that no rule names.
pub(super) fn packets() -> impl Iterator<Item = Probe> {
    let addresses = |end: usize| {
        let inside = (0..=1_u32 << BITS[end]).map(move |host| IpAddr::from([10, end as u8, 0, host as u8]));
        inside.chain([IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, end as u16])])
    };
    let services = |protocol: u8| {
        let ported = has_ports(protocol);
        let (ports, sources) = if ported { (PORTS + 1, SOURCE_PORTS + 1) } else { (1, 1) };
        (0..ports).flat_map(move |port| {
            (0..sources).map(move |source| (protocol, ported.then_some(port), ported.then_some(source)))
        })
    };
    addresses(0).flat_map(move |remote| {
        let locals = addresses(1).filter(move |local| local.is_ipv4() == remote.is_ipv4());
        locals.flat_map(move |local| {
            [6, 17, 1, 47, 99].into_iter().flat_map(services).map(move |(protocol, port, source)| {
                let is_message = protocol == 1 && remote.is_ipv4();
                Probe::new(ProbeParts {
                    nic: 0,
                    direction: Direction::Ingress,
                    protocol,
                    source: remote,
                    destination: local,
                    source_port: source,
                    destination_port: port,
                    numbers: if is_message { HeaderNumbers::icmp(8, Some(0)) } else { HeaderNumbers::NONE },
                })
                .unwrap()
            })
        })
    })
}

#[test]
fn every_packet_of_a_small_universe_is_in_a_line_exactly_if_it_is_judged_differently() {
    let mut lines = 0;
    for seed in 0..20 {
        let mut random = Rng::with_seed(seed);
        let is_firewall = seed % 3 > 0;
        let old: Vec<(usize, String)> =
            (0..random.usize(5..40)).map(|id| (id, rule(&mut random, is_firewall))).collect();
        let mut new = old.clone();
        for edit in 0..random.usize(1..8) {
            let place = random.usize(..new.len());
            match random.u8(..4) {
                0 if new.len() > 1 => drop(new.remove(place)),
                1 => new.swap(place, 0),
                2 => new.insert(place, (100 + edit, rule(&mut random, is_firewall))),
                _ => new[place].1 = rule(&mut random, is_firewall),
            }
        }
        let documents = [document(&old), document(&new)];
        let [before, after] = [policy(&documents[0]), policy(&documents[1])];
        let difference = compare(&before, &after, Options::default());
        lines += difference.lines.len();
        let mut judges = Judges::new([&documents[0], &documents[1]], [&before, &after], &difference);
        packets().for_each(|probe| judges.check(&probe));
        judges.check_samples();
    }
    assert!(lines > 150, "{lines}");
}
