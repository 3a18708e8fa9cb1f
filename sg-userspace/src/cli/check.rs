//! `sgctl check`: what would happen to a packet, and why: under a document, or on a NIC as it is.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{
    check_policy::{self, TypedProbes},
    failure::Failure,
    session::Common,
};

// clap would show the flags of all ways in one line, as if all were needed.
const USAGE: &str = "sgctl check --policy <FILE> --probes <FILE> [--engine <ENGINE>] [--json]
       sgctl check --policy <FILE> --nic <NIC> --direction <DIRECTION> --protocol <PROTOCOL>
                   --src <ADDRESS> --dst <ADDRESS> [--dport <PORT>] [--icmp-type <NUMBER>] [...]";

/// What would happen to a packet that starts a flow, and why; no interface is touched.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(super) struct Typed {
    /// The policy document.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    probes: TypedProbes,
}

pub(super) fn run(typed: Typed, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    check_policy::run(typed.probes, &typed.policy, common.format(), out)
}
