//! The cost of an image, and that the same policy always gives the same image. That it decides as the rules do is tested by the
//! engines' differential tests.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::{
    flow::{Direction, packet_keys},
    image::{CLASS_WORDS, Header, NODE_WORDS, Walk, flags, header, names},
    packet::{Family, Packet, protocol},
    verdict::{Decision, Reason, Verdict},
};
use sg_model::{
    Action, Addresses, Decider, DeviceFacts, Established, Ethertype, Group, GroupIndex, GroupType, Ipsec,
    Match, Nic, Policy, PolicyParts, PortRange, Ports, Precedence, PrefixListIndex, Prefixes, Priority,
    Protocol, Remote, Role, Rule, RuleIndex,
};

use super::{CompileError, Image, ImageOptions, LARGEST_WORDS, compile};

pub(super) const OPTIONS: ImageOptions =
    ImageOptions { generation: 3, counters: 128, budget_words: LARGEST_WORDS };

/// 1 MiB.
const SMALL_BUDGET: ImageOptions = ImageOptions { budget_words: CLASS_WORDS[1], ..OPTIONS };

pub(super) fn rule(number: usize, matches: Match, remote: Remote) -> Rule {
    Rule {
        id: format!("rule-{number}"),
        enabled: true,
        action: if number % 3 == 2 { Action::Drop } else { Action::Accept },
        priority: Priority::FIRST,
        matches: Match { remote, ..matches },
        description: None,
    }
}

pub(super) fn tcp(first: u16, last: u16) -> Match {
    let destination = Ports::Ranges(vec![PortRange::new(first, last).unwrap()]);
    Match { ports: destination, ..Match::of(Protocol::Number(6)) }
}

pub(super) fn group(name: &str, ingress: Vec<Rule>) -> Group {
    Group {
        name: name.to_owned(),
        kind: GroupType::Basic,
        inner_access: false,
        description: None,
        ingress,
        egress: Vec::new(),
    }
}

pub(super) fn nic(groups: usize) -> Nic {
    Nic {
        addresses: vec!["10.0.0.5".parse().unwrap(), "2001:db8::5".parse().unwrap()],
        ..Nic::new("eth0", (0..groups).map(GroupIndex))
    }
}

/// A policy of one NIC that holds all of `groups`.
pub(super) fn parts(groups: Vec<Group>) -> PolicyParts {
    PolicyParts { nics: vec![nic(groups.len())], groups, ..PolicyParts::default() }
}

fn policy(groups: Vec<Group>) -> Policy {
    Policy::new(parts(groups)).unwrap()
}

/// Compiles for the first NIC. Counter numbers are assigned in the order of the requests, from 0.
fn try_compile(policy: &Policy, options: &ImageOptions) -> (Result<Image, CompileError>, Vec<Decider>) {
    let mut deciders = Vec::new();
    let image = compile(policy, &policy.nics()[0], options, &mut |decider| {
        deciders.push(decider);
        deciders.len() as u32 - 1
    });
    (image, deciders)
}

pub(super) fn image(policy: &Policy) -> Image {
    try_compile(policy, &OPTIONS).0.unwrap()
}

/// Numbers spread over their range, the same on every machine.
pub(super) fn spread(number: usize) -> u32 {
    (number as u32).wrapping_mul(0x9e37_79b1)
}

/// `count` hosts, no two of which touch.
pub(super) fn hosts(count: usize) -> Vec<IpNet> {
    let host = |number| IpNet::from(IpAddr::V4(Ipv4Addr::from_bits((spread(number) >> 1) << 1)));
    (0..count).map(host).collect()
}

pub(super) fn list_policy(prefixes: Vec<IpNet>) -> Policy {
    let rule = rule(0, tcp(443, 443), Remote::PrefixList(PrefixListIndex(0)));
    let prefix_lists = vec![("list".to_owned(), prefixes.into())];
    Policy::new(PolicyParts { prefix_lists, ..parts(vec![group("web", vec![rule])]) }).unwrap()
}

/// The decision for inbound TCP over IPv4.
fn decision(image: &Image, remote: &str, port: u16) -> Decision {
    let root = header::ROOTS + Direction::Ingress as usize * 2 + Family::V4 as usize;
    let source = remote.parse::<IpAddr>().unwrap().into();
    let packet = Packet { protocol: protocol::TCP, l4_selector: port, source, ..Packet::EMPTY };
    let keys = packet_keys(Direction::Ingress, &packet);
    Walk::from(image.words(), root).run(image.words(), &keys).unwrap()
}

