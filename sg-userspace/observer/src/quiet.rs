//! NICs without a record in an interval of the flow log, which formats of clouds say. It must never say so of a NIC whose records
//! may have been lost, nor of one that was not there for the whole interval. Called by `thread`.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use jiff::Timestamp;
use sg_agent::Traffic;
use sg_observe::record::{Event, Record};

use crate::names::Names;

/// What is known of the interval under way.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// Its begin; `None` before the first.
    since: Option<Timestamp>,
    /// Slots that had a record.
    with_records: HashSet<u16, FixedState>,
    /// The devices that were there when it began, by slot.
    there: HashMap<u16, String, FixedState>,
    /// Whether something was lost, of which nobody knows the NIC.
    has_losses: bool,
}

impl Quiet {
    /// Begins the first interval.
    pub(crate) fn begin(&mut self, at: Timestamp, names: &Names) {
        *self = Self { since: Some(at), there: names.in_use().into_iter().collect(), ..Self::default() };
    }

    /// Sees what was read, and ends the interval if it ends with that. Returns a record for each NIC without any.
    pub(crate) fn see(&mut self, traffic: &Traffic, names: &Names) -> Vec<Record> {
        let Traffic { catalog: _, at, jiffies: _, flows, denials, unread, lost, ends_interval } = traffic;
        self.with_records.extend(flows.iter().map(|flow| flow.key.l4.nic()));
        let of_nics = denials.iter().filter(|denial| !denial.key.origin.is_of_host());
        self.with_records.extend(of_nics.map(|denial| denial.key.l4.nic()));
        self.has_losses |= *unread > 0 || *lost > 0;
        if !ends_interval {
            return Vec::new();
        }
        let Self { since, with_records, there, has_losses } = std::mem::take(self);
        self.begin(*at, names);
        let Some(since) = since.filter(|_| !has_losses) else { return Vec::new() };
        let mut quiet: Vec<u16> = there
            .into_iter()
            .filter(|(slot, device)| !with_records.contains(slot) && self.there.get(slot) == Some(device))
            .map(|(slot, _)| slot)
            .collect();
        quiet.sort_unstable();
        quiet.into_iter().map(|slot| record(names, slot, since, *at)).collect()
    }
}

fn record(names: &Names, slot: u16, start: Timestamp, end: Timestamp) -> Record {
    let name = names.nic(slot);
    // Whoever set the clock back meanwhile has an interval without length.
    let mut record = Record::new(Event::Continue, start.min(end), end);
    record.nic.clone_from(&name.nic);
    record.device.clone_from(&name.device);
    record.instance.clone_from(&name.instance);
    record.vpc.clone_from(&name.vpc);
    record
}

#[cfg(test)]
mod tests {
    use sg_common::{
        denied::DeniedKey,
        flow::PortsProtoNic,
        packet::{Family, protocol},
    };
    use sg_kernel::Denial;

    use super::*;
    use crate::samples::{at, names, traffic};

    fn denial(slot: u16) -> Denial {
        let l4 = PortsProtoNic::new((1, 2), slot, protocol::TCP, Family::V4);
        Denial {
            key: DeniedKey { l4, ..DeniedKey::default() },
            is_named: true,
            packets: 1,
            bytes: 60,
            first: 0,
            last: 0,
            generation: 1,
            source_port: 1,
            is_first: true,
        }
    }

    #[test]
    fn nics_without_a_record_are_said_at_the_end_of_an_interval() {
        let names = names();
        let mut quiet = Quiet::default();
        quiet.begin(at(100), &names);
        let seen = Traffic { denials: vec![denial(1)], ..traffic(105) };
        assert!(quiet.see(&seen, &names).is_empty(), "it goes on");
        let ends = |second| Traffic { ends_interval: true, ..traffic(second) };
        let records = quiet.see(&ends(110), &names);
        let found: Vec<_> = records.iter().map(|record| (&*record.nic, record.start, record.end)).collect();
        assert_eq!(found, [("eth0", at(100), at(110)), ("eth2", at(100), at(110))]);
        assert_eq!(quiet.see(&ends(120), &names).len(), 3);
        // Whose records were lost, nobody knows.
        assert!(quiet.see(&Traffic { lost: 1, ..ends(130) }, &names).is_empty());
        assert!(quiet.see(&Traffic { unread: 1, ..traffic(135) }, &names).is_empty());
        assert!(quiet.see(&ends(140), &names).is_empty());
        // Set back.
        let records = quiet.see(&ends(50), &names);
        assert_eq!((records.len(), records[0].start, records[0].end), (3, at(50), at(50)));
    }

    #[test]
    fn nothing_is_said_before_the_first_interval() {
        let ends = Traffic { ends_interval: true, ..traffic(9) };
        assert!(Quiet::default().see(&ends, &names()).is_empty());
    }
}
