//! The two filters, each with its rig: ours, and nftables with its conntrack.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, Host, Lab};

use crate::differential::{
    policy::Policy,
    rig::{Rig, Step, number_of},
};

/// What conntrack made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    New,
    Established,
    Related,
    Invalid,
    Untracked,
}

/// The verdicts about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdicts {
    pub(crate) ours: bool,
    pub(crate) theirs: bool,
    /// None where the router refused it before nftables saw it.
    pub(crate) state: Option<State>,
}

pub(crate) struct Judges {
    pub(crate) ours: Rig,
    pub(crate) theirs: Rig,
    pub(crate) agent: Agent,
}

impl Judges {
    /// The two of them, under this policy.
    pub(crate) fn new(lab: Lab, policy: &Policy) -> Result<Self> {
        let (ours, theirs) = (Rig::new(lab)?, Rig::new(lab)?);
        let agent = Agent::start(&ours.router, &policy.document(), Attach::Auto.into())?;
        nft(&theirs.router, &["-f", "-"], &policy.telling_ruleset())?;
        Ok(Self { ours, theirs, agent })
    }

    pub(crate) fn apply(&mut self, policy: &Policy) -> Result<()> {
        self.agent.apply(&policy.document())?;
        nft(&self.theirs.router, &["-f", "-"], &policy.telling_ruleset()).map(drop)
    }

    /// What both say of these packets, one after the other.
    pub(crate) fn judge(&self, steps: &[Step]) -> Result<Vec<Verdicts>> {
        let ours = self.ours.run(steps).context("through sgd")?;
        let theirs = self.theirs.run(steps).context("through nftables")?;
        let states = states(&self.theirs.router)?;
        let verdicts = |place: usize| Verdicts {
            ours: ours[place],
            theirs: theirs[place],
            state: states.get(&(number_of(place), steps[place].packet.from.is_ipv6())).copied(),
        };
        Ok((0..steps.len()).map(verdicts).collect())
    }
}

/// What is missing for these tests.
pub(crate) fn missing() -> Option<String> {
    let found = Command::new("nft").arg("--version").output().is_ok_and(|output| output.status.success());
    (!found).then(|| "left out: needs nft (package nftables)".to_owned())
}

/// Runs `nft` in a host's network.
pub(crate) fn nft(host: &Host, arguments: &[&str], input: &str) -> Result<String> {
    let mut nft = Command::new("nft");
    nft.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = host.spawn(&mut nft)?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft {arguments:?} failed: {said}\n{input}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The state that conntrack gave to each packet, by its number and whether it is IPv6.
fn states(host: &Host) -> Result<BTreeMap<(u16, bool), State>> {
    let mut states = BTreeMap::new();
    for (set, is_v6) in [("states4", false), ("states6", true)] {
        let shown = nft(host, &["-j", "list", "set", "inet", "differential", set], "")?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let elements = shown.pointer("/nftables/1/set/elem").and_then(serde_json::Value::as_array);
        for element in elements.into_iter().flatten() {
            let concat = element.get("concat").context("an element that is not two")?;
            let number = concat[0].as_u64().context("a packet without a number")?;
            let state = match concat[1].as_str().context("a packet without a state")? {
                "new" => State::New,
                "established" => State::Established,
                "related" => State::Related,
                "invalid" => State::Invalid,
                "untracked" => State::Untracked,
                other => anyhow::bail!("conntrack knows a state {other}"),
            };
            states.insert((number as u16, is_v6), state);
        }
    }
    Ok(states)
}

/// A parameter of conntrack, for figures.
pub(crate) fn parameter(host: &Host, name: &str) -> Result<u64> {
    let text = host.inside(|| Ok(fs::read_to_string(format!("/proc/sys/net/netfilter/{name}"))?))?;
    Ok(text.trim().parse()?)
}
