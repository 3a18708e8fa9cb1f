//! What flows have carried since it was last said: differences between the entries of the flow tables and what was reported of
//! them. The flow ageing pass hands it every entry anyway, so a flow log costs packets nothing. It must never change an entry.
//! Called by `ageing` and `datapath`.
//!
//! The sum of a flow's reports is what its entry counted. Flows that are live are reported in passes that begin with
//! [`FlowLog::report_live`], flows that end when they are deleted, and those that the program replaced from a ring. Of those that
//! found no room in the ring, and of those that are gone without a trace, the number is reported.

use std::path::Path;

use sg_common::{
    event::ReplacedFlow,
    flow::{First, FlowEntry, FlowKey},
};

use super::{
    KernelError,
    reported::{Acknowledge, Counts, Reported},
    watch::Replaced,
};

/// What a report says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowPhase {
    /// The flow is reported for the first time.
    Begin,
    /// It goes on.
    Continue,
    /// It has ended. It may not have been reported before.
    End,
}

/// What a flow has carried since the report before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// The flow.
    pub key: FlowKey,
    /// What this report says.
    pub phase: FlowPhase,
    /// Whether it is the first report.
    pub is_first: bool,
    /// The decision that accepted or revoked it, as a word.
    pub decision: u64,
    /// The generation of the policy that judged it last.
    pub generation: u32,
    /// See [`FlowEntry::status`].
    pub status: u8,
    /// Its first packet.
    pub first: First,
    /// Time of the first packet: the lower half of jiffies.
    pub opened: u32,
    /// Time of the last packet, in jiffies.
    pub last_seen: u64,
    /// Packets of the side that opened the flow, and of the other side.
    pub packets: [u64; 2],
    /// Bytes, likewise, including Ethernet headers.
    pub bytes: [u64; 2],
}

/// What was reported, and what is to be reported now.
pub(super) struct FlowLog {
    reported: Reported,
    replaced: Replaced,
    /// Whether the next pass reports live flows, and whether this one does.
    next_is_full: bool,
    is_full: bool,
    reports: Vec<FlowReport>,
    /// Flows whose last counts nobody has read, since the last [`Self::take`].
    unread: u64,
    missing: Missing,
}

/// Flows whose loss the program has counted, by the full passes since, and of which some will turn out to be gone.
#[derive(Debug, Default)]
struct Missing([u64; PASSES]);

/// A flow is gone when this many full passes begin without it, see [`Reported::begin_pass`].
const PASSES: usize = 4;

impl Missing {
    fn add(&mut self, flows: u64) {
        self.0[0] += flows;
    }

    /// A full pass has found so many flows gone; returns how many of them nobody had counted.
    fn pass(&mut self, mut gone: u64) -> u64 {
        for counted in self.0.iter_mut().rev() {
            let both = gone.min(*counted);
            *counted -= both;
            gone -= both;
        }
        // What was counted so long ago was never reported.
        self.0.rotate_right(1);
        self.0[0] = 0;
        gone
    }
}

impl FlowLog {
    /// Continues the log in the file `path`; also returns how many reports an earlier process took and did not acknowledge.
    pub(super) fn open(path: &Path, replaced: Replaced) -> Result<(Self, u64), KernelError> {
        let (reported, lost) = Reported::open(path)?;
        let (reports, missing) = (Vec::new(), Missing::default());
        let log =
            Self { reported, replaced, next_is_full: false, is_full: false, reports, unread: 0, missing };
        Ok((log, lost))
    }

    pub(super) fn acknowledge(&self) -> Acknowledge {
        self.reported.acknowledge()
    }

    /// The next pass reports live flows, too.
    pub(super) const fn report_live(&mut self) {
        self.next_is_full = true;
    }

    /// Begins a pass over all flows.
    pub(super) fn begin_pass(&mut self) {
        self.is_full = std::mem::take(&mut self.next_is_full);
        if self.is_full {
            let gone = self.reported.begin_pass();
            let gone = self.missing.pass(gone);
            self.lose(gone);
            if let Err(error) = self.reported.shrink() {
                tracing::warn!("the table of reported flows keeps its size: {error}");
            }
        }
    }

    /// Whether the pass under way reports live flows.
    pub(super) const fn reports_live(&self) -> bool {
        self.is_full
    }

