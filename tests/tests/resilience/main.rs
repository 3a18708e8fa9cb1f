//! Resilience: what a host meets in days, in seconds. Kills, bursts of changes, devices that come and go, other people's programs
//! on the same device, and hosts that lack something.
//!
//! Each test is short; `SG_DEEP=1` makes it long and prints its figures. The lab and the scene are those of the traffic tests.

use std::{env, process::ExitCode};

use anyhow::Result;
use libtest_mimic::Arguments;
use sg_tests::lab::{Entered, Lab};

mod background_traffic;
mod coexistence;
mod devices;
mod kills;
mod limits;
mod local_users;
mod neighbours;
mod outlives;
mod own_log;
mod packaging;
mod residue;
#[path = "../traffic/scene.rs"]
#[allow(dead_code, reason = "this file is part of two programs, and one of them does not use all of it")]
mod scene;
mod storm;
#[path = "../traffic/suite.rs"]
mod suite;
mod unfiltered;
mod upgrade;

use suite::Suite;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Two at a time: a storm is to meet a machine that has time for it.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let mut suite = Suite::new(if arguments.list { Entered::LeftOut("to be run") } else { Lab::enter()? });
    for room in [
        kills::tests,
        upgrade::tests,
        storm::tests,
        devices::tests,
        neighbours::tests,
        residue::tests,
        coexistence::tests,
        limits::tests,
        packaging::tests,
        local_users::tests,
        own_log::tests,
        outlives::tests,
        unfiltered::tests,
    ] {
        room(&mut suite);
    }
    Ok(suite.run(&arguments))
}

/// How much of something: `short` in a normal run, `deep` where `SG_DEEP` asks for days.
fn amount<T>(short: T, deep: T) -> T {
    if env::var_os("SG_DEEP").is_some() { deep } else { short }
}
