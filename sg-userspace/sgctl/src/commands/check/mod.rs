//! `sgctl check`: the verdict for a packet, and why: on a NIC as it is, or under a document.

mod explain;
mod flow;
mod in_force;
mod packet;
mod under_policy;

use std::io::Write;

use anyhow::anyhow;
use clap::Subcommand;

use crate::{args::common::Common, failure::Failure, session::Session};

#[cfg(test)]
pub(crate) use explain::write as write_explanation;

/// Judge packets that start a flow, and explain the verdicts; nothing is sent.
///
/// With --flow, it explains what happened: the row says which packet it was, who decided, and under which version of the rules.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Args {
    /// A row of `sgctl observe`, `sgctl flows` or the flow log, as text or JSON; `-` reads standard input
    #[arg(long, value_name = "ROW", allow_hyphen_values = true)]
    flow: Option<String>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    Packet(packet::PacketArgs),
    Common(in_force::CommonArgs),
    Probes(under_policy::ProbesArgs),
}

pub(crate) fn run(args: Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    match (args.what, args.flow) {
        (Some(What::Packet(packet)), _) => match packet.policy.clone() {
            Some(policy) => under_policy::packet(&packet, &policy, &common.output, out),
            None => in_force::packet(&packet, &mut Session::new(common, out)?),
        },
        (Some(What::Common(args)), _) => in_force::common(&args, &mut Session::new(common, out)?),
        (Some(What::Probes(args)), _) => under_policy::probes(&args, &common.output, out),
        (None, Some(row)) => flow::run(&row, &mut Session::new(common, out)?),
        (None, None) => Err(Failure::input(anyhow!("check what? packet, common, probes, or --flow ROW"))),
    }
}
