//! The filters, each with the best configuration that we know for it. All render the same list of rules, and their verdicts are
//! compared before anything is measured.
//!
//! | file | filter |
//! |---|---|
//! | this one | `sgd`, as a user starts it |
//! | `nft` | nftables: verdict map of states, named sets of address, protocol and ports; and a rule a line |
//! | `iptables` | iptables with ipset; and over nftables, a rule a line |
//! | `lpm` | an eBPF firewall of longest prefixes |

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{SchedClassifier, TcAttachType},
};
use sg_benches::cloud::{self, Rule};
use sg_tests::lab::{Agent, Attach, Host, programs};

use crate::forwarding_path::{LOCAL, OUTER};

mod iptables;
mod lpm;
mod nft;

/// A filter to compare.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    /// Its name in figures.
    pub(crate) name: &'static str,
    /// Commands that it needs.
    pub(crate) commands: &'static [&'static str],
    /// Whether it uses the kernel's connection tracking.
    pub(crate) conntrack: bool,
    /// Installs the rules on a router.
    pub(crate) install: fn(&Host, &[Rule]) -> Result<Filter>,
}

/// What keeps a filter in force.
pub(crate) enum Filter {
    /// The host itself.
    Host,
    Agent(Box<Agent>),
    Programs(Box<Ebpf>),
}

impl Filter {
    /// Forgets its flows, so that no round pays for those of the one before.
    pub(crate) fn forget(&mut self, host: &Host) -> Result<()> {
        match self {
            Self::Host => feed(host, &[CONNTRACK, "-F"], ""),
            Self::Agent(agent) => {
                agent.sgctl(&["flows", "--instance", agent.instance(), "--delete", "--yes"]).map(drop)
            }
            Self::Programs(programs) => lpm::forget(programs),
        }
    }
}

/// The baseline of all figures: a program on the device's hooks that does nothing.
pub(crate) const EMPTY: Peer =
    Peer { name: "empty", commands: &[], conntrack: false, install: |host, _| empty(host) };

/// `sgd` with a document, on TCX.
const OURS: Peer = Peer { name: "ours", commands: &[], conntrack: false, install: ours };

/// Every filter, ours first.
pub(crate) const ALL: [Peer; 6] =
    [OURS, nft::SETS, nft::LINEAR, iptables::IPSET, iptables::LINEAR, lpm::PEER];

/// Accepting replies comes first, as in every guide.
const CONNTRACK: &str = "conntrack";

impl Peer {
    /// The command that it lacks, if any.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let tracking = self.conntrack.then_some(CONNTRACK);
        let runs = |command: &str| Command::new(command).arg("--version").output().is_ok();
        self.commands.iter().copied().chain(tracking).find(|command| !runs(command))
    }
}

fn ours(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let agent = Agent::start(host, &cloud::document(rules, OUTER, LOCAL), Attach::Tcx.into())?;
    Ok(Filter::Agent(Box::new(agent)))
}

fn empty(host: &Host) -> Result<Filter> {
    attached(host, programs()?, ["lab_empty", "lab_empty_sent"])
}

/// Attaches programs to the filtered device with TCX: ingress and egress.
fn attached(host: &Host, mut ebpf: Ebpf, names: [&str; 2]) -> Result<Filter> {
    for (name, hook) in names.into_iter().zip([TcAttachType::Ingress, TcAttachType::Egress]) {
        let program: &mut SchedClassifier = ebpf.program_mut(name).context("no such program")?.try_into()?;
        program.load()?;
        host.inside(|| program.attach(OUTER, hook).map(drop).context("cannot attach"))?;
    }
    Ok(Filter::Programs(Box::new(ebpf)))
}

/// Runs a command in a host's network with `input` on standard input.
fn feed(host: &Host, command: &[&str], input: &str) -> Result<()> {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = host.spawn(&mut process)?;
    // If it gave up early, its own error is the better one.
    let _ = child.stdin.take().context("no standard input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {said}");
    Ok(())
}

/// A filter of the host's kernel. Conntrack need not verify checksums: network cards do that.
fn host_filter(host: &Host) -> Result<Filter> {
    host.sysctl("net/netfilter/nf_conntrack_checksum", "0")?;
    Ok(Filter::Host)
}
