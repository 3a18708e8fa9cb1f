//! `sgd serve` as its users meet it: vendors' clients, the walkthroughs of the documentation, an agent that is killed at any
//! moment, many clients at once, backups, its log, and hostile clients. Each test has a host of its own in the lab; clients talk to it over
//! its loopback.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use sg_tests::lab::{Entered, Lab};

mod asked;
mod backup;
mod clients;
mod concurrency;
mod hostile;
mod lifecycle;
mod logged;
mod served;
#[path = "../traffic/suite.rs"]
mod suite;
mod walkthrough;

use suite::Suite;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let mut suite = Suite::new(if arguments.list { Entered::LeftOut("to be run") } else { Lab::enter()? });
    for room in [
        clients::tests,
        walkthrough::tests,
        lifecycle::tests,
        concurrency::tests,
        asked::tests,
        backup::tests,
        logged::tests,
        hostile::tests,
    ] {
        room(&mut suite);
    }
    Ok(suite.run(&arguments))
}
