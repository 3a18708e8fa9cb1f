//! What the kernel counted about a candidate, as rows: both verdicts by NIC and direction, by rule of the candidate, and by line of the
//! difference between it and what is in force. It must never judge a packet. The native API calls it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use sg_agent::{CandidateCounts, CandidateInForce, nic_block};
use sg_api_types::{CandidateDecisions, CandidateRule, Unattributed};
use sg_common::{
    abi::NIC_COUNTERS,
    candidate::{DifferingEntry, DifferingKey},
    flow::Direction,
    packet::Family,
    verdict::Verdict,
};
use sg_diff::{Finder, Line, Start};
use sg_model::whole_group;
use sg_records::Action;

/// What was observed.
#[derive(Debug, Default)]
pub struct CandidateObserved {
    /// Both verdicts, by NIC and direction.
    pub decisions: Vec<CandidateDecisions>,
    /// The same by rule of the candidate.
    pub rules: Vec<CandidateRule>,
    /// How many packets are in each line.
    pub in_lines: Vec<u64>,
    /// Packets of which it is not known in which line they are.
    pub unattributed: Unattributed,
}

/// Packets that are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way<'a> {
    nic: &'a str,
    direction: Direction,
    verdicts: [u8; 2],
}

/// What `counts` say about `candidate`, with `lines` between what is in force and it. Packets whose line is not found by `until` are
/// counted as those of none.
#[must_use]
pub fn observed(
    candidate: &CandidateInForce,
    counts: &CandidateCounts,
    lines: &[Line<'_>],
    until: Instant,
) -> CandidateObserved {
    let mut seen = CandidateObserved { in_lines: vec![0; lines.len()], ..CandidateObserved::default() };
    let names = Names::of(candidate);
    let (mut decisions, mut rules, mut differing) = (BTreeMap::new(), BTreeMap::new(), 0);
    for &(asked, packets) in &counts.asked {
        let Some(nic) = candidate.nics.get(&asked.slot()) else { continue };
        let (now, then) = (action(asked.now()), action(asked.then()));
        let way = Way { nic: &nic.device, direction: asked.direction(), verdicts: [now as u8, then as u8] };
        decisions.entry(way).or_insert((now, then, 0)).2 += packets;
        let decider = names.of_counter(asked.slot(), asked.counter());
        rules.entry((way, decider)).or_insert((now, then, 0)).2 += packets;
        differing += if asked.differs() { packets } else { 0 };
    }
    seen.decisions = decisions
        .into_iter()
        .map(|(Way { nic, direction, .. }, (now, then, packets))| CandidateDecisions {
            nic: nic.to_owned(),
            direction: direction.into(),
            now,
            then,
            packets,
        })
        .collect();
    seen.rules = rules
        .into_iter()
        .map(|((Way { nic, direction, .. }, (group, rule)), (now, then, packets))| CandidateRule {
            nic: nic.to_owned(),
            direction: direction.into(),
            group: group.map(str::to_owned),
            rule: rule.map(str::to_owned),
            now,
            then,
            packets,
        })
        .collect();
    attribute(&mut seen, candidate, counts, lines, until);
    let named: u64 = counts.differing.iter().map(|(_, entry)| entry.packets).sum();
    seen.unattributed.unnamed = differing.saturating_sub(named);
    seen
}

/// Counts packets in the lines that they are in.
fn attribute(
    seen: &mut CandidateObserved,
    candidate: &CandidateInForce,
    counts: &CandidateCounts,
    lines: &[Line<'_>],
    until: Instant,
) {
    let finder = Finder::new(lines);
    for (key, entry) in &counts.differing {
        if Instant::now() >= until {
            seen.unattributed.elsewhere += entry.packets;
            continue;
        }
        let Some(nic) = candidate.nics.get(&key.nic) else { continue };
        let start = start(key, entry);
        let of_it = |line: &&Line<'_>| {
            line.nic == nic.device && line.direction == start.direction && line.family == start.family
        };
        let depends = || lines.iter().filter(of_it).any(|line| line.source_ports.is_some());
        if entry.only_source_port().is_none() && depends() {
            seen.unattributed.source_ports += entry.packets;
            continue;
        }
        let found = finder.find(&nic.device, &start).filter(|&place| {
            lines.get(place).is_some_and(|line| (line.before.verdict, line.after.verdict) == key.verdicts())
        });
        match found.and_then(|place| seen.in_lines.get_mut(place)) {
            Some(packets) => *packets += entry.packets,
            None => seen.unattributed.elsewhere += entry.packets,
        }
    }
}

/// A packet with this name.
fn start(key: &DifferingKey, entry: &DifferingEntry) -> Start {
    let family = key.family();
    let number = |high: u64, low: u64| match family {
        Family::V4 => u128::from(high as u32),
        Family::V6 => u128::from(high) << 64 | u128::from(low),
    };
    Start {
        direction: key.direction(),
        family,
        remote: number(key.remote_high, key.remote_low),
        local: number(key.local_high, key.local_low),
        protocol: key.protocol(),
        source_port: entry.source_port as u16,
        detail: key.selector(),
        dscp: key.dscp(),
    }
}

/// Who has which counter of a candidate.
struct Names<'a>(HashMap<u32, (&'a str, Option<&'a str>)>);

impl<'a> Names<'a> {
    fn of(candidate: &'a CandidateInForce) -> Self {
        let groups = candidate.numbers.groups.iter();
        let counted = groups.flat_map(|group| {
            let name =
                |rule: Option<_>| rule.map(|(_, rule): (_, &'a sg_agent::RuleNumber)| rule.id.as_str());
            group.counted().map(move |(rule, number)| (number, (whole_group(&group.name), name(rule))))
        });
        Self(counted.collect())
    }

    /// The group and the rule of a counter; neither, if it is one of the NIC's own.
    fn of_counter(&self, slot: u16, counter: Option<u32>) -> (Option<&'a str>, Option<&'a str>) {
        let Some(counter) = counter else { return (None, None) };
        let block = nic_block(slot);
        if (block..block + NIC_COUNTERS).contains(&counter) {
            return (None, None);
        }
        self.0.get(&counter).map_or((None, None), |(group, rule)| (Some(*group), *rule))
    }
}

const fn action(verdict: Verdict) -> Action {
    match verdict {
        Verdict::Accept => Action::Accept,
        Verdict::Drop => Action::Drop,
        Verdict::Reject => Action::Reject,
    }
}
