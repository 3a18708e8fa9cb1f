//! Flow ageing: deletes expired flows, moves closed connections to a table of their own, where they take no NIC's share, and
//! counts the rest, by NIC for their shares and in total for `sgctl stats`. The agent runs a pass every few seconds, in parts,
//! and does other work in between. It must never decide what is expired or closed: `sg_common` does. Called by `datapath`.

use std::{cell::RefCell, mem::take};

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use sg_common::{
    abi::flows::{ESTABLISHED, HALF_OPEN, UNREAD},
    flow::{ClosedEntry, FlowEntry, FlowKey, Timeouts},
    packet::Family,
};

use super::{
    Jiffies, KernelError,
    closed::Closed,
    counters::Counters,
    flow_log::{FlowLog, FlowReport},
    flows::{Flows, Place, TABLES},
    object::open,
};

/// The pass that is under way, and where its result is written.
pub(super) struct Ageing {
    /// What the pass has found.
    flow_stats: FlowTableStats,
    /// Where its next part begins.
    aged_to: Place,
    /// The number of established flows of each NIC, by slot.
    nic_flows: Array<MapData, u64>,
}

/// What a pass has found so far.
#[derive(Debug, Default)]
struct FlowTableStats {
    /// Established flows by NIC slot.
    nics: Vec<u64>,
    live: LiveFlows,
}

/// Flows that a pass has found to be live: established ones, and half-open ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveFlows {
    /// Over IPv4.
    pub v4: [u64; 2],
    /// Over IPv6.
    pub v6: [u64; 2],
}

impl LiveFlows {
    /// Of both families.
    fn total(&self) -> [u64; 2] {
        let ([established, half_open], v6) = (self.v4, self.v6);
        [established + v6[0], half_open + v6[1]]
    }
}

/// The result of one part of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// The number of deleted flows.
    pub expired: usize,
    /// Whether this part completed the pass.
    pub is_last: bool,
    /// When.
    pub at: Jiffies,
    /// With the last part, the flows that the pass has found to be live.
    pub live: LiveFlows,
    /// With a flow log, what there is to report.
    pub reports: Vec<FlowReport>,
    /// With a flow log, the number of flows whose last counts nobody has read.
    pub unread: u64,
    /// Whether this part completed a pass that reported live flows, too.
    pub ends_interval: bool,
}

impl Ageing {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let nic_flows = open(ebpf, "NIC_FLOWS")?;
        Ok(Self { flow_stats: FlowTableStats::default(), aged_to: Place::default(), nic_flows })
    }

    /// Deletes what is expired from the next part of `flows`, moves what is closed to `closed`, and after the last part writes the
    /// numbers of the rest. After an error the next call starts a new pass.
    pub(super) fn age_some(
        &mut self,
        flows: &mut Flows,
        closed: &mut Closed,
        counters: &mut Counters,
        log: Option<&mut FlowLog>,
        (timeouts, at): (&Timeouts, Jiffies),
    ) -> Result<Aged, KernelError> {
        let now = at.now;
        let from = take(&mut self.aged_to);
        let is_first = from.is_first();
        let log = RefCell::new(log);
        if let Some(log) = log.borrow_mut().as_mut() {
            log.drain();
            log.counted_unread(counters.sum(UNREAD)?.packets);
            if is_first {
                log.begin_pass();
            }
        }
        let established = TABLES.get(from.table).is_some_and(|kind| !kind.half_open);
        let flow_stats = RefCell::new(take(&mut self.flow_stats));
        let closed = RefCell::new(closed);
        let which = |key: &FlowKey, entry: &FlowEntry| {
            let ended = entry.is_expired(key.l4, timeouts, now)
                || entry.is_closed(key, timeouts, now) && move_to(*closed.borrow_mut(), key, entry);
            if !ended {
                flow_stats.borrow_mut().found(key, established);
                if let Some(log) = log.borrow_mut().as_mut() {
                    log.live(key, entry);
                }
            }
            ended
        };
        let part = flows.forget_some(from, which, &log)?;
        let is_last = part.next.is_none();
        let flow_stats = flow_stats.into_inner();
        let live = flow_stats.live;
        match part.next {
            Some(next) => (self.flow_stats, self.aged_to) = (flow_stats, next),
            None => self.publish_stats(&flow_stats, counters)?,
        }
        // From here on nothing fails: what is taken is returned.
        let mut log = log.into_inner();
        let ends_interval = is_last && log.as_mut().is_some_and(|log| log.end_pass());
        let (reports, unread) = log.map(FlowLog::take).unwrap_or_default();
        Ok(Aged { expired: part.forgotten, is_last, at, live, reports, unread, ends_interval })
    }

    fn publish_stats(
        &mut self,
        flow_stats: &FlowTableStats,
        counters: &mut Counters,
    ) -> Result<(), KernelError> {
        for slot in 0..self.nic_flows.len() {
            let found = flow_stats.nics.get(slot as usize).copied().unwrap_or(0);
            let known = self.nic_flows.get(&slot, 0).map_err(KernelError::call("read the flows of a NIC"))?;
            if known != found {
                self.nic_flows.set(slot, found, 0).map_err(KernelError::call("write the flows of a NIC"))?;
            }
        }
        let [established, half_open] = flow_stats.live.total();
        counters.write(ESTABLISHED, established)?;
        counters.write(HALF_OPEN, half_open)
    }
}

/// Records a connection as closed, before its flow is deleted. Returns false if that failed.
fn move_to(closed: &mut Closed, key: &FlowKey, entry: &FlowEntry) -> bool {
    closed
        .enter(key, &ClosedEntry::of(entry))
        .inspect_err(|error| tracing::warn!("a closed connection stays where it is: {error}"))
        .is_ok()
}

impl FlowTableStats {
    fn found(&mut self, key: &FlowKey, established: bool) {
        let live = match key.l4.family() {
            Family::V4 => &mut self.live.v4,
            Family::V6 => &mut self.live.v6,
        };
        let [of_established, of_half_open] = live;
        *(if established { of_established } else { of_half_open }) += 1;
        let slot = usize::from(key.l4.nic());
        if established {
            if self.nics.len() <= slot {
                self.nics.resize(slot + 1, 0);
            }
            self.nics[slot] += 1;
        }
    }
}
