//! Searches and tests of documents against the oracle.

use std::{net::IpAddr, time::Instant};

use sg_common::verdict::Verdict;
use sg_model::{
    Action, Bounded, End, Expectation, GroupIndex, Match, Over, Packets, PortRange, Ports, PrefixListIndex,
    Protocol, Remote,
};

use super::*;
use crate::{AS_WRITTEN, By, Why, search, test};

fn end(random: &mut Rng) -> End {
    let some = |random: &mut Rng| -> Vec<Remote> {
        let net = |text: &str| Remote::Net(text.parse().unwrap());
        let known = [
            net("10.0.0.0/8"),
            net("10.1.2.0/29"),
            net("10.1.2.3/32"),
            net("2001:db8::/32"),
            net("2001:db8:1::/48"),
            net("fe80::/10"),
            Remote::Any,
            Remote::Group(GroupIndex(0)),
            Remote::Group(GroupIndex(1)),
            Remote::PrefixList(PrefixListIndex(0)),
        ];
        (0..random.usize(..3)).map(|_| known[random.usize(..known.len())]).collect()
    };
    let of = some(random);
    let not_of = some(random).into_iter().filter(|remote| *remote != Remote::Any).collect();
    End { of, not_of }
}

fn packets(random: &mut Rng) -> Packets {
    let mut services: Vec<Match> = Vec::new();
    for number in [6, 17, 1, 58, 47, 132] {
        if random.u8(..3) > 0 {
            continue;
        }
        let mut one = Match::of(Protocol::Number(number));
        if has_ports(number) {
            let range = |random: &mut Rng| {
                let (first, last) = (pick(random, &PORTS), pick(random, &PORTS));
                PortRange::new(first.min(last), first.max(last)).unwrap()
            };
            one.ports = Ports::Ranges((0..random.usize(1..3)).map(|_| range(random)).collect());
            if random.u8(..4) == 0 {
                one.source_ports = Ports::Ranges(vec![range(random)]);
            }
        } else if number != 47 && random.bool() {
            one.numbers.icmp_type = Some(pick(random, &[3, 8, 9, 128, 134, 136]).into());
            one.numbers.icmp_code = random.bool().then(|| pick(random, &[0, 3, 4, 5]).into());
        }
        if random.u8(..5) == 0 {
            one.numbers.dscp = Bounded::new(46);
        }
        services.push(one);
    }
    Packets {
        over: match random.u8(..3) {
            0 => Over::Every,
            1 => Over::Device("eth0".to_owned()),
            _ => Over::Group(GroupIndex(1)),
        },
        direction: pick(random, &[None, Some(Direction::Ingress), Some(Direction::Egress)]),
        family: pick(random, &[None, None, Some(Family::V4), Some(Family::V6)]),
        remote: end(random),
        local: end(random),
        services,
    }
}

