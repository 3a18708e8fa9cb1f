//! The store when things go wrong: killed, without power, on a failing disk. Whenever that happens, the state afterwards is the
//! one before or after the commit in progress, and what was confirmed as stored is there.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

mod store {
    pub(crate) mod damaged;
    pub(crate) mod disk;
    pub(crate) mod failing;
    pub(crate) mod killed;
    pub(crate) mod power;
    pub(crate) mod script;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use store::{damaged, failing, killed, power};

fn main() -> ExitCode {
    if killed::is_victim() {
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("store::killed::it_survives_being_killed_at_every_write", killed::at_every_write),
        trial("store::power::it_survives_losing_power_at_every_write", power::at_every_write),
        trial("store::damaged::it_is_not_fooled_by_flipped_bits", damaged::at_any_bit),
        trial(
            "store::damaged::it_names_a_schema_that_it_cannot_read",
            damaged::at_a_schema_that_nobody_wrote,
        ),
        trial("store::failing::it_survives_a_disk_that_fails_at_every_write", failing::at_every_write),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
