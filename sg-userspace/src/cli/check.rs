//! `sgctl check`: the verdict for a packet, and why: under a document, or on a NIC as it is.

use std::{io::Write, path::PathBuf};

use anyhow::anyhow;
use clap::Subcommand;

use super::{
    check_nic::{self, CommonArgs, PacketArgs},
    check_policy::{self, TypedProbes},
    failure::Failure,
    session::{Common, Session},
};

// clap would show the flags of all forms in one line, as if all were needed.
const USAGE: &str = "sgctl check packet <NIC> --protocol <PROTOCOL> --remote <ADDRESS> [--port <PORT>] [...]
       sgctl check common <NIC> --remote <ADDRESS>
       sgctl check --policy <FILE> --probes <FILE> [--engine <ENGINE>] [--json]
       sgctl check --policy <FILE> --nic <NIC> --direction <DIRECTION> --protocol <PROTOCOL>
                   --src <ADDRESS> --dst <ADDRESS> [--dport <PORT>] [--icmp-type <NUMBER>] [...]";

/// Judge a packet that starts a flow, and explain the verdict; changes no interface.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    on_nic: Option<OnNic>,
    /// Policy document.
    #[arg(long, value_name = "FILE", required = true)]
    policy: Option<PathBuf>,
    #[command(flatten)]
    probes: TypedProbes,
}

/// Checks that `sgd serve` answers.
#[derive(Debug, Subcommand)]
enum OnNic {
    Packet(PacketArgs),
    Common(CommonArgs),
}

pub(super) fn run(typed: Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    match (typed.on_nic, typed.policy) {
        (Some(OnNic::Packet(packet)), _) => check_nic::packet(packet, &mut Session::new(common, out)?),
        (Some(OnNic::Common(typed)), _) => check_nic::common(&typed, &mut Session::new(common, out)?),
        (None, Some(policy)) => check_policy::run(typed.probes, &policy, common.format(), out),
        (None, None) => Err(Failure::input(anyhow!("either --policy, or `packet` or `common` is needed"))),
    }
}
