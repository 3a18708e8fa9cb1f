//! Records for tests: any that can occur, for property tests.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use ipnet::IpNet;
use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    filter::Filter,
    record::{Direction, Event, FlowState, IcmpType, Record, Stage, Verdict},
};

/// An address, or a prefix.
fn nets() -> impl Strategy<Value = IpNet> {
    let address = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ];
    (address, option::of(0_u8..=32)).prop_map(|(address, length)| match length {
        Some(length) => IpNet::new(address, length).unwrap().trunc(),
        None => address.into(),
    })
}

/// Names as users write them, and such as nobody should.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["web", "eth0", "allow-https", "eni-0123456789abcdef0"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let what = (
        select(Event::ALL),
        select(Direction::ALL),
        select(Verdict::ALL),
        select(Stage::ALL),
        option::of(select(FlowState::ALL)),
    );
    let when = (0_i64..4_000_000_000, 0_i32..1_000_000_000, 0_i64..600);
    let who = (names(), names(), option::of(names()), option::of(names()), vec(names(), 0..3), names());
    let ends = (option::of(nets()), option::of(any::<u16>()), option::of(nets()), option::of(any::<u16>()));
    let counts = (any::<[u32; 2]>(), any::<[u32; 2]>(), option::of(any::<u8>()), any::<bool>(), any::<u32>());
    let rest =
        (option::of(any::<u8>()), option::of(any::<[u8; 2]>()), option::of(names()), option::of(names()));
    (what, when, who, ends, counts, rest).prop_map(|(what, when, who, ends, counts, rest)| {
        let start = Timestamp::new(when.0, when.1).unwrap();
        let mut record = Record::new(what.0, start, Timestamp::new(when.0 + when.2, when.1).unwrap());
        (record.direction, record.verdict, record.stage, record.state) = (what.1, what.2, what.3, what.4);
        (record.nic, record.device, record.group, record.rule, record.groups, _) = who.clone();
        // A name is never empty.
        record.group = record.group.filter(|name| !name.is_empty());
        record.rule = record.rule.filter(|name| !name.is_empty());
        record.reason = if record.event.is_traffic() { "rule".into() } else { String::new() };
        (record.src, record.sport, record.dst, record.dport) = ends;
        record.packets = counts.0.map(u64::from);
        record.bytes = counts.1.map(u64::from);
        (record.tcp_flags, record.folded, record.generation) = (counts.2, counts.3, counts.4);
        record.protocol = rest.0;
        record.icmp = rest.1.map(|[kind, code]| IcmpType { kind, code });
        (record.instance, record.vpc) = (rest.2, rest.3);
        if !record.event.is_traffic() {
            // What such records have.
            let (nic, device) = (record.nic, record.device);
            record = Record { nic, device, ..Record::new(record.event, record.start, record.end) };
            record.message = Some(who.5);
            record.count = Some(counts.0[0].into());
        }
        record
    })
}

pub(crate) fn records(size: Range<usize>) -> impl Strategy<Value = Vec<Record>> {
    vec(record(), size)
}

#[test]
fn the_page_has_every_field_condition_and_event() {
    let page = include_str!("../../../docs/use/flow-log.md");
    let mut record = Record::new(Event::Begin, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    (record.instance, record.vpc, record.vlan) = (Some("i".into()), Some("v".into()), Some("1".into()));
    (record.protocol, record.icmp) = (Some(1), Some(IcmpType { kind: 8, code: 0 }));
    (record.src, record.dst) = ("192.0.2.1/32".parse().ok(), "192.0.2.2/32".parse().ok());
    (record.sport, record.dport, record.tcp_flags) = (Some(1), Some(2), Some(3));
    (record.group, record.rule, record.groups) = (Some("g".into()), Some("r".into()), vec!["g".into()]);
    (record.state, record.folded, record.reason) = (Some(FlowState::HalfOpen), true, "rule".into());
    (record.message, record.count) = (Some("m".into()), Some(1));
    let json = serde_json::to_value(&record).unwrap();
    let fields = json.as_object().unwrap();
    assert_eq!(fields.len(), 29, "a field that is not set above: {json}");
    let named = |name: &str| page.contains(&format!("`{name}`"));
    for name in fields.keys().map(String::as_str).chain(Filter::KEYS) {
        assert!(named(name), "{name} is not on the page");
    }
    let events =
        Event::ALL.iter().map(|event| event.name()).chain(Stage::ALL.iter().map(|stage| stage.name()));
    for word in events.chain(FlowState::ALL.iter().map(|state| state.name())) {
        assert!(named(word), "{word} is not on the page");
    }
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in record()) {
        let json = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn a_line_is_one_line_of_visible_text(record in record()) {
        let line = record.to_string();
        prop_assert!(!line.chars().any(sg_model::text::is_invisible), "{:?}", line);
    }
}
