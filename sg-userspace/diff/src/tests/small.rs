//! Policies that say something of eight addresses, eight ports and a few protocols only: every packet of these, and one beside, is
//! asked.

use super::*;

/// A rule of the small universe.
fn small_rule(random: &mut Rng) -> String {
    let remote = match random.u8(..6) {
        0 => "any".to_owned(),
        1 => format!("10.0.0.{}", random.u8(..8)),
        2 | 3 => format!("10.0.0.{}/31", random.u8(..4) * 2),
        _ => format!("10.0.0.{}/30", random.u8(..2) * 4),
    };
    let [one, other] = [random.u8(..8), random.u8(..8)];
    let ports = format!("\"{}-{}\"", one.min(other), one.max(other));
    let what = match random.u8(..6) {
        0 => "protocol: all".to_owned(),
        1 => "protocol: gre".to_owned(),
        2 => format!("protocol: udp, ports: {ports}"),
        _ => format!("protocol: tcp, ports: {ports}"),
    };
    let action = pick(random, &["accept", "accept", "drop", "reject"]);
    format!("{what}, remote: {remote}, priority: {}, action: {action}", random.u8(1..4))
}

fn small_document(rules: &[Vec<String>; 2]) -> String {
    let list = |rules: &[String]| {
        let rules: Vec<String> =
            rules.iter().enumerate().map(|(place, rule)| format!("{{ id: r{place}, {rule} }}")).collect();
        rules.join(", ")
    };
    let [ingress, egress] = [list(&rules[0]), list(&rules[1])];
    format!(
        "groups: {{ g: {{ ingress: [{ingress}], egress: [{egress}] }} }}\n\
         nics: [{{ device: eth0, addresses: [10.9.0.5], groups: [g] }}]\n"
    )
}

#[test]
fn every_packet_of_a_small_universe_is_in_a_line_exactly_if_it_is_judged_differently() {
    let probes = universe();
    for seed in 0..amount(150, 100_000) {
        let mut random = Rng::with_seed(seed + 3_000_000);
        let mut some = |most| {
            std::array::from_fn(|_| (0..random.usize(..most)).map(|_| small_rule(&mut random)).collect())
        };
        let old: [Vec<String>; 2] = some(7);
        let mut new: [Vec<String>; 2] = if seed % 4 == 0 { some(7) } else { old.clone() };
        for _ in 0..random.usize(1..4) {
            let list = &mut new[random.usize(..2)];
            let place = random.usize(..=list.len());
            if place < list.len() && random.bool() {
                list.remove(place);
            } else {
                list.insert(place, small_rule(&mut random));
            }
        }
        let documents = [small_document(&old), small_document(&new)];
        let [before, after] = [policy(&documents[0]), policy(&documents[1])];
        let difference = compare(&before, &after, Options::default());
        let mut judges = Judges::new([&documents[0], &documents[1]], [&before, &after], &difference);
        for probe in &probes {
            judges.check(probe);
        }
    }
}

/// Every packet of the small universe, and those with one key beside it.
fn universe() -> Vec<Probe> {
    let mut probes = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for remote in 0..9_u8 {
            for protocol in [6, 17, 47, 50] {
                for port in if has_ports(protocol) { 0..9 } else { 0..1 } {
                    let [remote, local] = [IpAddr::from([10, 0, 0, remote]), IpAddr::from([10, 9, 0, 5])];
                    let [source, destination] =
                        if direction == Direction::Ingress { [remote, local] } else { [local, remote] };
                    let has = has_ports(protocol);
                    let parts = ProbeParts {
                        nic: 0,
                        direction,
                        protocol,
                        source,
                        destination,
                        source_port: has.then_some(7),
                        destination_port: has.then_some(port),
                        numbers: HeaderNumbers::NONE,
                    };
                    probes.push(Probe::new(parts).unwrap());
                }
            }
        }
    }
    probes
}