/// A policy that uses every feature.
fn mixed() -> Policy {
    let remotes = |number: usize| match number % 4 {
        0 => Remote::Any,
        1 => Remote::Net(IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(spread(number)), 20).unwrap().trunc())),
        2 => Remote::Group(GroupIndex(number % 2)),
        _ => Remote::PrefixList(PrefixListIndex(0)),
    };
    let port = |number: usize| number as u16 * 37;
    let rules = |from: usize| {
        (from..from + 60)
            .map(move |number| rule(number, tcp(port(number), port(number) + 100), remotes(number)))
    };
    let six =
        |number: u16| IpNet::V6(Ipv6Net::new([0x2001, 0xdb8, number, 0, 0, 0, 0, 0].into(), 48).unwrap());
    let mut groups = vec![group("web", rules(0).collect()), group("db", rules(60).collect())];
    groups[0].egress = rules(0).collect();
    groups[1].inner_access = true;
    let prefixes = hosts(40).into_iter().chain((0..40).map(six)).collect();
    let prefix_lists = vec![("list".to_owned(), prefixes)];
    let members = [0, 1].map(|place| {
        (GroupIndex(place), hosts(30).into_iter().skip(place * 10).map(|net| net.addr()).collect())
    });
    let members = members.into_iter().collect();
    Policy::new(PolicyParts { prefix_lists, members, ..parts(groups) }).unwrap()
}

fn digest(image: &Image) -> u64 {
    // This hasher has fixed keys.
    let mut hasher = DefaultHasher::new();
    image.words().hash(&mut hasher);
    hasher.finish()
}

/// Set in the process that [`the_same_policy_gives_the_same_bytes_in_every_process`] starts.
const CHILD: &str = "SG_COMPILE_DIGEST";

#[test]
fn the_same_policy_gives_the_same_bytes_in_every_process() {
    let once = image(&mixed());
    if env::var_os(CHILD).is_some() {
        println!("\ndigest {:#x}.", digest(&once));
        return;
    }
    assert_eq!(once, image(&mixed()));
    // The order of hash maps differs by process: another process must not write another image.
    let name = "tests::the_same_policy_gives_the_same_bytes_in_every_process";
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains(&format!("digest {:#x}.", digest(&once))), "{said}");
}

#[test]
fn the_header_says_what_the_nic_is() {
    const PASS: u32 = flags::PASS_DECRYPTED;
    let base = parts(vec![group("web", Vec::new())]);
    for (role, written, established, wanted) in [
        (Role::Host, None, Established::Revalidate, PASS | flags::REVALIDATE),
        (Role::Host, None, Established::Keep, PASS),
        (Role::Host, Some(true), Established::Keep, PASS | flags::ANTI_SPOOFING),
        (Role::Guest, None, Established::Keep, flags::GUEST | flags::ANTI_SPOOFING),
        (Role::Guest, Some(false), Established::Revalidate, flags::GUEST | flags::REVALIDATE),
    ] {
        let nics = vec![Nic { role, anti_spoofing_written: written, established, ..nic(1) }];
        let policy = Policy::new(PolicyParts { nics, ..base.clone() }).unwrap();
        let header = Header::read(image(&policy).words());
        assert_eq!(header, Some(Header { generation: 3, flags: wanted, counters: 128 }));
    }
}

#[test]
fn the_header_says_what_the_device_is_and_what_becomes_of_ipsec() {
    const BOTH: u32 = flags::PASS_DECRYPTED | flags::LAYER_3;
    let base = parts(vec![group("web", Vec::new())]);
    for (role, is_layer_3, ipsec_written, wanted) in [
        (Role::Host, false, None, flags::PASS_DECRYPTED),
        (Role::Host, false, Some(Ipsec::Pass), flags::PASS_DECRYPTED),
        (Role::Host, false, Some(Ipsec::Judge), 0),
        (Role::Host, true, None, flags::LAYER_3),
        (Role::Host, true, Some(Ipsec::Pass), BOTH),
        (Role::Guest, false, None, 0),
        (Role::Guest, false, Some(Ipsec::Judge), 0),
        (Role::Guest, true, None, flags::LAYER_3),
    ] {
        let nics = vec![Nic { role, ipsec_written, ..nic(1) }];
        let mut policy = Policy::new(PolicyParts { nics, ..base.clone() }).unwrap();
        let facts = DeviceFacts { is_layer_3, ..DeviceFacts::default() };
        policy.set_device_facts(|_| facts.clone());
        let header = Header::read(image(&policy).words()).unwrap();
        assert_eq!(header.flags & BOTH, wanted, "{role:?} {is_layer_3} {ipsec_written:?}");
    }
}

