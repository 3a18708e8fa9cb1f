//! Records of every kind, with hostile texts.

use std::{collections::BTreeMap, fmt::Debug, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use sg_model::{
    AddressPair, AddressRange, AllowedSources, Ethertype, HeaderNumbers, Ipsec, MidStream, NamedTakeover,
    PortRange, Takeover, Unmatched,
};
use sg_records::*;

use super::super::*;

pub(super) fn record() -> BoxedStrategy<Record> {
    prop_oneof![
        1 => vpc().prop_map(Record::from),
        1 => group().prop_map(Record::from),
        4 => rule().prop_map(Record::from),
        1 => member().prop_map(Record::from),
        1 => list::<PrefixEntry>(addresses(), family()).prop_map(Record::from),
        1 => list::<PortEntry>(port_set(), Just(NoExtra {})).prop_map(Record::from),
        1 => instance().prop_map(Record::from),
        1 => nic().prop_map(Record::from),
        1 => access_key().prop_map(Record::from),
        1 => token().prop_map(Record::from),
        1 => settings().prop_map(Record::from),
        1 => demands().prop_map(Record::from),
    ]
    .boxed()
}

/// Records with distinct keys.
pub(super) fn records(most: usize) -> impl Strategy<Value = Vec<Record>> {
    vec(record(), 0..most).prop_map(|records| {
        let by_key: BTreeMap<Key, Record> =
            records.into_iter().map(|record| (record.key(), record)).collect();
        by_key.into_values().collect()
    })
}

/// Texts that people write, and texts that they do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 -]{0,12}",
        any::<String>(),
        select(vec!["\"", "\n", "\0", "\u{2028}", "{}", "é"]).prop_map(str::to_owned)
    ]
}

/// Few different ids, so that keys of records collide.
fn id<T: From<String> + Debug>(prefix: &'static str) -> impl Strategy<Value = T> {
    prop_oneof![8 => (0..8_u8).prop_map(move |number| format!("{prefix}{number}")), 1 => text()]
        .prop_map(T::from)
}

fn created() -> impl Strategy<Value = Timestamp> {
    let nanoseconds = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
    nanoseconds.prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).unwrap())
}

fn net() -> impl Strategy<Value = IpNet> {
    any::<(IpAddr, u8)>().prop_map(|(address, length)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length % (longest + 1)).unwrap().trunc()
    })
}

fn addresses() -> impl Strategy<Value = Addresses> {
    let range = any::<[IpAddr; 2]>().prop_map(|[one, other]| {
        let ends = AddressRange::new(one.min(other), one.max(other));
        ends.map_or_else(|_| Addresses::Net(one.into()), Addresses::Range)
    });
    prop_oneof![net().prop_map(Addresses::Net), range]
}

fn port_set() -> impl Strategy<Value = PortSet> {
    vec(any::<(u16, u16)>(), 1..4).prop_map(|ranges| {
        let ranges = ranges
            .into_iter()
            .map(|(one, other)| PortRange::new(one.min(other), one.max(other)).unwrap().to_string());
        ranges.collect::<Vec<_>>().join(",").parse().unwrap()
    })
}

prop_compose! {
    fn label()(
        name in text(), description in text(), created in created(), updated in created(),
        tags in btree_map(text(), text(), 0..3), owner in option::of(text()),
    ) -> Label {
        Label { name, description, tags, created, updated, owner }
    }
}