/// Whether a packet is of a set, by the words of its fields.
fn is_of(packets: &Packets, probe: &Probe, policy: &Policy) -> bool {
    let Packets { over, direction, family, remote, local, services } = packets;
    let is_in = |remote: &Remote, address: IpAddr| match remote {
        Remote::Any => true,
        Remote::Net(net) => net.contains(&address),
        Remote::Group(group) => {
            policy
                .remote_members(*group)
                .iter()
                .any(|member| *member == address && sg_model::identifies(address))
                || policy.local_members(*group).any(|member| *member == address)
        }
        Remote::PrefixList(list) => policy.prefixes(*list).iter().any(|net| net.contains(&address)),
    };
    let in_end = |end: &End, address| {
        (end.of.is_empty() || end.of.iter().any(|remote| is_in(remote, address)))
            && !end.not_of.iter().any(|remote| is_in(remote, address))
    };
    let in_ports = |ports: &Ports, port| match ports {
        Ports::Any => true,
        Ports::Ranges(ranges) => ranges.iter().any(|range| (range.first()..=range.last()).contains(&port)),
        Ports::List(_) => unreachable!(),
    };
    let in_service = |one: &Match| {
        let content = match probe.content() {
            sg_probe::Content::Ports { source, destination } => {
                in_ports(&one.ports, destination) && in_ports(&one.source_ports, source)
            }
            sg_probe::Content::Icmp { kind, code } => {
                one.numbers.icmp_type.is_none_or(|own| own.get() == kind)
                    && one.numbers.icmp_code.is_none_or(|own| own.get() == code)
            }
            sg_probe::Content::Bare => one.numbers.icmp_type.is_none(),
        };
        let is_family = match one.protocol {
            Protocol::Number(1) => probe.ends().family() == Family::V4,
            Protocol::Number(58) => probe.ends().family() == Family::V6,
            _ => true,
        };
        one.protocol == Protocol::Number(probe.protocol())
            && is_family
            && content
            && one.numbers.dscp.is_none_or(|own| own.get() == probe.dscp())
    };
    let nic = &policy.nics()[0];
    (match over {
        Over::Every => true,
        Over::Device(device) => nic.device == *device,
        Over::Group(group) => nic.groups.contains(group),
    }) && direction.is_none_or(|own| own == probe.direction())
        && family.is_none_or(|own| own == probe.ends().family())
        && in_end(remote, probe.remote())
        && in_end(local, probe.local())
        && (services.is_empty() || services.iter().any(in_service))
}

#[test]
fn a_packet_is_found_exactly_if_it_is_of_the_set_and_gets_the_verdict() {
    let mut hits = [0, 0];
    for seed in 0..1_500 {
        let mut random = Rng::with_seed(seed);
        let document = Parts::new(&mut random).document();
        let policy = policy(&document);
        let packets = packets(&mut random);
        let verdicts = pick(
            &mut random,
            &[
                &[Verdict::Accept][..],
                &[Verdict::Drop],
                &[Verdict::Reject],
                &[Verdict::Drop, Verdict::Reject],
            ],
        );
        let found = search(&policy, &packets, verdicts, None, Duration::from_mins(1));
        assert!(found.undecided.is_empty());
        let mut oracle = Oracle::new(&policy);
        let reader = Reader::new(&policy);
        let samples: Vec<Probe> = found
            .lines
            .iter()
            .map(|line| {
                let sample = serde_json::to_vec(&line.sample(policy.nic(line.nic))).unwrap();
                let probe = reader.probe(&sample).unwrap();
                assert!(has(line, &probe), "the sample {probe} is not of {line:#?}");
                probe
            })
            .collect();
        for probe in samples.into_iter().chain((0..300).map(|_| probe(&mut random))) {
            let told = written(&policy, &mut oracle, &probe);
            let lines: Vec<_> = found.lines.iter().filter(|line| has(line, &probe)).collect();
            let wanted = is_of(&packets, &probe, &policy)
                && verdicts.iter().any(|verdict| word(*verdict) == told.verdict);
            hits[usize::from(wanted)] += 1;
            let context = || format!("{probe}: {told:?}\n{packets:#?}\n{lines:#?}\n{document}");
            match lines.as_slice() {
                [] => assert!(!wanted, "no line has {}", context()),
                [line] => assert!(wanted && line.after.written() == told, "{}", context()),
                _ => panic!("two lines have {}", context()),
            }
        }
    }
    assert!(hits[1] > 4_000, "too few packets were of the sets: {hits:?}");
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Drop => "drop",
        Verdict::Reject => "reject",
    }
}

