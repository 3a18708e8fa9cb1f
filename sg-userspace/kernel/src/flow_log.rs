//! What flows have carried since they were last reported: differences between the entries of the flow tables and what was reported of
//! them. The flow ageing pass hands it every entry anyway, so a flow log costs packets nothing. It must never change an entry.
//! Called by `ageing` and `datapath`.
//!
//! The sum of a flow's reports is what its entry counted. Flows that are live are reported in passes that begin with
//! [`FlowLog::report_live`], flows that end when they are deleted, and those that the program replaced from a ring.

use std::{cell::RefCell, path::Path};

use sg_common::{
    event::ReplacedFlow,
    flow::{First, FlowEntry, FlowKey},
};

use super::{
    KernelError,
    flows::Deletion,
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
    /// `None` while it is read.
    replaced: Option<Replaced>,
    /// Whether the next pass reports live flows, and whether this one does.
    next_is_full: bool,
    is_full: bool,
    reports: Vec<FlowReport>,
    /// Flows that ended without a word, or whose last counts found no room.
    vanished: u64,
    missing: Missing,
    /// Flows that could not be recorded in this pass.
    refused: u64,
    /// The number of the pass that has reported live flows last, and of the one that does now.
    full_since: Option<u64>,
    full_began: u64,
}

/// Flows that the program has counted as unread, since each of the last full passes began: some of them turn out to be gone.
#[derive(Debug, Default)]
struct Missing([u64; PASSES]);

/// A flow is found to be gone when the second full pass begins after the last one that has seen it.
const PASSES: usize = 2;

impl Missing {
    fn add(&mut self, flows: u64) {
        self.0[0] += flows;
    }

    /// A full pass has found so many flows to be gone; returns how many of them nobody has counted.
    fn pass(&mut self, mut gone: u64) -> u64 {
        for counted in self.0.iter_mut().rev() {
            let both = gone.min(*counted);
            *counted -= both;
            gone -= both;
        }
        // What was counted before was never reported.
        self.0.rotate_right(1);
        self.0[0] = 0;
        gone
    }
}

impl FlowLog {
    /// Continues the log in the file `path`; also returns how many reports an earlier process took and did not acknowledge.
    pub(super) fn open(path: &Path, replaced: Replaced) -> Result<(Self, u64), KernelError> {
        let (reported, lost) = Reported::open(path)?;
        let mut log = Self {
            reported,
            replaced: Some(replaced),
            next_is_full: false,
            is_full: false,
            reports: Vec::new(),
            vanished: 0,
            missing: Missing::default(),
            refused: 0,
            full_since: None,
            full_began: 0,
        };
        // What the program has sent since an earlier process ended.
        log.drain();
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
        self.reported.begin_pass();
        self.refused = 0;
        // One that failed before its end is made again.
        let again = self.is_full;
        self.is_full |= std::mem::take(&mut self.next_is_full);
        if !self.is_full {
            return;
        }
        self.full_began = self.reported.pass();
        // Those that the last full pass has not seen ended without a word: deleted by hand, or replaced.
        if let Some(since) = self.full_since.filter(|_| !again) {
            let gone = self.reported.remove_older(since);
            self.vanished += self.missing.pass(gone);
        }
        if let Err(error) = self.reported.shrink() {
            tracing::warn!("the table of reported flows keeps its size: {error}");
        }
    }

    /// A flow that is live.
    pub(super) fn live(&mut self, key: &FlowKey, entry: &FlowEntry) {
        if !self.is_full {
            return;
        }
        let flow = (*key, entry.opened);
        let known = self.reported.get(&flow);
        let (counts, delta) = difference(entry, known, false);
        match (known, delta) {
            (Some(Counts { ended: false, .. }), None) => self.reported.see(&flow),
            (known, delta) => {
                let phase = if known.is_some() { FlowPhase::Continue } else { FlowPhase::Begin };
                self.reported.take_one();
                self.note(key, entry, phase, (known, counts, delta));
            }
        }
    }

    /// Ends a pass; returns whether it reported live flows.
    pub(super) fn end_pass(&mut self) -> bool {
        if self.is_full {
            self.full_since = Some(self.full_began);
        }
        std::mem::take(&mut self.is_full)
    }

    /// A flow that was deleted, or that the program has replaced, with the last counts of its entry. It is taken already.
    fn ended(&mut self, key: &FlowKey, entry: &FlowEntry) {
        let known = self.reported.get(&(*key, entry.opened));
        let (counts, delta) = difference(entry, known, true);
        if delta.is_none() && known.is_some_and(|known| known.ended) {
            // It was found twice.
            self.reported.acknowledge().add(1);
            return;
        }
        self.note(key, entry, FlowPhase::End, (known, counts, delta));
    }

