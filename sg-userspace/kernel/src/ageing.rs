//! Flow ageing: deletes expired flows, moves closed connections to a table of their own, where they take no NIC's share, and
//! counts the rest, by NIC for their shares and in total for `sgctl stats`. The agent runs a pass every few seconds, in parts,
//! and does other work in between.

use std::{cell::RefCell, mem::take};

use aya::maps::PerCpuValues;
use sg_common::{
    abi::{
        Counter,
        flows::{ESTABLISHED, HALF_OPEN},
    },
    flow::{ClosedEntry, FlowEntry, FlowKey},
};

use super::{Datapath, KernelError, closed::Closed, datapath::counter_error, flows::TABLES};

/// What a pass has found so far.
#[derive(Debug, Default)]
pub(super) struct FlowTableStats {
    /// Established flows by NIC slot.
    nics: Vec<u64>,
    /// Live flows: established ones, and half-open ones.
    live: [u64; 2],
}

/// The result of one part of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The number of deleted flows.
    pub swept: usize,
    /// Whether this part completed the pass.
    pub is_last: bool,
}

impl Datapath {
    /// Deletes expired flows from all tables; returns how many.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn sweep(&mut self) -> Result<usize, KernelError> {
        let mut swept = 0;
        loop {
            let part = self.sweep_some()?;
            swept += part.swept;
            if part.is_last {
                return Ok(swept);
            }
        }
    }

    /// Deletes expired flows from the next part of the tables, which takes a millisecond or two. Call it every few seconds, each
    /// time until the last part.
    ///
    /// # Errors
    /// If a table cannot be read; the next call then starts a new pass.
    pub fn sweep_some(&mut self) -> Result<Swept, KernelError> {
        let now = self.now()?;
        let timeouts = self.settings.timeouts;
        let from = take(&mut self.swept_to);
        let established = TABLES.get(from.table).is_some_and(|kind| !kind.half_open);
        let flow_stats = RefCell::new(take(&mut self.flow_stats));
        let closed = RefCell::new(&mut self.closed);
        let part = self.flows.forget_some(from, |key, entry| {
            let ended = entry.is_expired(key.l4, &timeouts, now)
                || entry.is_closed(key, &timeouts, now) && move_to(*closed.borrow_mut(), key, entry);
            if !ended {
                flow_stats.borrow_mut().found(usize::from(key.l4.nic()), established);
            }
            ended
        })?;
        let flow_stats = flow_stats.into_inner();
        match part.next {
            Some(next) => (self.flow_stats, self.swept_to) = (flow_stats, next),
            None => self.publish_stats(&flow_stats)?,
        }
        Ok(Swept { swept: part.forgotten, is_last: part.next.is_none() })
    }

    fn publish_stats(&mut self, flow_stats: &FlowTableStats) -> Result<(), KernelError> {
        for slot in 0..self.nic_flows.len() {
            let found = flow_stats.nics.get(slot as usize).copied().unwrap_or(0);
            let known = self.nic_flows.get(&slot, 0).map_err(KernelError::call("read the flows of a NIC"))?;
            if known != found {
                self.nic_flows.set(slot, found, 0).map_err(KernelError::call("write the flows of a NIC"))?;
            }
        }
        let [established, half_open] = flow_stats.live;
        for (number, flows) in [(ESTABLISHED, established), (HALF_OPEN, half_open)] {
            self.write_counter(number, flows)?;
        }
        // NICs that left leave their shares to the others. A new NIC takes its own at once.
        match self.slots.last() {
            Some(&last) => self.places.divide(u32::from(last) + 1),
            None => Ok(()),
        }
    }

    /// Sets a counter that the program never writes.
    fn write_counter(&mut self, number: u32, packets: u64) -> Result<(), KernelError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| KernelError::call("count the CPUs")(error))?;
        let mut values = vec![Counter::default(); cpus];
        if let Some(first) = values.first_mut() {
            first.packets = packets;
        }
        let values = PerCpuValues::try_from(values).map_err(KernelError::call("make counters"))?;
        self.counters.set(number, values, 0).map_err(counter_error(number))
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
    fn found(&mut self, slot: usize, established: bool) {
        self.live[usize::from(!established)] += 1;
        if established {
            if self.nics.len() <= slot {
                self.nics.resize(slot + 1, 0);
            }
            self.nics[slot] += 1;
        }
    }
}