#[test]
fn the_header_says_which_frames_pass() {
    let base = parts(vec![group("web", Vec::new())]);
    let kinds = ["lldp", "eapol", "stp", "0x8915", "ptp", "0xffff", "0x0600", "lacp"];
    for count in 0..=kinds.len() {
        for is_layer_3 in [false, true] {
            let ethertypes: Vec<Ethertype> =
                kinds[..count].iter().map(|kind| kind.parse().unwrap()).collect();
            let numbers: Vec<u16> = ethertypes.iter().map(|kind| kind.number()).collect();
            let nics = vec![Nic { ethertypes, ..nic(1) }];
            let mut policy = Policy::new(PolicyParts { nics, ..base.clone() }).unwrap();
            let facts = DeviceFacts { is_layer_3, ..DeviceFacts::default() };
            policy.set_device_facts(|_| facts.clone());
            let image = image(&policy);
            let words = image.words();
            let flags = Header::read(words).unwrap().flags;
            assert_eq!(flags & flags::ETHERTYPES != 0, count > 0 && !is_layer_3, "{count} {is_layer_3}");
            let named = [words[header::ETHERTYPES], words[header::ETHERTYPES + 1]];
            for number in 1..=u16::MAX {
                assert_eq!(names(named, number), numbers.contains(&number), "{count}: {number:#x}");
            }
        }
    }
}

#[test]
fn a_generation_is_not_a_policy() {
    let first = image(&mixed());
    let second = first.clone().with_generation(u32::MAX);
    assert_ne!(first, second);
    assert!(first.same_policy(&second) && second.same_policy(&first));
    let header = |image: &Image| Header::read(image.words()).unwrap();
    assert_eq!(header(&second), Header { generation: u32::MAX, ..header(&first) });
    assert_eq!(second.with_generation(3), first);

    let by_hand = try_compile(&mixed(), &ImageOptions { generation: 9, ..OPTIONS }).0.unwrap();
    assert_eq!(by_hand, first.clone().with_generation(9));
    let other_counters = try_compile(&mixed(), &ImageOptions { counters: 0, ..OPTIONS }).0.unwrap();
    assert!(!first.same_policy(&other_counters));
    // The flags share a word with the generation.
    let mut kept = parts(vec![group("web", Vec::new())]);
    let revalidated = image(&Policy::new(kept.clone()).unwrap());
    kept.nics[0].established = Established::Keep;
    assert!(!revalidated.same_policy(&image(&Policy::new(kept).unwrap())));
    assert!(!revalidated.same_policy(&first), "of another length");
}

#[test]
fn every_decider_is_asked_for_its_number_once() {
    let policy = mixed();
    let (image, mut deciders) = try_compile(&policy, &OPTIONS);
    image.unwrap();
    let asked = deciders.len();
    deciders.sort();
    deciders.dedup();
    // Two groups of 60 inbound rules, 60 outbound ones, one group with inner access, two defaults.
    assert_eq!((asked, deciders.len()), (183, 183));
}

#[test]
fn a_hundred_thousand_prefixes_cost_less_than_twelve_words_each() {
    let words = |count| image(&list_policy(hosts(count))).words().len();
    let empty = words(0);
    let (tenth, whole) = (words(10_000) - empty, words(100_000) - empty);
    println!("10,000 prefixes: {tenth} words; 100,000: {whole}");
    // Four for the bounds and their references, the rest for a directory with a node in every bucket.
    assert!(whole < 100_000 * 12, "{whole} words");
    assert!(whole < tenth * 11, "10,000 prefixes cost {tenth} words, 100,000 cost {whole}: not linear");
}

