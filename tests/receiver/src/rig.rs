//! The three stacks that get the same frames: behind the filter, without one, and behind nftables with conntrack.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    combination::{Combination, Side},
    lab::{Agent, Host, Lab},
    receiver::Arrivals,
    rules::Policy,
    seen::Seen,
    stack::Stack,
    story::Case,
};

/// The three, under one combination.
pub struct Rig {
    /// What they are under.
    pub combination: Combination,
    /// The one behind the filter.
    pub filtered: Stack,
    twin: Stack,
    peer: Stack,
    agent: Option<Agent>,
    _one: OneCpu,
}

/// What arrived in each of the three.
pub struct Three {
    filtered: Arrivals,
    twin: Arrivals,
    peer: Arrivals,
}

impl Three {
    /// What arrived of the case with this number: behind the filter, without one, behind nftables.
    #[must_use]
    pub fn of(&self, number: u32) -> [&[Seen]; 3] {
        [&self.filtered, &self.twin, &self.peer].map(|all| all.get(&number).map_or(&[][..], Vec::as_slice))
    }
}

impl Rig {
    /// Makes them.
    ///
    /// # Errors
    /// Where the kernel does not.
    pub fn new(lab: Lab, combination: Combination) -> Result<Self> {
        let one = OneCpu::pin()?;
        let [filtered, twin, peer] = [Stack::new(lab)?, Stack::new(lab)?, Stack::new(lab)?];
        Ok(Self { combination, filtered, twin, peer, agent: None, _one: one })
    }

    /// Puts a policy in force.
    ///
    /// # Errors
    /// Where the filter or nftables does not take it.
    pub fn apply(&mut self, policy: Policy) -> Result<()> {
        let document = policy.document(self.combination, self.filtered.link.to);
        if let Some(agent) = &mut self.agent {
            agent.apply(&document)?;
        } else {
            let host = match self.combination.side() {
                Side::Receiver => &self.filtered.receiver,
                Side::Sender => &self.filtered.sender,
            };
            self.agent = Some(Agent::start(host, &document, self.combination.attach.into())?);
        }
        nft(&self.peer.receiver, &policy.ruleset())?;
        self.forget_soon()
    }

    /// Has conntrack forget within seconds: each case has connections of its own, and a full table refuses new ones.
    fn forget_soon(&self) -> Result<()> {
        let parameters = || fs::read_dir("/proc/sys/net/netfilter").context("conntrack has no parameters");
        self.peer.receiver.inside(|| {
            for parameter in parameters()? {
                let parameter = parameter?;
                if parameter.file_name().to_string_lossy().contains("_timeout") {
                    fs::write(parameter.path(), "5")
                        .with_context(|| format!("cannot write {parameter:?}"))?;
                }
            }
            Ok(())
        })
    }

    /// Sends all frames of these cases to each of the three.
    ///
    /// # Errors
    /// Where they do not go through.
    pub fn three(&mut self, cases: &[Case]) -> Result<Three> {
        Ok(Three {
            twin: self.twin.run(cases).context("without a filter")?,
            peer: self.peer.run(cases).context("through nftables")?,
            filtered: self.filtered.run(cases).context("through sgd")?,
        })
    }
}

fn nft(host: &Host, ruleset: &str) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = host.spawn(&mut nft)?;
    child.stdin.take().context("no standard input")?.write_all(ruleset.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft failed: {}\n{ruleset}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Frames that are sent on one CPU are received in order: each has one queue of what veth devices received (`netif_rx`).
/// It ends with the value.
struct OneCpu(CpuSet);

impl OneCpu {
    fn pin() -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let all: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| before.is_set(cpu) == Ok(true)).collect();
        ensure!(!all.is_empty(), "no CPU");
        let mut one = CpuSet::new();
        one.set(all[NEXT.fetch_add(1, Ordering::Relaxed) % all.len()])?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Self(before))
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        // The thread ends with the test.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