    /// The program has counted so many flows that found no room in the ring, since it was loaded.
    pub(super) fn counted_unread(&mut self, counted: u64) {
        let more = self.reported.more_unread(counted);
        self.missing.add(more);
        self.lose(more);
    }

    /// So many more reports are taken which are not of flows.
    pub(super) fn take_others(&self, reports: u64) {
        self.reported.take(reports);
    }

    fn lose(&mut self, flows: u64) {
        self.reported.take(flows);
        self.unread += flows;
    }

    /// A flow that is live.
    pub(super) fn live(&mut self, key: &FlowKey, entry: &FlowEntry) {
        if !self.is_full {
            return;
        }
        let known = self.reported.get(key, entry.opened);
        let (counts, delta) = difference(entry, known);
        match (known, delta) {
            (Some(_), None) => self.reported.see(key, entry.opened),
            (known, delta) => {
                let phase = if known.is_some() { FlowPhase::Continue } else { FlowPhase::Begin };
                // Noted first: what is not noted is not said, and said the next time.
                match self.reported.put(key, counts) {
                    Ok(()) => self.report(key, entry, phase, known.is_none(), delta.unwrap_or_default()),
                    Err(error) => tracing::warn!("a flow is not reported: {error}"),
                }
            }
        }
    }

    /// A flow that was deleted, with the last counts of its entry.
    pub(super) fn ended(&mut self, key: &FlowKey, entry: &FlowEntry) {
        let known = self.reported.get(key, entry.opened);
        let (_, delta) = difference(entry, known);
        self.reported.remove(key, entry.opened);
        self.report(key, entry, FlowPhase::End, known.is_none(), delta.unwrap_or_default());
    }

    /// Takes the flows that the program has replaced.
    pub(super) fn drain(&mut self) {
        let Self { replaced, .. } = self;
        let mut flows = Vec::new();
        replaced.drain(|flow| flows.push(*flow));
        for ReplacedFlow { key, entry } in flows {
            self.ended(&key, &entry);
        }
    }

    fn report(
        &mut self,
        key: &FlowKey,
        entry: &FlowEntry,
        phase: FlowPhase,
        is_first: bool,
        [packets, bytes]: [[u64; 2]; 2],
    ) {
        let FlowEntry { last_seen, decision, generation, status, first, opened, .. } = *entry;
        self.reported.take(1);
        self.reports.push(FlowReport {
            key: *key,
            phase,
            is_first,
            decision,
            generation,
            status,
            first,
            opened,
            last_seen,
            packets,
            bytes,
        });
    }

    /// The reports since the last call, and the number of flows whose last counts are lost.
    pub(super) fn take(&mut self) -> (Vec<FlowReport>, u64) {
        (std::mem::take(&mut self.reports), std::mem::take(&mut self.unread))
    }
}

/// The counts of an entry, and what they are more than those that are known; `None` if nothing. A flow that moves to another
/// table while both are read may be found with its earlier counts last.
fn difference(entry: &FlowEntry, known: Option<Counts>) -> (Counts, Option<[[u64; 2]; 2]>) {
    let known = known.unwrap_or_default();
    let more = |now: [u64; 2], before: [u64; 2]| {
        [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])]
    };
    let (packets, bytes) = (more(entry.packets, known.packets), more(entry.bytes, known.bytes));
    let sum = |one: [u64; 2], other: [u64; 2]| [one[0] + other[0], one[1] + other[1]];
    let counts =
        Counts { opened: entry.opened, packets: sum(known.packets, packets), bytes: sum(known.bytes, bytes) };
    (counts, (packets != [0; 2] || bytes != [0; 2]).then_some([packets, bytes]))
}

#[cfg(test)]
mod tests {
    use super::Missing;

    #[test]
    fn a_lost_flow_is_counted_once() {
        let mut missing = Missing::default();
        missing.add(10);
        assert_eq!((0..3).map(|_| missing.pass(0)).sum::<u64>(), 0);
        // Of the ten, four had been reported; two more went otherwise.
        missing.add(1);
        assert_eq!(missing.pass(4), 0);
        assert_eq!(missing.pass(2), 1);
        assert_eq!(missing.pass(7), 7, "the six were never reported");
    }
}
