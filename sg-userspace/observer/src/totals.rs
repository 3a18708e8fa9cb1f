//! Packets and bytes of each NIC, by direction and verdict: sums of what the agent reports of flows and denials, since the observer
//! started. The kernel counts by rule and by reason, so nothing else knows them. It must never read a counter or keep an address.
//! Called by `thread`; metrics read them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::FixedState;
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
        let Traffic { catalog, at: _, jiffies: _, flows, denials, unread: _, lost: _, ends_interval: _ } =
            traffic;
        let mut all = self.all();
        // What was read before a NIC got the slot of another is not its own.
        let read: HashMap<u16, &str, FixedState> =
            catalog.nics.iter().map(|nic| (nic.slot, nic.device.as_str())).collect();
        let mut add = |slot, direction: Direction, verdict: usize, (packets, bytes)| {
            let is_read = |totals: &NicTotals| read.get(&slot) == Some(&totals.device.as_str());
            let Some(totals) = all.get_mut(&slot).filter(|totals| is_read(totals)) else { return };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sg_agent::{Catalog, InForce, NicRecord, Origin as PolicyOrigin, Outcome};
    use sg_common::{
        denied::{DeniedKey, Origin},
        flow::{First, FlowKey, PortsProtoNic},
        packet::{Family, Packet},
        verdict::Reason,
    };
    use sg_kernel::{Attachment, Denial, FlowPhase, FlowReport, Jiffies, Limits};
    use sg_model::Hook;
    use tokio::sync::watch;

    use super::*;
    use crate::names::NoLabels;

    const SLOT: u16 = 3;

    /// What is in force, with a NIC of this device.
    fn in_force(device: &str) -> Arc<InForce> {
        let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
        let nic = NicRecord {
            device: device.to_owned(),
            slot: SLOT,
            ifindex: None,
            hook: Hook::Tc,
            generation: 1,
            groups: Vec::new(),
            ingress_default: Outcome::Drop,
            egress_default: Outcome::Accept,
        };
        let catalog = Catalog { nics: vec![nic].into(), ..Catalog::new(limits, Attachment::Auto) };
        Arc::new(InForce::new(catalog, PolicyOrigin::Store))
    }

    fn l4(slot: u16) -> PortsProtoNic {
        PortsProtoNic::new((1, 2), slot, 6, Family::V4)
    }

    /// A flow that the owner opened.
    fn flow(slot: u16) -> FlowReport {
        FlowReport {
            key: FlowKey { l4: l4(slot), ..FlowKey::default() },
            phase: FlowPhase::Continue,
            is_first: false,
            decision: 0,
            generation: 1,
            status: 0,
            first: First::of(&Packet::EMPTY, Direction::Egress),
            opened: 0,
            last_seen: 0,
            packets: [3, 2],
            bytes: [300, 200],
        }
    }

    fn denial(verdict: Verdict, is_named: bool) -> Denial {
        let origin = Origin::new(Decision::new(verdict, Reason::Rule, 300), Direction::Ingress, true);
        Denial {
            key: DeniedKey { l4: l4(SLOT), origin, ..DeniedKey::default() },
            is_named,
            packets: 7,
            bytes: 700,
            first: 0,
            last: 0,
            generation: 1,
            source_port: 0,
            is_first: true,
        }
    }

    #[test]
    fn packets_count_for_their_direction_and_verdict() {
        let sender = watch::Sender::new(in_force("eth0"));
        let mut names = Names::new(sender.subscribe(), Box::new(NoLabels));
        let totals = Totals::default();
        totals.follow(&names);
        let traffic = Traffic {
            catalog: Arc::clone(&sender.borrow().catalog),
            at: jiff::Timestamp::UNIX_EPOCH,
            jiffies: Jiffies::default(),
            flows: vec![flow(SLOT), flow(SLOT), flow(9)],
            denials: vec![
                denial(Verdict::Drop, true),
                denial(Verdict::Reject, true),
                denial(Verdict::Reject, false),
            ],
            unread: 0,
            lost: 0,
            ends_interval: false,
        };
        totals.add(&traffic);
        let [nic] = &totals.nics()[..] else { panic!("{totals:?}") };
        let packets = |direction: Direction| nic.counted[direction as usize].map(|counter| counter.packets);
        // What has no name is not known to be rejected.
        assert_eq!((packets(Direction::Ingress), packets(Direction::Egress)), ([4, 14, 7], [6, 0, 0]));
        assert_eq!(nic.counted[0].map(|counter| counter.bytes), [400, 1_400, 700]);

        sender.send_replace(in_force("eth0"));
        names.refresh();
        totals.follow(&names);
        assert_eq!(totals.nics()[0].counted[1][0].packets, 6);
        sender.send_replace(in_force("eth1"));
        names.refresh();
        totals.follow(&names);
        // Of the NIC that had the slot before.
        totals.add(&traffic);
        assert_eq!(totals.nics(), [NicTotals { device: "eth1".to_owned(), ..NicTotals::default() }]);
    }
}
