//! Tests over real packets: namespaces, real sockets, the real agent.
//!
//! Each test builds a little network of its own in the lab and is written as rules in, packets out. Without
//! root all of them are left out, and the run says so.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use sg_tests::lab::{Entered, Lab};

mod baseline;
mod changes;
mod closed;
mod devices;
mod dhcp;
mod ends;
mod exceptions;
mod flooded;
mod flows;
mod forwarding;
mod frames;
mod groups;
mod hooks;
mod ipsec;
mod large;
mod leases;
mod left_behind;
mod lifecycle;
mod multicast;
mod named;
mod orders;
mod own;
mod receiver;
mod reject;
mod routed;
mod scene;
mod stateful;
mod suite;
mod takeover;
mod tunnels;
mod verdicts;
mod vlans;
mod vrrp;
mod wires;

use suite::Suite;

fn main() -> Result<ExitCode> {
    if left_behind::idle()? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut arguments = Arguments::from_args();
    // Most of a test is waiting for silence.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let mut suite = Suite::new(if arguments.list { Entered::LeftOut("to be run") } else { Lab::enter()? });
    for room in [
        left_behind::tests,
        baseline::tests,
        verdicts::tests,
        stateful::tests,
        changes::tests,
        groups::tests,
        reject::tests,
        exceptions::tests,
        closed::tests,
        dhcp::tests,
        leases::tests,
        own::tests,
        vrrp::tests,
        multicast::tests,
        flows::tests,
        flooded::tests,
        ends::tests,
        takeover::tests,
        wires::tests,
        frames::tests,
        named::tests,
        receiver::tests,
        large::tests,
        devices::tests,
        hooks::tests,
        tunnels::tests,
        vlans::tests,
        lifecycle::tests,
        orders::tests,
    ] {
        room(&mut suite);
    }
    // What many kernels were built without: `cargo xtask test --kernel` asks for it, over kernels that must have it.
    if arguments.include_ignored {
        ipsec::tests(&mut suite);
        tunnels::of_kinds(&mut suite);
        vlans::of_devices(&mut suite);
    }
    Ok(suite.run(&arguments))
}