prop_compose! {
    fn vpc()(
        id in id("vpc-"), region in text(), label in label(),
        cidr in option::of(select(vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.0/24".parse().unwrap()])),
        order in select(vec![Order::Merged, Order::Sequence]),
        established in select(vec![Established::Revalidate, Established::Keep]),
        mid_stream in select(vec![MidStream::Loose, MidStream::Strict]),
        takeover in select(vec![Takeover::default(), Takeover::Seconds(60), Takeover::Named(NamedTakeover::Forever)]),
        default in select(vec![Unmatched::Drop, Unmatched::Reject]),
    ) -> Vpc {
        Vpc { id, region, label, cidr, order, established, mid_stream, takeover, default }
    }
}

prop_compose! {
    fn group()(
        id in id("sg-"), region in text(), vpc in option::of(id("vpc-")), label in label(),
        kind in select(GroupType::ALL.to_vec()),
        inner_access in any::<bool>(), default in any::<bool>(),
    ) -> Group {
        Group { id, region, vpc, label, kind, inner_access, default }
    }
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::Any),
        port_set().prop_map(|set| Ports::Ranges(set.ranges().to_vec())),
        id("prl-").prop_map(Ports::List)
    ]
}

fn remote() -> impl Strategy<Value = Remote> {
    prop_oneof![
        Just(Remote::Any),
        net().prop_map(Remote::Net),
        id("sg-").prop_map(Remote::Group),
        id("pl-").prop_map(Remote::PrefixList),
    ]
}

prop_compose! {
    fn spec()(
        (action, nic_type) in (
            select(vec![Action::Accept, Action::Drop, Action::Reject]), select(vec![NicType::Internet, NicType::Intranet]),
        ),
        priority in any::<u8>(),
        protocol in prop_oneof![Just(Protocol::All), any::<u8>().prop_map(Protocol::Number)],
        ports in ports(), source_ports in ports(),
        numbers in any::<[Option<u8>; HeaderNumbers::COUNT]>(),
        family in option::of(select(OnlyFamily::ALL.to_vec())),
        remote in remote(), local in option::of(net()), enabled in any::<bool>(),
        name in text(), description in text(),
    ) -> RuleSpec {
        let mut numbers = numbers.into_iter();
        let numbers = HeaderNumbers::read(|_, _, max| numbers.next()?.map(|number| number & max));
        let matches = Match { protocol, ports, source_ports, numbers, family, remote, local };
        RuleSpec { action, priority, matches, nic_type, enabled, name, description }
    }
}

prop_compose! {
    fn rule()(
        id in id("sgr-"), group in id("sg-"), direction in select(Direction::ALL.to_vec()), serial in any::<u64>(),
        created in created(), updated in created(), spec in spec(),
    ) -> Rule {
        Rule { id, group, direction, serial, created, updated, spec }
    }
}

prop_compose! {
    fn member()(group in id("sg-"), address in any::<IpAddr>(), owner in option::of(text())) -> Member {
        Member { group, address, owner }
    }
}

fn list<E: ListEntry>(
    value: impl Strategy<Value = E::Value>,
    extra: impl Strategy<Value = E::Extra>,
) -> impl Strategy<Value = EntryList<E>> {
    let entry = (value, text()).prop_map(|(value, description)| E::new(value, description));
    let parts = (id(E::Id::PREFIX), text(), label(), extra, any::<u32>(), vec(entry, 0..4));
    parts.prop_map(|(id, region, label, extra, max_entries, entries)| EntryList {
        id,
        region,
        label,
        extra,
        max_entries,
        entries,
    })
}

fn family() -> impl Strategy<Value = PrefixFamily> {
    option::of(select(vec![Family::V4, Family::V6])).prop_map(|family| PrefixFamily { family })
}

prop_compose! {
    fn instance()(
        id in id("i-"), region in text(), vpc in option::of(id("vpc-")), label in label(),
    ) -> Instance {
        Instance { id, region, vpc, label }
    }
}

prop_compose! {
    fn senders()(mac in any::<bool>(), pairs in vec(any::<std::net::Ipv4Addr>(), 0..3)) -> AllowedSources {
        let mac = mac.then(|| "02:00:00:00:00:05".parse().unwrap());
        let pair = |address: std::net::Ipv4Addr| AddressPair { address: IpAddr::from(address).into(), mac };
        AllowedSources { mac, allowed_address_pairs: pairs.into_iter().map(pair).collect() }
    }
}

