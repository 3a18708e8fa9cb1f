//! A record in a quarter of its memory: names that occur together are stored once.
//!
//! It must never drop anything of a record. Called by `Memory`.

use std::{
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::record::{Direction, Event, FlowState, IcmpType, Record, Stage, Verdict};

/// Everything of a record that many have in common: the NIC and what decided.
#[derive(Debug)]
struct Names {
    nic: Box<str>,
    device: Box<str>,
    instance: Option<Box<str>>,
    vpc: Option<Box<str>>,
    vlan: Option<Box<str>>,
    direction: Direction,
    verdict: Verdict,
    stage: Stage,
    group: Option<Box<str>>,
    rule: Option<Box<str>>,
    groups: Box<[Box<str>]>,
    reason: Box<str>,
    generation: u32,
    message: Option<Box<str>>,
    /// Of all of these.
    hash: u64,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Compact {
    names: Arc<Names>,
    /// Nanoseconds since 1970: until the year 2262.
    start: i64,
    end: i64,
    packets: [u64; 2],
    bytes: [u64; 2],
    src: Option<IpNet>,
    dst: Option<IpNet>,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp: Option<IcmpType>,
    protocol: Option<u8>,
    tcp_flags: Option<u8>,
    state: Option<FlowState>,
    event: Event,
    folded: bool,
    /// Rare: of losses and sums.
    count: Option<Box<u64>>,
}

impl Compact {
    pub(super) fn new(record: &Record, known: &mut KnownNames) -> Self {
        let Record {
            event,
            start,
            end,
            nic: _,
            device: _,
            instance: _,
            vpc: _,
            direction: _,
            vlan: _,
            protocol,
            src,
            sport,
            dst,
            dport,
            icmp,
            verdict: _,
            stage: _,
            group: _,
            rule: _,
            groups: _,
            reason: _,
            generation: _,
            state,
            packets,
            bytes,
            tcp_flags,
            folded,
            message: _,
            count,
            // Single events are not remembered.
            live: _,
            frame: _,
        } = record;
        let names = known.get(record);
        Self {
            names,
            start: nanoseconds(*start),
            end: nanoseconds(*end),
            packets: *packets,
            bytes: *bytes,
            src: *src,
            dst: *dst,
            sport: *sport,
            dport: *dport,
            icmp: *icmp,
            protocol: *protocol,
            tcp_flags: *tcp_flags,
            state: *state,
            event: *event,
            folded: *folded,
            count: count.map(Box::new),
        }
    }

    /// The record as it was, to the nanosecond.
    pub(super) fn record(&self) -> Record {
        let Self {
            names,
            start,
            end,
            packets,
            bytes,
            src,
            dst,
            sport,
            dport,
            icmp,
            protocol,
            tcp_flags,
            state,
            event,
            folded,
            count,
        } = self;
        let Names {
            nic,
            device,
            instance,
            vpc,
            vlan,
            direction,
            verdict,
            stage,
            group,
            rule,
            groups,
            reason,
            generation,
            message,
            hash: _,
        } = &**names;
        let text = |boxed: &Option<Box<str>>| boxed.as_deref().map(str::to_owned);
        Record {
            event: *event,
            start: timestamp(*start),
            end: timestamp(*end),
            nic: nic.to_string(),
            device: device.to_string(),
            instance: text(instance),
            vpc: text(vpc),
            direction: *direction,
            vlan: text(vlan),
            protocol: *protocol,
            src: *src,
            sport: *sport,
            dst: *dst,
            dport: *dport,
            icmp: *icmp,
            verdict: *verdict,
            stage: *stage,
            group: text(group),
            rule: text(rule),
            groups: groups.iter().map(|group| String::from(&**group)).collect(),
            reason: reason.to_string(),
            generation: *generation,
            state: *state,
            packets: *packets,
            bytes: *bytes,
            tcp_flags: *tcp_flags,
            folded: *folded,
            message: text(message),
            count: count.as_deref().copied(),
            live: false,
            frame: None,
        }
    }

    /// Whether it ended before `start`, or began after `end`: without making a record of it.
    pub(super) fn is_outside(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        since.is_some_and(|since| self.end < nanoseconds(since))
            || until.is_some_and(|until| self.start > nanoseconds(until))
    }
}

fn nanoseconds(time: Timestamp) -> i64 {
    let most = if time.as_second() < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(time.as_nanosecond()).unwrap_or(most)
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default()
}

/// The names that records refer to.
#[derive(Debug, Default)]
pub(super) struct KnownNames {
    names: HashTable<Arc<Names>>,
    hasher: RandomState,
    bytes: usize,
}

impl KnownNames {
    /// The names of a record. They are compared before anything is allocated: most are known.
    fn get(&mut self, record: &Record) -> Arc<Names> {
        let Self { names, hasher, bytes } = self;
        let hash = hash_of(hasher, record);
        if let Some(known) = names.find(hash, |known| known.are_of(record)) {
            return Arc::clone(known);
        }
        let new = Arc::new(Names::new(record, hash));
        *bytes = bytes.saturating_add(new.size());
        names.insert_unique(hash, Arc::clone(&new), |names| names.hash);
        new
    }

    /// Memory, estimated.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the names that no record has.
    pub(super) fn forget_unused(&mut self) {
        self.names.retain(|names| Arc::strong_count(names) > 1);
        self.bytes = self.names.iter().map(|names| names.size()).sum();
        self.names.shrink_to(self.names.len().saturating_mul(2), |names| names.hash);
    }
}

/// Hash of a record's names.
fn hash_of(hasher: &RandomState, record: &Record) -> u64 {
    let Record { nic, device, instance, vpc, vlan, direction, verdict, stage, group, rule, groups, .. } =
        record;
    let Record { reason, generation, message, .. } = record;
    let mut state = hasher.build_hasher();
    (nic, device, instance, vpc, vlan, direction, verdict, stage).hash(&mut state);
    (group, rule, groups, reason, generation, message).hash(&mut state);
    state.finish()
}

impl Names {
    fn new(record: &Record, hash: u64) -> Self {
        let boxed = |text: &Option<String>| text.as_deref().map(Box::from);
        Self {
            nic: record.nic.as_str().into(),
            device: record.device.as_str().into(),
            instance: boxed(&record.instance),
            vpc: boxed(&record.vpc),
            vlan: boxed(&record.vlan),
            direction: record.direction,
            verdict: record.verdict,
            stage: record.stage,
            group: boxed(&record.group),
            rule: boxed(&record.rule),
            groups: record.groups.iter().map(|group| group.as_str().into()).collect(),
            reason: record.reason.as_str().into(),
            generation: record.generation,
            message: boxed(&record.message),
            hash,
        }
    }

    fn are_of(&self, record: &Record) -> bool {
        let Self {
            nic,
            device,
            instance,
            vpc,
            vlan,
            direction,
            verdict,
            stage,
            group,
            rule,
            groups,
            reason,
            generation,
            message,
            hash: _,
        } = self;
        **nic == *record.nic
            && **device == *record.device
            && instance.as_deref() == record.instance.as_deref()
            && vpc.as_deref() == record.vpc.as_deref()
            && vlan.as_deref() == record.vlan.as_deref()
            && *direction == record.direction
            && *verdict == record.verdict
            && *stage == record.stage
            && group.as_deref() == record.group.as_deref()
            && rule.as_deref() == record.rule.as_deref()
            && groups.iter().map(|group| &**group).eq(record.groups.iter().map(String::as_str))
            && **reason == *record.reason
            && *generation == record.generation
            && message.as_deref() == record.message.as_deref()
    }

    /// With what the allocator and the set add.
    fn size(&self) -> usize {
        const ALLOCATION: usize = 16;
        let Self {
            nic,
            device,
            instance,
            vpc,
            vlan,
            direction: _,
            verdict: _,
            stage: _,
            group,
            rule,
            groups,
            reason,
            generation: _,
            message,
            hash: _,
        } = self;
        let fixed = size_of::<Self>() + 3 * ALLOCATION + 2 * size_of::<usize>();
        let texts = [Some(nic), Some(device), Some(reason)].into_iter();
        let texts = texts.chain([instance, vpc, vlan, group, rule, message].map(Option::as_ref)).flatten();
        let texts = texts.chain(groups.iter()).map(|text| text.len() + ALLOCATION);
        texts.sum::<usize>() + groups.len() * size_of::<Box<str>>() + fixed
    }
}
