//! A record in a quarter of its memory: names that occur together are stored once.
//!
//! It must never drop anything of a record. Called by `Memory`.

use std::{
    hash::{BuildHasher as _, Hash},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::record::{Event, FlowState, IcmpType, Record};

/// Everything of a record that many have in common: the NIC and what decided.
#[derive(Debug)]
struct Names {
    /// A record without anything else.
    record: Record,
    /// Of all names.
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
        Record {
            event: *event,
            start: timestamp(*start),
            end: timestamp(*end),
            protocol: *protocol,
            src: *src,
            sport: *sport,
            dst: *dst,
            dport: *dport,
            icmp: *icmp,
            state: *state,
            packets: *packets,
            bytes: *bytes,
            tcp_flags: *tcp_flags,
            folded: *folded,
            count: count.as_deref().copied(),
            ..names.record.clone()
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
        let hash = hasher.hash_one(names_of(record));
        if let Some(known) = names.find(hash, |known| names_of(&known.record) == names_of(record)) {
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

/// The names of a record, to be compared.
fn names_of(record: &Record) -> impl Hash + Eq + '_ {
    let Record { nic, device, instance, vpc, vlan, direction, verdict, stage, group, rule, groups, .. } =
        record;
    let Record { reason, generation, message, .. } = record;
    let nic = (nic, device, instance, vpc, vlan, direction);
    (nic, (verdict, stage, group, rule, groups, reason, generation, message))
}

impl Names {
    fn new(record: &Record, hash: u64) -> Self {
        let copy = record.clone();
        let Record {
            nic, device, instance, vpc, direction, vlan, verdict, stage, group, rule, groups, ..
        } = copy;
        let Record { event, reason, generation, message, .. } = copy;
        let empty = Record::new(event, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let nic = Record { nic, device, instance, vpc, direction, vlan, ..empty };
        let record = Record { verdict, stage, group, rule, groups, reason, generation, message, ..nic };
        Self { record, hash }
    }

    /// With what the allocator and the set add.
    fn size(&self) -> usize {
        const ALLOCATION: usize = 16;
        let Record { nic, device, instance, vpc, vlan, group, rule, groups, reason, message, .. } =
            &self.record;
        let fixed = size_of::<Self>() + 3 * ALLOCATION + 2 * size_of::<usize>();
        let texts = [nic, device, reason].into_iter();
        let texts = texts.chain([instance, vpc, vlan, group, rule, message].into_iter().flatten());
        let texts = texts.chain(groups).map(|text| text.capacity() + ALLOCATION);
        texts.sum::<usize>() + groups.len() * size_of::<String>() + fixed
    }
}