prop_compose! {
    fn nic()(
        (id, region, vpc, label) in (id("eni-"), text(), option::of(id("vpc-")), label()),
        instance in option::of(id("i-")), primary in any::<bool>(), device in option::of(text()),
        role in select(vec![Role::Host, Role::Guest]),
        (addresses, dhcp_servers) in (vec(any::<IpAddr>(), 0..3), vec(any::<IpAddr>(), 0..2)),
        (anti_spoofing, accept_own_source) in any::<(Option<bool>, bool)>(), nic_type in select(vec![NicType::Internet, NicType::Intranet]),
        senders in senders(), (hook, ipsec) in (select(vec![Hook::Tc, Hook::Xdp]), select(vec![None, Some(Ipsec::Pass), Some(Ipsec::Judge)])),
        ethertypes in vec(any::<u16>().prop_filter_map("it may be named", |number| Ethertype::new(number).ok()), 0..3),
        groups in vec(id("sg-"), 1..4),
    ) -> Nic {
        Nic {
            id, region, vpc, label, instance, primary, device, role, addresses, anti_spoofing, accept_own_source,
            dhcp_servers, senders, hook, ipsec, ethertypes, nic_type,
            groups,
        }
    }
}

prop_compose! {
    fn access_key()(
        id in id("ak-"), secret in text(), role in select(KeyRole::ALL.to_vec()), description in text(),
        created in created(),
    ) -> AccessKey {
        AccessKey { id, secret, role, description, created }
    }
}

/// A possible response.
fn response() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(text(), inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

prop_compose! {
    fn token()(
        token in id("me/"), fingerprint in text(), response in response(), created in created(),
    ) -> Token {
        Token { token, fingerprint, response, created }
    }
}

prop_compose! {
    fn settings()(serial in any::<u64>(), tags in any::<u32>(), rules_per_nic in any::<u32>()) -> Settings {
        Settings { quotas: Quotas { rules_per_nic, tags, ..Quotas::default() }, serial }
    }
}

prop_compose! {
    fn demands()(
        document in text(), place in text(), probe in text(), from in vec(remote(), 0..3), rule in option::of(text()),
        number in 0..3_usize,
    ) -> Demands {
        let test = PolicyTest {
            nic: None,
            group: Some("sg-1".into()),
            direction: Direction::Egress,
            from,
            to: Vec::new(),
            service: Match::of(Protocol::All),
            expect: Action::Reject,
            rule,
            description: String::new(),
        };
        Demands {
            document: DocumentName(document),
            tests: vec![DemandedTest { place: place.clone(), test }; number],
            keep: vec![DemandedPacket { place, probe }; number],
        }
    }
}

proptest! {
    #[test]
    fn every_record_can_be_read_again(record in record()) {
        let text = text::encode_checked(&record).unwrap();
        prop_assert!(!text.contains(&b'\n'));
        prop_assert_eq!(text::decode(&text), Ok(record));
    }

    #[test]
    fn keys_have_the_same_text_only_where_they_are_the_same(one in record(), other in record()) {
        prop_assert_eq!(one.key() == other.key(), one.key().to_string() == other.key().to_string());
    }
}

/// A new kind must get a strategy: this does not compile before it is named here.
#[test]
fn every_kind_is_among_them() {
    fn number(record: &Record) -> usize {
        match record {
            Record::Vpc(_) => 0,
            Record::Group(_) => 1,
            Record::Rule(_) => 2,
            Record::Member(_) => 3,
            Record::PrefixList(_) => 4,
            Record::PortList(_) => 5,
            Record::Instance(_) => 6,
            Record::Nic(_) => 7,
            Record::AccessKey(_) => 8,
            Record::Token(_) => 9,
            Record::Settings(_) => 10,
            Record::Demands(_) => 11,
        }
    }
    let mut seen = [0; 12];
    let (mut runner, records) = (TestRunner::deterministic(), record());
    for _ in 0..500 {
        seen[number(&records.new_tree(&mut runner).unwrap().current())] += 1;
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}
