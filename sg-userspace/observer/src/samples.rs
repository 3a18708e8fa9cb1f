//! Names and reports, for the tests of this crate only.

use std::sync::Arc;

use jiff::Timestamp;
use sg_agent::{Catalog, InForce, NicRecord, Origin, Traffic};
use sg_kernel::{Attachment, Jiffies, Limits};
use tokio::sync::watch;

use crate::names::{Names, NoLabels};

/// Jiffies a second.
pub(crate) const HERTZ: u32 = 250;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Nothing, read at this second, which is the same on both clocks.
pub(crate) fn traffic(second: i64) -> Traffic {
    let jiffies = Jiffies { now: second.cast_unsigned() * u64::from(HERTZ), hertz: HERTZ };
    Traffic {
        catalog: Arc::new(catalog()),
        at: at(second),
        jiffies,
        flows: Vec::new(),
        denials: Vec::new(),
        unread: 0,
        lost: 0,
        ends_interval: false,
    }
}

/// NICs eth0 to eth2, in the slots of these numbers.
pub(crate) fn names() -> Names {
    let in_force = InForce::new(catalog(), Origin::Store);
    Names::new(watch::channel(Arc::new(in_force)).1, Box::new(NoLabels))
}

fn catalog() -> Catalog {
    let nic = |slot: u16| -> NicRecord {
        let nic = serde_json::json!({
            "device": format!("eth{slot}"), "slot": slot, "ifindex": 2, "hook": "tc", "generation": 1,
            "groups": ["web"], "ingress_default": "drop", "egress_default": "accept",
        });
        serde_json::from_value(nic).unwrap()
    };
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let nics = Arc::new((0..3).map(nic).collect::<Vec<_>>());
    Catalog { nics, ..Catalog::new(limits, Attachment::Auto) }
}
