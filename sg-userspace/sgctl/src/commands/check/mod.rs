//! `sgctl check`: the verdict for a packet, and why: on a NIC as it is, or under a document.

mod explain;
mod in_force;
mod packet;
mod under_policy;

use std::io::Write;

use clap::Subcommand;

use crate::{args::common::Common, failure::Failure, session::Session};

#[cfg(test)]
pub(crate) use explain::write as write_explanation;

/// Judge packets that start a flow, and explain the verdicts; nothing is sent.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Packet(packet::PacketArgs),
    Common(in_force::CommonArgs),
    Probes(under_policy::ProbesArgs),
}

pub(crate) fn run(args: Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    match args.what {
        What::Packet(packet) => match packet.policy.clone() {
            Some(policy) => under_policy::packet(&packet, &policy, &common.output, out),
            None => in_force::packet(&packet, &mut Session::new(common, out)?),
        },
        What::Common(args) => in_force::common(&args, &mut Session::new(common, out)?),
        What::Probes(args) => under_policy::probes(&args, &common.output, out),
    }
}