    /// Notes a report that is taken, and then makes it: what is not recorded is not reported, and is the next time.
    fn note(
        &mut self,
        key: &FlowKey,
        entry: &FlowEntry,
        phase: FlowPhase,
        (known, counts, delta): (Option<Counts>, Counts, Option<Delta>),
    ) {
        match self.reported.put(&(*key, entry.opened), counts) {
            Ok(()) => self.report(key, entry, phase, known.is_none(), delta.unwrap_or_default()),
            Err(error) => {
                self.reported.acknowledge().add(1);
                if self.refused == 0 {
                    tracing::warn!("flows are not reported: {error}");
                }
                self.refused += 1;
                // One that has ended has no next time.
                if phase == FlowPhase::End {
                    self.vanished += 1;
                }
            }
        }
    }

    /// Takes the flows that the program has replaced.
    pub(super) fn drain(&mut self) {
        let Some(mut replaced) = self.replaced.take() else { return };
        // Each is recorded while it is in the ring: whoever is killed leaves it there.
        replaced.drain(|ReplacedFlow { key, entry }| {
            self.reported.take_one();
            self.ended(key, entry);
        });
        self.replaced = Some(replaced);
    }

    /// The program has counted `all` these flows as unread: those that were not reported are lost.
    pub(super) fn counted_unread(&mut self, all: u64) {
        let more = self.reported.unread_of(all);
        self.missing.add(more);
        self.vanished += more;
    }

    /// Another report is taken, which is not of a flow.
    pub(super) fn take_other(&self) {
        self.reported.take_one();
    }

    fn report(
        &mut self,
        key: &FlowKey,
        entry: &FlowEntry,
        phase: FlowPhase,
        is_first: bool,
        [packets, bytes]: Delta,
    ) {
        let FlowEntry { last_seen, decision, generation, status, first, opened, .. } = *entry;
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

    /// The reports since the last call.
    pub(super) fn take_reports(&mut self) -> Vec<FlowReport> {
        std::mem::take(&mut self.reports)
    }

    /// The reports since the last call, and the number of flows that ended without a word.
    pub(super) fn take(&mut self) -> (Vec<FlowReport>, u64) {
        (std::mem::take(&mut self.reports), std::mem::take(&mut self.vanished))
    }
}

impl Deletion for RefCell<Option<&mut FlowLog>> {
    fn begins(&self) {
        if let Some(log) = self.borrow().as_ref() {
            log.reported.take_one();
        }
    }

    fn ends(&self, key: &FlowKey, last: Option<&FlowEntry>) {
        let mut log = self.borrow_mut();
        match (log.as_mut(), last) {
            (Some(log), Some(entry)) => log.ended(key, entry),
            (Some(log), None) => log.reported.acknowledge().add(1),
            (None, _) => {}
        }
    }
}

/// Packets of both sides, and bytes.
type Delta = [[u64; 2]; 2];

/// The counts of an entry, and what they are more than those that are known; `None` if nothing. A flow that moves to another
/// table while both are read may be found with its earlier counts last.
fn difference(entry: &FlowEntry, known: Option<Counts>, ended: bool) -> (Counts, Option<Delta>) {
    let known = known.unwrap_or_default();
    let more = |now: [u64; 2], before: [u64; 2]| {
        [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])]
    };
    let (packets, bytes) = (more(entry.packets, known.packets), more(entry.bytes, known.bytes));
    let sum = |one: [u64; 2], other: [u64; 2]| [one[0] + other[0], one[1] + other[1]];
    let counts = Counts { ended, packets: sum(known.packets, packets), bytes: sum(known.bytes, bytes) };
    (counts, (packets != [0; 2] || bytes != [0; 2]).then_some([packets, bytes]))
}

#[cfg(test)]
mod tests {
    use super::Missing;

    #[test]
    fn a_lost_flow_is_counted_once() {
        let mut missing = Missing::default();
        missing.add(10);
        assert_eq!(missing.pass(0), 0);
        // Of the ten, four had been reported; two more flows went otherwise.
        missing.add(1);
        assert_eq!(missing.pass(4), 0);
        assert_eq!(missing.pass(3), 2);
        missing.add(5);
        assert_eq!((missing.pass(0), missing.pass(0)), (0, 0));
        assert_eq!(missing.pass(7), 7, "the five were never reported");
    }
}
