//! Sums records that are equal in some fields: by remote, by rule, by everything but the source port.
//!
//! It loses no packet: what exceeds its memory is summed without the fields. It must never know intervals; whoever takes the sums
//! decides when. The sinks and the API call it.

use std::{collections::HashMap, str::FromStr};

use foldhash::fast::RandomState;
use ipnet::IpNet;
use jiff::Timestamp;
use sg_model::text::digits;
use thiserror::Error;

use crate::record::{Direction, Event, Record, Stage};

/// A text that names no field to sum by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is no field to aggregate by: allowed are remote, remote/LENGTH, local, local/LENGTH, port, protocol, rule, nic, \
     reason, verdict, direction and drop-source-port"
)]
pub struct UnknownField {
    /// The text as given.
    pub found: String,
}

/// A field that records must have in common to be summed. Verdict and direction always are: a sum over accepted and dropped
/// packets means nothing, and remote and local change places with the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The remote, to this length of its IPv4 prefix; of an IPv6 address, twice as many bits.
    Remote(u8),
    /// The local address, likewise.
    Local(u8),
    /// The destination port, or the ICMP message.
    Port,
    /// The protocol.
    Protocol,
    /// What decided: group and rule, the default, or the reason.
    Rule,
    /// The NIC.
    Nic,
    /// The word of the reason, and with it the stage.
    Reason,
    /// All of these, with whole addresses: everything but the source port and the version of the policy.
    DropSourcePort,
    /// Verdict or direction, which are always in common.
    Always,
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let unknown = || UnknownField { found: text.to_owned() };
        let length = |length: &str| digits::<u8>(length).filter(|length| *length <= 32);
        Ok(match text {
            "remote" => Self::Remote(WHOLE),
            "local" => Self::Local(WHOLE),
            "port" => Self::Port,
            "protocol" => Self::Protocol,
            "rule" => Self::Rule,
            "nic" => Self::Nic,
            "reason" => Self::Reason,
            "drop-source-port" => Self::DropSourcePort,
            "verdict" | "direction" => Self::Always,
            _ => match text.split_once('/') {
                Some(("remote", bits)) => Self::Remote(length(bits).ok_or_else(unknown)?),
                Some(("local", bits)) => Self::Local(length(bits).ok_or_else(unknown)?),
                _ => return Err(unknown()),
            },
        })
    }
}

/// Length of a whole address. 32 would be a half of one in IPv6.
const WHOLE: u8 = 64;

/// The fields to sum by, as `--aggregate-by remote/24,port` names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(
    /// Fields in the order given. None: records are not summed.
    pub Vec<Field>,
);

