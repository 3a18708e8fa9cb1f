//! What is read at a scrape: counters of the kernel, what is in force, sums and losses of the observer. It must never keep anything
//! between two scrapes. Called by `scrape`.

use std::{
    collections::HashMap,
    iter::once,
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use sg_agent::{Catalog, GroupNumbers, InForce, NicRecord, RuleNumber, nic_block};
use sg_common::{
    abi::{self, Counter, flows::EVENTS_LOST, reason_counter},
    flow::Direction,
    verdict::{Reason, Verdict},
};
use sg_inspect::{
    InspectError,
    last_hits::{Look, Owner, Row, Selection},
};
use sg_kernel::LiveFlows;
use sg_model::whole_group;
use sg_observe::{
    record,
    sink::{Counted, LostBecause},
};
use sg_observer::{NicTotals, Tally, VERDICTS};

use crate::{MetricsError, Sources, labels::label, process::Process};

/// Counted in a metric of their own.
const FULL: [Reason; 2] = [Reason::FlowTableFull, Reason::FlowQuota];
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Everything that a scrape shows and nobody measured as it happened.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) nics: Vec<NicSample>,
    pub(crate) rules: Vec<RuleSample>,
    /// Rules without series.
    pub(crate) not_exported: usize,
    /// Packets of no NIC, by reason.
    pub(crate) host_reasons: Vec<(&'static str, u64)>,
    pub(crate) live: Option<LiveFlows>,
    /// Of each family.
    pub(crate) flow_capacity: Option<u64>,
    pub(crate) applied: Option<Timestamp>,
    /// What was lost, by where.
    pub(crate) lost: Vec<(&'static str, u64)>,
    pub(crate) sinks: Vec<SinkSample>,
    pub(crate) process: Option<Process>,
}

/// A NIC.
#[derive(Debug)]
pub(crate) struct NicSample {
    pub(crate) nic: String,
    pub(crate) generation: u32,
    pub(crate) image_bytes: Option<u64>,
    /// By direction and verdict.
    pub(crate) totals: Vec<(&'static str, &'static str, Counter)>,
    /// By direction and reason.
    pub(crate) reasons: Vec<(&'static str, &'static str, u64)>,
    /// Packets that found no room for their flow, by what was full.
    pub(crate) full: Vec<(Reason, u64)>,
}

/// A rule, or the traffic between members of a group.
#[derive(Debug)]
pub(crate) struct RuleSample {
    pub(crate) group: String,
    pub(crate) rule: String,
    pub(crate) direction: &'static str,
    pub(crate) action: &'static str,
    pub(crate) counter: Counter,
    pub(crate) last_hit: Option<Timestamp>,
}

/// A sink of the flow log.
#[derive(Debug)]
pub(crate) struct SinkSample {
    pub(crate) sink: String,
    pub(crate) records: u64,
    pub(crate) lost: Vec<(&'static str, u64)>,
}

/// Something of a group that has a counter: a rule, or without one the traffic between members.
#[derive(Clone, Copy)]
struct Listed<'c> {
    group: &'c GroupNumbers,
    rule: Option<(Direction, &'c RuleNumber)>,
    number: u32,
}

/// Everything that has a counter, in the order of groups.
fn listed(catalog: &Catalog) -> impl Iterator<Item = Listed<'_>> {
    catalog.numbers.groups.iter().flat_map(|group| {
        let group = &**group;
        group.counted().map(move |(rule, number)| Listed { group, rule, number })
    })
}

/// Reasons that count by NIC. Packets of a rule or of members count there, and those of the host belong to no NIC.
fn reasons() -> impl Iterator<Item = Reason> {
    let elsewhere = [Reason::Rule, Reason::IntraGroup];
    let counts = move |reason: &Reason| !elsewhere.contains(reason) && !abi::HOST_REASONS.contains(reason);
    Reason::ALL.into_iter().filter(counts)
}

/// The numbers of a NIC's counters.
fn nic_numbers(nic: &NicRecord) -> impl Iterator<Item = (Direction, Reason, u32)> {
    let block = nic_block(nic.slot);
    let of = move |direction| {
        reasons().map(move |reason| (direction, reason, reason_counter(block, direction, reason)))
    };
    DIRECTIONS.into_iter().flat_map(of)
}

/// The numbers of counters that no rule owns.
fn others(catalog: &Catalog) -> impl Iterator<Item = u32> {
    let host = abi::HOST_REASONS.into_iter().map(abi::host_counter);
    let nics = catalog.nics.iter().flat_map(|nic| nic_numbers(nic).map(|(_, _, number)| number));
    once(EVENTS_LOST).chain(host).chain(nics)
}

/// Reads everything.
///
/// # Errors
/// If the counters cannot be read.
pub(crate) fn take(sources: &Sources) -> Result<Sample, MetricsError> {
    let most = usize::try_from(sources.rules).unwrap_or(usize::MAX);
    let select = |in_force: &InForce| Selection {
        owners: listed(&in_force.catalog)
            .take(most)
            .map(|Listed { group, rule, number }| (Owner::in_group(group, rule), number))
            .collect(),
        others: others(&in_force.catalog).collect(),
    };
    let mut sample = Sample {
        nics: Vec::new(),
        rules: Vec::new(),
        not_exported: 0,
        host_reasons: Vec::new(),
        live: sources.measured.live(),
        flow_capacity: None,
        applied: None,
        lost: lost(sources),
        sinks: sinks(&sources.sinks.counted()),
        process: Process::of_self(),
    };
    match sources.hits.read(select) {
        Ok(look) => sample.fill(sources, &look, most),
        // It starts.
        Err(InspectError::Nothing) => {}
        Err(error) => return Err(MetricsError::Counters(error)),
    }
    Ok(sample)
}

impl Sample {
    /// Fills in what is in force.
    fn fill(&mut self, sources: &Sources, look: &Look, most: usize) {
        let Look { in_force, rows, others: values, at: _ } = look;
        let catalog = &in_force.catalog;
        let is_reset = |number: u32| !in_force.unreset.contains(&number);
        self.not_exported = listed(catalog).skip(most).count();
        let mut places: HashMap<_, usize> = HashMap::new();
        let rules = listed(catalog).zip(rows).filter(|(listed, _)| is_reset(listed.number));
        for (listed, row) in rules {
            let sample = RuleSample::of(listed, row);
            if let Some(known) = places.get(&sample.key()).and_then(|place| self.rules.get_mut(*place)) {
                known.add(&sample);
            } else {
                places.insert(sample.key(), self.rules.len());
                self.rules.push(sample);
            }
        }

        let counters: HashMap<u32, Counter> =
            others(catalog).zip(values.iter().copied()).filter(|(number, _)| is_reset(*number)).collect();
        let packets = |number: u32| counters.get(&number).map(|counter| counter.packets);
        if let Some(lost) = packets(EVENTS_LOST) {
            self.lost.push(("event-ring", lost));
        }
        let host = abi::HOST_REASONS.into_iter();
        self.host_reasons =
            host.filter_map(|reason| Some((reason.name(), packets(abi::host_counter(reason))?))).collect();

        let totals: HashMap<String, NicTotals> =
            sources.tally.totals.nics().into_iter().map(|totals| (totals.device.clone(), totals)).collect();
        let nics = catalog.nics.iter().map(|nic| {
            let id = (sources.nic_ids)(&nic.device);
            let mut sample = NicSample {
                nic: label(id.as_deref().unwrap_or(&nic.device)).into_owned(),
                generation: nic.generation,
                image_bytes: in_force.image(nic).map(|image| image.bytes),
                totals: Vec::new(),
                reasons: Vec::new(),
                full: FULL.map(|reason| (reason, 0)).into(),
            };
            // A NIC that has just come has none yet.
            let nothing = NicTotals::default();
            sample.add_totals(totals.get(&nic.device).unwrap_or(&nothing), catalog.limits.denied > 0);
            for (direction, reason, number) in nic_numbers(nic) {
                let Some(packets) = packets(number) else { continue };
                match sample.full.iter_mut().find(|(full, _)| *full == reason) {
                    Some((_, sum)) => *sum += packets,
                    None => sample.reasons.push((name(direction), reason.name(), packets)),
                }
            }
            sample
        });
        self.nics = nics.collect();
        self.flow_capacity = Some(u64::from(catalog.limits.flows));
        self.applied = in_force.applied.map(|applied| applied.at);
    }
}

impl NicSample {
    /// Adds sums; those of what did not pass only if it is counted.
    fn add_totals(&mut self, totals: &NicTotals, counts_denied: bool) {
        for (direction, by_verdict) in DIRECTIONS.into_iter().zip(&totals.counted) {
            for (verdict, counter) in VERDICTS.into_iter().zip(by_verdict) {
                if counts_denied || verdict == Verdict::Accept {
                    self.totals.push((name(direction), record::Verdict::from(verdict).name(), *counter));
                }
            }
        }
    }
}

impl RuleSample {
    fn of(listed: Listed<'_>, row: &Row) -> Self {
        let (rule, direction, action) = match listed.rule {
            Some((direction, rule)) => (label(&rule.id).into_owned(), name(direction), rule.action.name()),
            None => ("intra-group".to_owned(), "both", "accept"),
        };
        let last_hit = row.used.and_then(|used| used.last_hit);
        Self {
            group: label(whole_group(&listed.group.name)).into_owned(),
            rule,
            direction,
            action,
            counter: row.counter,
            last_hit,
        }
    }
}

impl RuleSample {
    /// What makes a series of it. A policy may have several of one rule.
    fn key(&self) -> (String, String, &'static str) {
        (self.group.clone(), self.rule.clone(), self.direction)
    }

    fn add(&mut self, other: &Self) {
        self.counter.packets = self.counter.packets.saturating_add(other.counter.packets);
        self.counter.bytes = self.counter.bytes.saturating_add(other.counter.bytes);
        self.last_hit = self.last_hit.max(other.last_hit);
    }
}

/// What the observer has lost.
fn lost(sources: &Sources) -> Vec<(&'static str, u64)> {
    let Tally { lost, unread, unwritten, totals: _ } = &*sources.tally;
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    vec![("observer-queue", count(lost)), ("flow-ring", count(unread)), ("restart", count(unwritten))]
}

/// The sinks, each by its kind and its number among those of its kind, in the order of the arguments.
fn sinks(counted: &[Counted]) -> Vec<SinkSample> {
    let mut numbers: HashMap<&'static str, u32> = HashMap::new();
    let sinks = counted.iter().map(|Counted { sink, target: _, records, bytes: _, lost, error: _ }| {
        let kind = sink.name();
        let number = numbers.entry(kind).or_default();
        *number += 1;
        let lost = lost.iter().map(|LostBecause { why, records }| (why.name(), *records));
        SinkSample { sink: format!("{kind}-{number}"), records: *records, lost: lost.collect() }
    });
    sinks.collect()
}

fn name(direction: Direction) -> &'static str {
    record::Direction::from(direction).name()
}

/// For tests: the directions and reasons of a NIC that are shown, and what may be full.
#[cfg(test)]
pub(crate) fn of_nic() -> (impl Iterator<Item = (&'static str, &'static str)>, [Reason; 2]) {
    let all = DIRECTIONS.into_iter().flat_map(|direction| reasons().map(move |reason| (direction, reason)));
    let shown = all.filter(|(_, reason)| !FULL.contains(reason));
    (shown.map(|(direction, reason)| (name(direction), reason.name())), FULL)
}
