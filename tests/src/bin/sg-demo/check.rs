//! What `sgctl check` says of the same packets, without sending them.

use std::{fmt, fs};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use sg_tests::lab::{Agent, Counter, Family, Service};

use crate::{network::Who, sending::Sending};

/// A result of `sgctl check --json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Foretold {
    verdict: String,
    reason: String,
    group: Option<String>,
    rule: Option<String>,
}

impl Foretold {
    pub(crate) fn accepts(&self) -> bool {
        self.verdict == "accept"
    }

    /// Whether this is the result that makes `counter` move.
    pub(crate) fn names(&self, counter: &Counter) -> bool {
        match counter {
            Counter::Rule { group, rule } => {
                (&self.group, &self.rule) == (&Some(group.clone()), &Some(rule.clone()))
            }
            Counter::IntraGroup(_) => self.reason == "intra-group",
            Counter::Default { .. } => self.reason == "default",
            Counter::Reason { reason, .. } => self.reason == *reason,
        }
    }
}

impl fmt::Display for Foretold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict, self.rule.as_ref().unwrap_or(&self.reason))
    }
}

/// Asks `sgctl check` about all of them at once.
pub(crate) fn foretell(agent: &Agent, sendings: &[Sending]) -> Result<Vec<Foretold>> {
    let policy = agent.policy_file();
    let probes = policy.with_file_name("probes.jsonl");
    let lines: Vec<_> = sendings.iter().map(|&sending| probe(sending).to_string()).collect();
    fs::write(&probes, lines.join("\n") + "\n")?;
    let utf8 = "the path is no UTF-8";
    let output = agent.sgctl(&[
        "check",
        "probes",
        probes.to_str().context(utf8)?,
        "--policy",
        policy.to_str().context(utf8)?,
        "--json",
    ])?;
    let results = String::from_utf8(output.stdout)?;
    let foretold: Vec<Foretold> = results
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("`sgctl check` printed {line:?}")))
        .collect::<Result<_>>()?;
    ensure!(
        foretold.len() == sendings.len(),
        "`sgctl check` gave {} results for {} probes",
        foretold.len(),
        sendings.len()
    );
    Ok(foretold)
}

fn probe(sending: Sending) -> Value {
    let question = sending.question();
    let direction = if sending.from == Who::Server { "egress" } else { "ingress" };
    let mut probe = json!({
        "nic": "eth0",
        "direction": direction,
        "protocol": sending.service.protocol(sending.family),
        "src": question.from,
        "dst": question.to,
    });
    if let Some(port) = sending.service.port() {
        probe["dport"] = port.into();
    }
    if sending.service == Service::Echo {
        probe["icmp_type"] = if sending.family == Family::V4 { 8 } else { 128 }.into();
    }
    probe
}