#[test]
fn prefixes_that_touch_cost_what_one_does() {
    let touching =
        (0..1_u32 << 16).map(|host| IpNet::from(IpAddr::from(Ipv4Addr::from_bits(0x0a01_0000 | host))));
    let one = list_policy(vec!["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(image(&list_policy(touching.collect())), image(&one));
}

#[test]
fn equal_parts_are_stored_once() {
    let with_ports = |ports: fn(usize) -> u16| {
        let rules = hosts(1000).into_iter().enumerate().map(|(number, host)| {
            let ports = tcp(ports(number), ports(number) + 10);
            Rule { action: Action::Accept, ..rule(number, ports, Remote::Net(host)) }
        });
        let policy = policy(vec![group("web", rules.collect())]);
        // One counter number for all rules: sharing requires equal decisions, counters included.
        compile(&policy, &policy.nics()[0], &OPTIONS, &mut |_| 0).unwrap().words().len()
    };
    let (same, different) = (with_ports(|_| 443), with_ports(|number| number as u16 * 20));
    println!("1,000 prefixes, the same ports: {same} words; different ones: {different}");
    // Each of the other rules needs a node of its own.
    assert!(
        same + 999 * NODE_WORDS <= different,
        "the same ports cost {same} words, different ones {different}"
    );
}

#[test]
fn a_rule_that_is_shadowed_costs_nothing() {
    // At the same priority, drops come first.
    let all =
        Rule { id: "all".to_owned(), action: Action::Drop, ..rule(0, Match::of(Protocol::All), Remote::Any) };
    let behind = |rules: Vec<Rule>| image(&policy(vec![group("web", [vec![all.clone()], rules].concat())]));
    let hidden = hosts(500).into_iter().enumerate();
    let hidden = hidden.map(|(number, host)| rule(number, tcp(number as u16, 60_000), Remote::Net(host)));
    assert_eq!(behind(hidden.collect()).words().len(), behind(Vec::new()).words().len());
}

/// Rules that overlap in every dimension: nested, shifted prefixes, port ranges and source port ranges.
pub(super) fn overlapping(count: usize) -> Policy {
    let rules = (0..count).map(|number| {
        let at = |turn: u32| (spread(number) >> turn) as u16;
        let range = |a: u16, b: u16| Ports::Ranges(vec![PortRange::new(a.min(b), a.max(b)).unwrap()]);
        let (ports, source_ports) = (range(at(0), at(5)), range(at(3), at(9)));
        let net = Ipv4Net::new(Ipv4Addr::from_bits(spread(number)), 1 + (number % 24) as u8).unwrap().trunc();
        let local =
            Ipv4Net::new(Ipv4Addr::from_bits(spread(number + 7)), (number % 17) as u8).unwrap().trunc();
        let local = Some(local.into());
        let matches = Match { ports, source_ports, local, ..Match::of(Protocol::Number(6)) };
        rule(number, matches, Remote::Net(net.into()))
    });
    policy(vec![group("web", rules.collect())])
}

/// The CPU time of this thread, so that other tests and programs do not count.
fn of_this_thread() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// The widest range of IPv6 is of 254 prefixes, which touch: it costs what one prefix costs.
#[test]
fn a_range_costs_as_much_as_a_prefix() {
    let range = |number: u64| {
        let text = format!("{:x}::1-{:x}::ffff:ffff:ffff:fffe", 0x2000 + number * 2, 0x2000 + number * 2);
        text.parse::<Addresses>().unwrap()
    };
    let of_list = |entries: Prefixes| {
        let mut parts = list_policy(Vec::new()).into_parts();
        parts.prefix_lists[0].1 = entries;
        image(&Policy::new(parts).unwrap()).words().len()
    };
    let prefix = |number: u64| format!("{:x}::/64", 0x2000 + number * 2).parse::<IpNet>().unwrap();
    let (ranges, prefixes): (Prefixes, Prefixes) =
        ((0..170).map(range).collect(), (0..170).map(prefix).collect());
    assert_eq!((ranges.as_slice().len(), prefixes.as_slice().len()), (170 * 126, 170));
    let (of_ranges, of_prefixes) = (of_list(ranges), of_list(prefixes));
    println!("{of_ranges} words for ranges, {of_prefixes} for prefixes");
    // Another two nodes for the lower half of each.
    assert!(of_ranges < of_prefixes + 170 * 2 * 16, "{of_ranges} {of_prefixes}");
    let wide = ["::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "0.0.0.1-255.255.255.254"];
    let wide: Prefixes = wide.iter().map(|text| text.parse::<Addresses>().unwrap()).collect();
    let one: Prefixes = ["::/1", "0.0.0.0/1"].iter().map(|text| text.parse::<IpNet>().unwrap()).collect();
    assert!(of_list(wide) < of_list(one) + 4 * 16);
}

#[test]
fn a_policy_that_explodes_is_refused_quickly_and_by_name() {
    let mut parts = parts(vec![group("web", overlapping(2000).groups()[0].ingress.clone())]);
    let list =
        Rule { id: "the-list".to_owned(), ..rule(0, tcp(1, 2), Remote::PrefixList(PrefixListIndex(0))) };
    parts.prefix_lists = vec![("list".to_owned(), hosts(300).into())];
    parts.groups[0].ingress.push(list);
    let policy = Policy::new(parts).unwrap();
    let begun = of_this_thread();
    let error = try_compile(&policy, &SMALL_BUDGET).0.unwrap_err();
    let took = of_this_thread().saturating_sub(begun);
    println!("refused after {took:?}: {error}");
    // Without optimisation; a release build takes a fraction.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let CompileError::OverBudget { device, budget_bytes, costliest } = &error else { panic!("{error}") };
    assert_eq!((device.as_str(), *budget_bytes, costliest.len()), ("eth0", 1 << 20, 3));
    assert_eq!(costliest[0], "the-list of group web (300 combinations)");
    assert!(error.to_string().contains("--image-budget"));
}

#[test]
fn a_policy_is_over_budget_or_within_it() {
    let policy = list_policy(hosts(2000));
    let needed = image(&policy).words().len();
    for (budget_words, fits) in [(needed, true), (needed - 1, false), (needed / 2, false), (0, false)] {
        let (found, _) = try_compile(&policy, &ImageOptions { budget_words, ..OPTIONS });
        assert_eq!(found.is_ok(), fits, "{budget_words} words of {needed}");
    }
    // A budget above the largest possible image is capped to that.
    let (found, _) = try_compile(&policy, &ImageOptions { budget_words: usize::MAX, ..OPTIONS });
    assert_eq!(found.unwrap(), image(&policy));
}

#[test]
fn ten_groups_are_asked_in_their_order() {
    // Every group accepts or drops port 22 from a net of its own, each wider than the one before.
    let groups: Vec<Group> = (0..10)
        .map(|place| {
            let net = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 30 - 2 * place as u8).unwrap();
            let action = if place % 2 == 0 { Action::Accept } else { Action::Drop };
            let rule = Rule { action, ..rule(place, tcp(22, 22), Remote::Net(net.into())) };
            group(&format!("group-{place}"), vec![rule])
        })
        .collect();
    for (precedence, remote, wanted) in [
        (Precedence::Sequence, "10.0.0.3", Some(0)),
        (Precedence::Sequence, "10.0.0.4", Some(1)),
        (Precedence::Sequence, "10.0.0.16", Some(2)),
        (Precedence::Sequence, "10.15.255.255", Some(9)),
        (Precedence::Sequence, "10.16.0.0", None),
        // Merged, drops come before accepts of the same priority.
        (Precedence::Merged, "10.0.0.3", Some(1)),
        (Precedence::Merged, "10.0.0.16", Some(3)),
        (Precedence::Merged, "10.3.255.255", Some(9)),
    ] {
        let mut parts = parts(groups.clone());
        parts.nics[0].precedence = precedence;
        let policy = Policy::new(parts).unwrap();
        let (image, deciders) = try_compile(&policy, &OPTIONS);
        let found = decision(&image.unwrap(), remote, 22);
        let decider = match wanted {
            Some(group) => Decider::Rule(RuleIndex {
                group: GroupIndex(group),
                direction: Direction::Ingress,
                position: 0,
            }),
            None => Decider::Default(Direction::Ingress),
        };
        assert_eq!(deciders[found.number() as usize], decider, "{precedence:?} from {remote}");
        let accepts = wanted.is_some_and(|group| group % 2 == 0);
        assert_eq!(found.verdict(), if accepts { Verdict::Accept } else { Verdict::Drop });
        let reason = if wanted.is_some() { Reason::Rule } else { Reason::Default };
        assert_eq!(found.reason(), Ok(reason));
    }
}
