//! The same packets through this project's filter and through nftables: scenarios, and adversarial traffic with the kernel's
//! connection tracking.
//!
//! It owns raw packets, the row of hosts that they go through, and the list of differences that are explained. It must
//! never excuse a difference that is not on that list. `SG_DEEP=1` makes it long and prints its figures. Where `nft` is
//! missing, what needs it is left out by name.

use std::{env, process::ExitCode};

use anyhow::Result;

mod anti_spoofing {
    pub(crate) mod sources;
}
mod differential {
    pub(crate) mod conntrack_selftests;
    pub(crate) mod judges;
    pub(crate) mod kind;
    pub(crate) mod nftables;
    pub(crate) mod packet;
    pub(crate) mod policy;
    pub(crate) mod rig;
    pub(crate) mod scenarios_on_the_wire;
    pub(crate) mod sequence;
}
mod exceptions {
    pub(crate) mod addresses;
}
mod fields {
    pub(crate) mod dscp;
    pub(crate) mod enabled;
    pub(crate) mod family;
    pub(crate) mod icmp;
    pub(crate) mod local;
    pub(crate) mod ports;
    pub(crate) mod protocol;
    pub(crate) mod remote;
    pub(crate) mod source_ports;
}
mod order {
    pub(crate) mod defaults;
    pub(crate) mod groups;
    pub(crate) mod members;
    pub(crate) mod priority;
}
mod reject {
    pub(crate) mod verdicts;
}
mod scale {
    pub(crate) mod flood;
}
mod support {
    #[allow(dead_code, reason = "this file is part of two programs, and neither uses all of it")]
    pub(crate) mod scenario;
    pub(crate) mod suite;
}

use support::suite::{self, features};

fn main() -> Result<ExitCode> {
    // Most of a scenario is waiting for its policy.
    suite::run(6, |suite, _| {
        features!(suite:
            differential::scenarios_on_the_wire,
            differential::nftables,
            differential::conntrack_selftests,
            scale::flood,
        );
    })
}

/// How much of something: `short` in a normal run, `deep` where `SG_DEEP` asks for more.
fn amount<T>(short: T, deep: T) -> T {
    if env::var_os("SG_DEEP").is_some() { deep } else { short }
}