impl FromStr for Fields {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        text.split(',').map(|field| field.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// How many different sums are kept at a time, by default: about 40 MiB.
pub const MAX_SUMS: usize = 65_536;

/// Sums of records.
#[derive(Debug)]
pub struct Aggregate {
    fields: Vec<Field>,
    max: usize,
    /// A record that has only the fields in common, and what it sums to.
    sums: HashMap<Record, Sum, RandomState>,
}

#[derive(Debug)]
struct Sum {
    start: Timestamp,
    end: Timestamp,
    packets: [u64; 2],
    bytes: [u64; 2],
    records: u64,
    tcp_flags: u8,
}

impl Aggregate {
    /// Sums by `fields`, `max` different sums at a time. What is new beyond them is summed by verdict, direction and event alone,
    /// and says that it is folded.
    #[must_use]
    pub fn new(fields: &Fields, max: usize) -> Self {
        Self { fields: fields.0.clone(), max, sums: HashMap::default() }
    }

    /// Adds a record to its sum. Returns `false` for a record without traffic, which is not summed.
    pub fn add(&mut self, record: &Record) -> bool {
        if !record.event.is_traffic() {
            return false;
        }
        let mut common = self.common(record);
        if self.sums.len() >= self.max && !self.sums.contains_key(&common) {
            common = Record { folded: true, ..empty(record) };
        }
        let sum = self.sums.entry(common).or_insert_with(|| Sum {
            start: record.start,
            end: record.end,
            packets: [0; 2],
            bytes: [0; 2],
            records: 0,
            tcp_flags: 0,
        });
        sum.start = sum.start.min(record.start);
        sum.end = sum.end.max(record.end);
        sum.packets = plus(sum.packets, record.packets);
        sum.bytes = plus(sum.bytes, record.bytes);
        sum.records = sum.records.saturating_add(record.count.unwrap_or(1));
        sum.tcp_flags |= record.tcp_flags.unwrap_or(0);
        true
    }

    /// Takes the sums, those of most packets first, and begins anew.
    pub fn take(&mut self) -> Vec<Record> {
        let mut sums: Vec<_> = self.sums.drain().map(|(common, sum)| sum.complete(common)).collect();
        sums.sort_by(|one, two| {
            two.all_packets().cmp(&one.all_packets()).then_with(|| one.start.cmp(&two.start))
        });
        sums
    }

    /// How many sums there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether nothing has been added since the sums were taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// `record` with nothing but the fields to sum by.
    fn common(&self, record: &Record) -> Record {
        let mut common = empty(record);
        for field in &self.fields {
            match *field {
                Field::Remote(length) => put_remote(&mut common, fold(record.remote(), length)),
                Field::Local(length) => put_local(&mut common, fold(record.local(), length)),
                Field::Port => put_port(&mut common, record),
                Field::Protocol => common.protocol = record.protocol,
                Field::Rule => put_rule(&mut common, record),
                Field::Nic => put_nic(&mut common, record),
                Field::Reason => put_reason(&mut common, record),
                Field::DropSourcePort => {
                    put_nic(&mut common, record);
                    put_rule(&mut common, record);
                    put_port(&mut common, record);
                    (common.src, common.dst) = (record.src, record.dst);
                    common.protocol = record.protocol;
                    common.vlan.clone_from(&record.vlan);
                    common.folded = record.folded;
                }
                Field::Always => {}
            }
        }
        common
    }
}

impl Sum {
    fn complete(self, common: Record) -> Record {
        let Self { start, end, packets, bytes, records, tcp_flags } = self;
        let tcp_flags = Some(tcp_flags).filter(|flags| *flags != 0);
        Record { start, end, packets, bytes, tcp_flags, count: Some(records), ..common }
    }
}

/// What every sum has in common.
fn empty(record: &Record) -> Record {
    let event = match record.event {
        Event::Begin | Event::Continue | Event::End => Event::Continue,
        other => other,
    };
    let mut common = Record::new(event, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    (common.direction, common.verdict) = (record.direction, record.verdict);
    common
}

fn put_nic(common: &mut Record, record: &Record) {
    common.nic.clone_from(&record.nic);
    common.device.clone_from(&record.device);
    common.instance.clone_from(&record.instance);
    common.vpc.clone_from(&record.vpc);
}

fn put_rule(common: &mut Record, record: &Record) {
    put_reason(common, record);
    common.group.clone_from(&record.group);
    common.rule.clone_from(&record.rule);
    if record.stage == Stage::Default {
        common.groups.clone_from(&record.groups);
    }
}

fn put_reason(common: &mut Record, record: &Record) {
    common.stage = record.stage;
    common.reason.clone_from(&record.reason);
}

const fn put_port(common: &mut Record, record: &Record) {
    (common.dport, common.icmp) = (record.dport, record.icmp);
}

const fn put_remote(common: &mut Record, net: Option<IpNet>) {
    match common.direction {
        Direction::Ingress => common.src = net,
        Direction::Egress => common.dst = net,
    }
}

const fn put_local(common: &mut Record, net: Option<IpNet>) {
    match common.direction {
        Direction::Ingress => common.dst = net,
        Direction::Egress => common.src = net,
    }
}

/// A prefix of at most this length, twice as many bits in IPv6.
fn fold(net: Option<IpNet>, length: u8) -> Option<IpNet> {
    let net = net?;
    let most = match net {
        IpNet::V4(_) => length,
        IpNet::V6(_) => length.saturating_mul(2),
    };
    if most >= net.prefix_len() {
        Some(net)
    } else {
        IpNet::new(net.addr(), most).ok().map(|net| net.trunc())
    }
}

fn plus(one: [u64; 2], two: [u64; 2]) -> [u64; 2] {
    [one[0].saturating_add(two[0]), one[1].saturating_add(two[1])]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::records;

    fn fields(text: &str) -> Fields {
        text.parse().unwrap()
    }

    fn sums(by: &str, records: &[Record]) -> Vec<Record> {
        let mut aggregate = Aggregate::new(&fields(by), MAX_SUMS);
        for record in records {
            assert!(aggregate.add(record));
        }
        aggregate.take()
    }

    fn flow(src: &str, sport: u16, packets: u64) -> Record {
        let end = Timestamp::from_second(i64::from(sport)).unwrap();
        let mut record = Record::new(Event::Begin, end, end);
        (record.src, record.sport) = (src.parse().ok(), Some(sport));
        (record.dst, record.dport) = ("10.0.0.5/32".parse().ok(), Some(443));
        (record.protocol, record.packets, record.bytes) = (Some(6), [packets, 1], [packets * 60, 40]);
        "eth0".clone_into(&mut record.nic);
        (record.group, record.rule) = (Some("web".into()), Some("https".into()));
        (record.stage, record.reason) = (Stage::Rule, "rule".into());
        record
    }

    #[test]
    fn by_prefix_and_port() {
        let records = [flow("192.0.2.7/32", 1, 2), flow("192.0.2.9/32", 5, 3), flow("198.51.100.1/32", 3, 4)];
        let sums = sums("remote/24,port", &records);
        let [one, two] = &sums[..] else { panic!("{sums:?}") };
        assert_eq!(
            one.to_string(),
            "1970-01-01T00:00:05.000Z continue accept ingress - 192.0.2.0/24 -> any:443 - - 5/2 pkts 300/80 B 2 records"
        );
        assert_eq!((one.start.as_second(), one.end.as_second()), (1, 5));
        assert_eq!(two.src, "198.51.100.0/24".parse().ok());
        assert!(!serde_json::to_string(one).unwrap().contains("stage"), "a sum over rules has no stage");
    }

    #[test]
    fn everything_but_the_source_port() {
        let records = [flow("192.0.2.7/32", 1, 2), flow("192.0.2.7/32", 2, 3)];
        let sums = sums("drop-source-port", &records);
        let [one] = &sums[..] else { panic!("{sums:?}") };
        assert_eq!((one.rule.as_deref(), one.sport, one.dport), (Some("https"), None, Some(443)));
        assert_eq!((one.src, one.nic.as_str(), one.count), (records[0].src, "eth0", Some(2)));
    }

    #[test]
    fn a_reason_keeps_its_stage() {
        let mut unmatched = flow("192.0.2.7/32", 1, 2);
        (unmatched.stage, unmatched.reason) = (Stage::Default, "default".into());
        let mut sums = sums("reason", &[flow("192.0.2.7/32", 1, 3), unmatched]).into_iter();
        let mut next = || sums.next().map(|sum| (sum.stage, sum.reason, sum.rule));
        assert_eq!(next(), Some((Stage::Rule, "rule".into(), None)));
        assert_eq!(next(), Some((Stage::Default, "default".into(), None)));
    }

    #[test]
    fn what_is_no_field_is_refused_by_name() {
        for text in ["remote/33", "remote/", "colour", "", "remote/+4", "nic/3"] {
            assert_eq!(text.parse::<Field>(), Err(UnknownField { found: text.to_owned() }));
        }
        let all = "remote,local/24,port,protocol,rule,nic,reason,verdict,direction,drop-source-port";
        assert_eq!(fields(all).0.len(), 10);
    }

    proptest! {
        #[test]
        fn no_packet_is_lost_however_little_memory_there_is(
            records in records(1..60),
            by in prop::sample::select(vec!["remote", "remote/8,port", "rule", "nic,protocol", "drop-source-port", "verdict"]),
            max in 0_usize..20,
        ) {
            let mut aggregate = Aggregate::new(&fields(by), max);
            let traffic: Vec<_> = records.iter().filter(|record| aggregate.add(record)).collect();
            // 3 verdicts, 2 directions and 3 events, in which records beyond the limit are summed.
            prop_assert!(aggregate.len() <= max + 18);
            let sums = aggregate.take();
            for side in [0, 1] {
                let (packets, bytes) = (|one: &Record| one.packets[side], |one: &Record| one.bytes[side]);
                let wanted: u64 = traffic.iter().map(|one| packets(one)).sum();
                prop_assert_eq!(sums.iter().map(packets).sum::<u64>(), wanted);
                let wanted: u64 = traffic.iter().map(|one| bytes(one)).sum();
                prop_assert_eq!(sums.iter().map(bytes).sum::<u64>(), wanted);
            }
            prop_assert_eq!(sums.iter().filter_map(|one| one.count).sum::<u64>(), traffic.len() as u64);
            prop_assert!(aggregate.is_empty());
        }
    }
}
