//! `sg-demo`: security groups at work, over real packets.
//!
//! Three hosts on a switch, all of them network namespaces that end with this process; the server's NIC is
//! filtered by `sgd` under `examples/demo.yaml`. Each packet is sent for real; what became of it is set
//! beside what `sgctl check` says and beside the counter in the kernel that moved. `cargo xtask demo` runs it.

use std::{env, fs, process::ExitCode};

use anyhow::{Context as _, Result};
use sg_tests::lab::{Agent, Attach, Entered, Lab, Options};

mod check;
mod network;
mod revoke;
mod sending;
mod table;

use network::Network;
use table::Table;

const LEGEND: &str = "\
RESULT      what happened to the packet on the wire
DECIDED BY  the rule (GROUP: NAME) or default whose counter moved
PKTS        by how much it moved
CHECK       whether `sgctl check` foretold the same
The last row is a connection that was open when its rule was revoked: nothing of
it passes any more.";

const NEXT: &str = "\
Try next:
  $EDITOR examples/demo.yaml; cargo xtask demo    # change a rule, and look
  cargo xtask demo -- POLICY.yaml                 # another document
  README.md, \"Filter your own interface\"          # on this machine";

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/demo.yaml");

fn main() -> Result<ExitCode> {
    match Lab::enter()? {
        Entered::Inside(lab) => demonstrate(lab),
        Entered::LeftOut(missing) => {
            eprintln!(
                "sg-demo needs {missing}: it makes network namespaces and loads eBPF programs. `cargo xtask demo` asks for it."
            );
            Ok(ExitCode::from(2))
        }
    }
}

fn demonstrate(lab: Lab) -> Result<ExitCode> {
    let file = env::args().nth(1).unwrap_or_else(|| POLICY.into());
    let policy = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let network = Network::build(lab)?;
    println!("{}\n\nThe policy of the server's eth0, {file}:\n\n{}", network::PICTURE, policy.trim_end());

    let options = Options { attach: Attach::Auto, detach_on_exit: false };
    let mut agent = Agent::start(&network.server, &policy, options)?;
    let mut table = Table::new();
    let sendings = sending::all();
    let foretold = check::foretell(&agent, &sendings)?;
    let packets = sendings.len();
    println!(
        "ready: sending {packets} packets over both families, and revoking one connection while it is open …"
    );
    for (sending, foretold) in sendings.into_iter().zip(foretold) {
        table.add(&sending::send(&network, &agent, sending, &foretold)?);
    }
    table.add(&revoke::while_connected(&network, &mut agent, &policy)?);

    println!("\n{table}\n\n{LEGEND}\n");
    Ok(match table.surprises() {
        0 => {
            println!("All {packets} packets and the revoked connection are as expected.");
            println!("Nothing of this is left on the machine.\n\n{NEXT}");
            ExitCode::SUCCESS
        }
        surprises => {
            println!("{surprises} of {} rows are not as expected.", table.len());
            ExitCode::FAILURE
        }
    })
}
