//! Packets and bytes of each NIC, by direction and verdict: sums of what the agent reports of flows and denials, since the observer
//! started. The kernel counts by rule and by reason, so nothing else knows them. It must never read a counter or keep an address.
//! Called by `thread`; metrics read them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sg_agent::Traffic;
use sg_common::{
    abi::Counter,
    flow::Direction,
    verdict::{Decision, Verdict},
};

use crate::names::Names;

/// The verdicts, in the order of [`NicTotals::counted`].
pub const VERDICTS: [Verdict; 3] = [Verdict::Accept, Verdict::Drop, Verdict::Reject];
/// Places in it.
const ACCEPT: usize = 0;
const DROP: usize = 1;
const REJECT: usize = 2;

/// Packets and bytes of a NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicTotals {
    /// Its device.
    pub device: String,
    /// By direction, ingress first, and verdict, as [`VERDICTS`] has them.
    pub counted: [[Counter; 3]; 2],
}

/// The sums, by slot.
#[derive(Debug, Default)]
pub struct Totals(Mutex<BTreeMap<u16, NicTotals>>);

impl Totals {
    /// Those of all NICs that are in use.
    #[must_use]
    pub fn nics(&self) -> Vec<NicTotals> {
        self.all().values().cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u16, NicTotals>> {
        // Sums are never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows which NICs there are: one in the slot of another begins at zero.
    pub(crate) fn follow(&self, names: &Names) {
        let mut all = self.all();
        let now: BTreeMap<u16, String> = names.in_use().into_iter().collect();
        all.retain(|slot, totals| now.get(slot).is_some_and(|device| *device == totals.device));
        for (slot, device) in now {
            all.entry(slot).or_insert_with(|| NicTotals { device, ..NicTotals::default() });
        }
    }

    /// Adds what was read.
    pub(crate) fn add(&self, traffic: &Traffic) {
        let Traffic { catalog: _, at: _, jiffies: _, flows, denials, unread: _, lost: _, ends_interval: _ } =
            traffic;
        let mut all = self.all();
        let mut add = |slot, direction: Direction, verdict: usize, (packets, bytes)| {
            let Some(totals) = all.get_mut(&slot) else { return };
            let Some(counter) = totals.counted.get_mut(direction as usize).and_then(|by| by.get_mut(verdict))
            else {
                return;
            };
            counter.packets += packets;
            counter.bytes += bytes;
        };
        for flow in flows {
            // What a revoked flow's packets were before is what an entry counts.
            let slot = flow.key.l4.nic();
            let ([opener, other], [opener_bytes, other_bytes]) = (flow.packets, flow.bytes);
            let direction = flow.first.direction();
            add(slot, direction, ACCEPT, (opener, opener_bytes));
            add(slot, direction.reversed(), ACCEPT, (other, other_bytes));
        }
        for denial in denials {
            let origin = denial.key.origin;
            if origin.is_of_host() {
                continue;
            }
            let is_reject = denial.is_named && origin.decision().is_some_and(Decision::rejects);
            let verdict = if is_reject { REJECT } else { DROP };
            add(denial.key.l4.nic(), origin.direction(), verdict, (denial.packets, denial.bytes));
        }
    }
}
