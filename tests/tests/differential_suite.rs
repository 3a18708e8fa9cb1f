//! Differential tests of adversarial traffic: the same packets through this project's filter and through nftables with the
//! kernel's connection tracking.
//!
//! It owns raw packets, the row of hosts that they go through, and the list of differences that are explained. It must
//! never excuse a difference that is not on that list. `SG_DEEP=1` makes it long and prints its figures. Where `nft` is
//! missing, what needs it is left out by name.

use std::{env, process::ExitCode};

use anyhow::Result;
use libtest_mimic::Arguments;
use sg_tests::lab::{Entered, Lab};

mod differential {
    pub(crate) mod conntrack_selftests;
    pub(crate) mod judges;
    pub(crate) mod kind;
    pub(crate) mod nftables;
    pub(crate) mod packet;
    pub(crate) mod policy;
    pub(crate) mod rig;
    pub(crate) mod sequence;
}
mod scale {
    pub(crate) mod flood;
}
mod support {
    pub(crate) mod suite;
}

use support::suite::{Suite, features};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let mut suite = Suite::new(if arguments.list { Entered::LeftOut("to be run") } else { Lab::enter()? });
    features!(suite: differential::nftables, differential::conntrack_selftests, scale::flood);
    Ok(suite.run(&arguments))
}

/// How much of something: `short` in a normal run, `deep` where `SG_DEEP` asks for more.
fn amount<T>(short: T, deep: T) -> T {
    if env::var_os("SG_DEEP").is_some() { deep } else { short }
}