#[test]
fn a_test_fails_exactly_if_some_packet_of_it_gets_something_else() {
    let (mut held, mut failed, mut idle) = (0, 0, 0);
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let document = Parts::new(&mut random).document();
        let policy = policy(&document);
        let tests: Vec<Expectation> = (0..8)
            .map(|_| Expectation {
                packets: packets(&mut random),
                action: pick(&mut random, &[Action::Accept, Action::Drop, Action::Reject]),
                rule: None,
            })
            .collect();
        let told = test(&policy, &tests, Duration::from_mins(1));
        let mut oracle = Oracle::new(&policy);
        let reader = Reader::new(&policy);
        let probes: Vec<Probe> = (0..300).map(|_| probe(&mut random)).collect();
        for (place, one) in tests.iter().enumerate() {
            let why = told.failed.iter().find(|failed| failed.test == place).map(|failed| &failed.why);
            match why {
                Some(Why::Counterexample { sample, .. }) => {
                    let probe = reader.probe(&serde_json::to_vec(sample).unwrap()).unwrap();
                    let got = written(&policy, &mut oracle, &probe);
                    assert!(is_of(&one.packets, &probe, &policy), "{probe} is not of {one:#?}");
                    assert_ne!(got.verdict, one.action.to_string(), "{probe} {one:#?}\n{document}");
                    failed += 1;
                }
                Some(Why::Undecided) => panic!("undecided"),
                None => {
                    let is_idle = told.idle.contains(&place);
                    (held, idle) = (held + usize::from(!is_idle), idle + usize::from(is_idle));
                    for probe in probes.iter().filter(|probe| is_of(&one.packets, probe, &policy)) {
                        assert!(!is_idle, "{probe} is of {one:#?}\n{document}");
                        let result = oracle.judge(probe).written(&policy);
                        let is_before = ["own-source", "anti-spoofing"].contains(&result.reason);
                        assert!(
                            is_before || result.verdict == one.action.to_string(),
                            "{probe}: {} {one:#?}\n{document}",
                            result.verdict
                        );
                    }
                }
            }
        }
    }
    assert!(held > 100 && failed > 500 && idle > 50, "{held} {failed} {idle}");
}

const DOCUMENT: &str = "
groups:
  web:
    ingress:
      - { id: ssh, protocol: tcp, ports: 22, remote: 10.0.0.0/8 }
      - { id: low, protocol: all, remote: 0.0.0.0/1 }
nics:
  - { device: eth0, addresses: [10.0.0.5], groups: [web] }
  - { device: eth1, addresses: [10.0.0.5], groups: [web] }
";

fn expectation(remote: &str, action: Action, rule: Option<&str>) -> Expectation {
    let mut ssh = Match::of(Protocol::Number(6));
    ssh.ports = Ports::Ranges(vec![PortRange::new(22, 22).unwrap()]);
    let packets = Packets {
        direction: Some(Direction::Ingress),
        remote: End { of: vec![Remote::Net(remote.parse().unwrap())], not_of: Vec::new() },
        services: vec![ssh],
        ..Packets::default()
    };
    Expectation { packets, action, rule: rule.map(str::to_owned) }
}

