//! The three engines against each other: the oracle, the image in user space and the program in the kernel, over
//! random policies and probes aimed at the edges of their rules; over scenarios; and the programs by themselves.
//!
//! A failure prints the seed, the probe and the smallest policy that was found to show it. `SG_DEEP=1` runs
//! more than a million probes. Where the program cannot be loaded, its tests are left out, and the run says why.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

mod anti_spoofing {
    pub(crate) mod guest;
    pub(crate) mod sources;
}
mod conntrack {
    pub(crate) mod adversarial;
    pub(crate) mod ageing;
    pub(crate) mod half_open;
    pub(crate) mod limits;
    pub(crate) mod reused_ports;
    pub(crate) mod revocation;
    pub(crate) mod revoked_datagrams;
    pub(crate) mod sctp;
}
mod differential {
    pub(crate) mod engines;
    pub(crate) mod families;
    pub(crate) mod generator;
    pub(crate) mod mutation;
    pub(crate) mod patches;
    pub(crate) mod scenarios;
}
mod exceptions {
    pub(crate) mod addresses;
    pub(crate) mod ethertypes;
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
mod frames {
    pub(crate) mod fragments;
    pub(crate) mod receiver;
    pub(crate) mod vlans;
}
mod hooks {
    pub(crate) mod candidate;
    pub(crate) mod pending;
    pub(crate) mod programs;
    pub(crate) mod tunnels;
    pub(crate) mod xdp;
}
mod observe {
    pub(crate) mod denied;
    pub(crate) mod flow_log;
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
    pub(crate) mod images;
    pub(crate) mod processors;
}
mod support {
    pub(crate) mod runs;
    #[allow(dead_code, reason = "this file is part of two programs, and neither uses all of it")]
    pub(crate) mod scenario;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use sg_check::{EngineKind, KernelEngine};

use support::runs::{AskedOf, Test};

/// Features, by folder and file, with what `$list` has for each.
macro_rules! features {
    ($list:ident: $($folder:ident::$file:ident),+ $(,)?) => {
        [$((concat!(stringify!($folder), "::", stringify!($file)), $folder::$file::$list)),+]
    };
}

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
    let user_space: [(&str, &[Test]); 4] = features!(TESTS:
        differential::engines,
        differential::families,
        differential::generator,
        differential::scenarios,
    );
    let programs: [(&str, &[Test]); 23] = features!(TESTS:
        hooks::candidate,
        hooks::pending,
        hooks::programs,
        hooks::xdp,
        conntrack::ageing,
        frames::fragments,
        conntrack::adversarial,
        frames::vlans,
        anti_spoofing::guest,
        conntrack::limits,
        exceptions::ethertypes,
        frames::receiver,
        conntrack::revocation,
        conntrack::revoked_datagrams,
        conntrack::reused_ports,
        conntrack::sctp,
        scale::processors,
        conntrack::half_open,
        scale::images,
        hooks::tunnels,
        differential::patches,
        observe::denied,
        observe::flow_log,
    );
    let asked: [(&str, &[AskedOf]); 4] = features!(ASKED:
        differential::engines,
        differential::families,
        differential::patches,
        differential::mutation,
    );
    for (feature, tests) in asked {
        for &(name, engines, test) in tests {
            for &engine in engines {
                let needs_kernel = engine == EngineKind::Kernel;
                let test = Box::new(move || test(engine));
                left_out += add(format!("{feature}::{name}::{engine}"), needs_kernel, test);
            }
        }
    }
    for asked in differential::scenarios::asked() {
        left_out += add(asked.name, asked.needs_kernel, asked.test);
    }
    for (needs_kernel, features) in [(false, &user_space[..]), (true, &programs)] {
        for (feature, tests) in features {
            for &(name, test) in *tests {
                left_out += add(format!("{feature}::{name}"), needs_kernel, Box::new(test));
            }
        }
    }
    if let Some(missing) = missing
        && !arguments.list
    {
        println!("left out: {left_out} tests of the program in the kernel: {missing}");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
