//! `sgd serve` as its users meet it: vendors' clients, the walkthroughs of the documentation, an agent that is killed at any
//! moment, many clients at once, backups, its log and audit trail, what it shows of what is in force and would be, and hostile clients.
//! Each test has a host of its own in the lab; clients connect to it over its loopback.

use std::process::ExitCode;

use anyhow::Result;

mod api {
    pub(crate) mod audit;
    pub(crate) mod backup;
    pub(crate) mod candidate;
    pub(crate) mod changes;
    pub(crate) mod clients;
    pub(crate) mod concurrency;
    pub(crate) mod device_addresses;
    pub(crate) mod hostile;
    pub(crate) mod impact;
    pub(crate) mod in_force;
    pub(crate) mod instance_selection;
    pub(crate) mod json_log;
    pub(crate) mod kills;
    pub(crate) mod metrics;
    pub(crate) mod ordered_groups;
    pub(crate) mod tried;
    pub(crate) mod walkthrough;
}
mod support {
    pub(crate) mod served;
    pub(crate) mod suite;
}

use support::suite::{self, features};

fn main() -> Result<ExitCode> {
    suite::run(4, |suite, _| {
        features!(suite:
            api::clients,
            api::walkthrough,
            api::ordered_groups,
            api::kills,
            api::tried,
            api::concurrency,
            api::instance_selection,
            api::backup,
            api::json_log,
            api::metrics,
            api::audit,
            api::changes,
            api::impact,
            api::device_addresses,
            api::in_force,
            api::candidate,
            api::hostile,
        );
    })
}