#[test]
fn a_test_may_name_the_rule() {
    let policy = policy(DOCUMENT);
    let told = |remote, action, rule| {
        let tested = test(&policy, &[expectation(remote, action, rule)], Duration::from_mins(1));
        tested.failed.first().map(|failed| failed.why.words(AS_WRITTEN))
    };
    assert_eq!(told("10.0.0.0/9", Action::Accept, Some("ssh")), None);
    let why = told("8.0.0.0/6", Action::Accept, Some("ssh")).unwrap();
    assert!(
        why.contains("expected accept by rule ssh") && why.ends_with("by rule low of group web"),
        "{why}"
    );
    assert_eq!(told("192.0.0.0/8", Action::Drop, None), None);
    let why = told("0.0.0.0/0", Action::Accept, None).unwrap();
    assert!(why.contains(r#""src":"192.0.2.1""#) && why.ends_with("gets drop by default"), "{why}");
    // The own address is left out of the first, and all there is in the second.
    assert_eq!(told("10.0.0.4/30", Action::Accept, None), None);
    let why = told("10.0.0.5/32", Action::Accept, None).unwrap();
    assert!(why.ends_with("gets drop before the rules (own-source)"), "{why}");
}

#[test]
fn nics_that_are_alike_have_a_line_each_and_rules_are_found_by_id() {
    let policy = policy(DOCUMENT);
    let packets = Packets { direction: Some(Direction::Ingress), ..Packets::default() };
    let found = search(&policy, &packets, &[Verdict::Accept], Some("ssh"), Duration::from_mins(1));
    let nics: Vec<_> = found.lines.iter().map(|line| line.nic).collect();
    assert_eq!(nics, ["eth0", "eth1"]);
    assert!(found.lines.iter().all(|line| line.after.by == By::Rule { group: "web", rule: "ssh" }));
    let without_time = search(&policy, &packets, &[Verdict::Accept], None, Duration::ZERO);
    assert!(without_time.lines.is_empty() && !without_time.undecided.is_empty());
}

/// Which tests of a document fail, and which are of no packet.
fn asked(document: &str) -> (Vec<usize>, Vec<usize>) {
    let loaded = sg_document::parse("generated", document.as_bytes()).unwrap();
    let tested = test(&loaded.policy, &loaded.tests, Duration::from_secs(30));
    (tested.failed.iter().map(|failed| failed.test).collect(), tested.idle)
}

#[test]
fn forged_sources_are_left_out_and_nothing_else() {
    let nics = "groups: { g: { type: enterprise, egress: [{ protocol: tcp, ports: 443, priority: 1 }] } }
nics:
  - { device: tap0, role: guest, addresses: [10.0.0.5], groups: [g] }
  - { device: tap1, role: guest, addresses: [10.0.0.6, \"2001:db8:9::5\"], groups: [g] }
tests:
";
    let tests = [
        // The most ordinary one: no guest sends from addresses that it does not have.
        ("nic: tap0, direction: egress, protocol: tcp, ports: 443, expect: accept", true),
        ("group: g, direction: egress, protocol: tcp, ports: 443, expect: accept", true),
        // The other guest does not send from there.
        ("group: g, direction: egress, from: 10.0.0.5, protocol: tcp, ports: 443, expect: accept", true),
        ("group: g, direction: egress, from: 10.0.0.7, protocol: tcp, ports: 443, expect: accept", false),
        ("group: g, direction: egress, from: 10.0.0.7, protocol: tcp, ports: 443, expect: drop", true),
        // Requests of DHCP clients pass before the rules, from link-local addresses, too.
        (
            "nic: tap1, direction: egress, protocol: udp, source_ports: 546, ports: 547, to: \"ff00::/8\", expect: drop",
            false,
        ),
        ("nic: tap1, direction: egress, protocol: tcp, ports: 80, expect: accept", false),
    ];
    let lines: Vec<String> = tests.iter().map(|(test, _)| format!("  - {{ {test} }}")).collect();
    let lines = lines.join("\n");
    let (failed, idle) = asked(&format!("{nics}{lines}"));
    let wanted: Vec<usize> =
        tests.iter().enumerate().filter(|(_, (_, holds))| !holds).map(|(place, _)| place).collect();
    assert_eq!((failed, idle), (wanted, Vec::new()));
}

#[test]
fn many_tests_of_many_nics_take_the_time_that_they_have_and_no_more() {
    let nics: Vec<String> = (0..300)
        .map(|number| {
            let [high, low] = [number / 200, number % 200];
            format!("  - {{ device: tap{number}, addresses: [10.{high}.{low}.1], groups: [g] }}")
        })
        .collect();
    let nics = nics.join("\n");
    let tests =
        "  - { group: g, direction: ingress, protocol: tcp, ports: 81, expect: drop }\n".repeat(4_000);
    let text = format!(
        "groups: {{ g: {{ type: enterprise, ingress: [{{ protocol: tcp, ports: 80 }}] }} }}\nnics:\n{nics}\ntests:\n{tests}"
    );
    let loaded = sg_document::parse("generated", text.as_bytes()).unwrap();
    let time = Duration::from_millis(200);
    let began = Instant::now();
    let tested = test(&loaded.policy, &loaded.tests, time);
    // It is 1,200,000 parts; what is left is said to be undecided.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(tested.idle.is_empty());
    let known = tested.failed.iter().find(|failed| failed.why != Why::Undecided);
    assert!(known.is_none(), "{known:?}");
    assert!(!tested.failed.is_empty());
}
