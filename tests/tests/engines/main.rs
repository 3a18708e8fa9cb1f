//! The three engines against each other: the oracle, the image in user space and the program in the kernel, over
//! random policies and probes aimed at the edges of their rules; the clouds' own examples; and the programs by
//! themselves.
//!
//! A failure prints the seed, the probe and the smallest policy that was found to show it. `SG_DEEP=1` runs
//! more than a million probes. Where the program cannot be loaded, its tests are left out, and the run says why.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

mod adversarial;
mod associations;
mod compare;
mod families;
mod guest;
mod images;
mod mutation;
mod named;
mod patches;
mod processors;
mod programs;
mod receiver;
mod reused;
mod revocation;
mod shares;
mod talks;
mod tunnels;
mod vectors;
mod vlans;
mod xdp;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use sg_check::{EngineKind, KernelEngine};

use compare::{Opponent, Size};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // The only way to know is to try.
    let missing = KernelEngine::datapath().err().map(|error| error.to_string());
    let mut trials = Vec::new();
    let mut add = |name: String, needs_kernel: bool, test: Box<dyn FnOnce() + Send>| {
        let left_out = needs_kernel && missing.is_some();
        let trial = Trial::test(name, || {
            test();
            Ok(())
        });
        trials.push(trial.with_ignored_flag(left_out));
        usize::from(left_out)
    };
    let mut left_out = 0;
    left_out += add("oracle::agrees_with_itself".to_owned(), false, Box::new(of_the_comparison));
    for engine in EngineKind::ALL {
        let kernel = engine == EngineKind::Kernel;
        if engine != EngineKind::Oracle {
            left_out +=
                add(format!("{engine}::agrees_with_the_oracle"), kernel, Box::new(move || agrees(engine)));
            let agrees = move || families::agrees(engine);
            left_out += add(format!("{engine}::agrees_over_families"), kernel, Box::new(agrees));
            let agrees = move || patches::agrees(engine);
            left_out += add(format!("{engine}::agrees_after_patches"), kernel, Box::new(agrees));
        }
        let caught = move || mutation::are_caught(engine);
        left_out += add(format!("{engine}::planted_bugs_are_caught"), kernel, Box::new(caught));
        for &(name, vector) in vectors::VECTORS {
            left_out += add(format!("{engine}::{name}"), kernel, Box::new(move || vector(engine)));
        }
    }
    for (room, tests) in [
        ("programs", programs::TESTS),
        ("xdp", xdp::TESTS),
        ("adversarial", adversarial::TESTS),
        ("vlans", vlans::TESTS),
        ("guest", guest::TESTS),
        ("named", named::TESTS),
        ("receiver", receiver::TESTS),
        ("revocation", revocation::TESTS),
        ("talks", talks::TESTS),
        ("reused", reused::TESTS),
        ("associations", associations::TESTS),
        ("processors", processors::TESTS),
        ("shares", shares::TESTS),
        ("images", images::TESTS),
        ("tunnels", tunnels::TESTS),
        ("patches", patches::TESTS),
    ] {
        for &(name, test) in tests {
            left_out += add(format!("{room}::{name}"), true, Box::new(test));
        }
    }
    if let Some(missing) = missing
        && !arguments.list
    {
        println!("left out: {left_out} tests of the program in the kernel: {missing}");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn agrees(engine: EngineKind) {
    match compare::run(Opponent::honest(engine), Size::from_environment()) {
        Ok(probes) => println!("{engine} agreed with the oracle on {probes} probes"),
        Err(disagreement) => panic!("{disagreement}"),
    }
}

/// The oracle agrees with the oracle.
fn of_the_comparison() {
    let size = Size { policies: 50, probes: 100 };
    assert_eq!(compare::run(Opponent::honest(EngineKind::Oracle), size).unwrap(), 5_000);
}
