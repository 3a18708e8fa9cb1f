//! Resilience: what a host meets in days, in seconds. Kills, bursts of changes, devices that come and go, other people's programs
//! on the same device, and hosts that lack something.
//!
//! Each test is short; `SG_DEEP=1` makes it long and prints its figures. The lab and the scene are those of the traffic tests.

use std::{env, process::ExitCode};

use anyhow::Result;

mod resilience {
    pub(crate) mod candidate;
    pub(crate) mod coexistence;
    pub(crate) mod confirmed;
    pub(crate) mod devices;
    pub(crate) mod kills;
    pub(crate) mod leftovers;
    pub(crate) mod limits;
    pub(crate) mod local_users;
    pub(crate) mod other_programs;
    pub(crate) mod own_log;
    pub(crate) mod packaging;
    pub(crate) mod pinned_filter;
    pub(crate) mod recorded;
    pub(crate) mod unfiltered;
    pub(crate) mod upgrade;
}
mod scale {
    pub(crate) mod storm;
}
mod support {
    pub(crate) mod background_traffic;
    #[allow(dead_code, reason = "this file is part of two programs, and one of them does not use all of it")]
    pub(crate) mod scene;
    pub(crate) mod suite;
}

use support::suite::{self, features};

fn main() -> Result<ExitCode> {
    // Two at a time: a storm is to meet a machine that has time for it.
    suite::run(2, |suite, _| {
        features!(suite:
            resilience::kills,
            resilience::confirmed,
            resilience::candidate,
            resilience::upgrade,
            scale::storm,
            resilience::devices,
            resilience::other_programs,
            resilience::leftovers,
            resilience::coexistence,
            resilience::limits,
            resilience::packaging,
            resilience::local_users,
            resilience::own_log,
            resilience::recorded,
            resilience::pinned_filter,
            resilience::unfiltered,
        );
    })
}

/// How much of something: `short` in a normal run, `deep` where `SG_DEEP` asks for days.
fn amount<T>(short: T, deep: T) -> T {
    if env::var_os("SG_DEEP").is_some() { deep } else { short }
}
