//! The kernel's counters, from `sgctl stats --json`.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Packets by what decided them.
#[derive(Clone, Debug, Default)]
pub struct Stats(BTreeMap<Counter, u64>);

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// A rule.
    Rule {
        /// Its group.
        group: String,
        /// Its id.
        rule: String,
    },
    /// Membership of a group whose members may reach each other.
    IntraGroup(String),
    /// No rule: the default of a NIC and direction.
    Default {
        /// The NIC's device.
        nic: String,
        /// `ingress` or `egress`.
        direction: String,
    },
    /// None of these, but a named reason.
    Reason {
        /// The NIC's device.
        nic: String,
        /// `ingress` or `egress`.
        direction: String,
        /// Its name.
        reason: String,
    },
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { rule, .. } => f.write_str(rule),
            Self::IntraGroup(group) => write!(f, "members of {group}"),
            Self::Default { direction, .. } => write!(f, "default of {direction}"),
            Self::Reason { reason, .. } => f.write_str(reason),
        }
    }
}

impl Stats {
    /// Parses the output of `sgctl stats --json`.
    pub(super) fn read(json: &[u8]) -> Result<Self> {
        let document: Document = serde_json::from_slice(json)
            .with_context(|| format!("`sgctl stats --json`: {}", String::from_utf8_lossy(json)))?;
        let mut stats = Self::default();
        for row in document.rules {
            stats.add(Counter::Rule { group: row.group, rule: row.rule }, row.packets);
        }
        for row in document.intra_group {
            stats.add(Counter::IntraGroup(row.group), row.packets);
        }
        for row in document.defaults {
            stats.add(Counter::Default { nic: row.nic, direction: row.direction }, row.packets);
        }
        for row in document.reasons {
            let (nic, direction) = (row.nic.unwrap_or_default(), row.direction.unwrap_or_default());
            stats.add(Counter::Reason { nic, direction, reason: row.reason }, row.packets);
        }
        Ok(stats)
    }

    fn add(&mut self, counter: Counter, packets: u64) {
        *self.0.entry(counter).or_default() += packets;
    }

    /// Packets that the rule of this id decided.
    #[must_use]
    pub fn rule(&self, id: &str) -> u64 {
        self.sum(|counter| matches!(counter, Counter::Rule { rule, .. } if rule == id))
    }

    /// Packets accepted because a member of `group` sent them.
    #[must_use]
    pub fn intra_group(&self, group: &str) -> u64 {
        self.sum(|counter| matches!(counter, Counter::IntraGroup(name) if name == group))
    }

    /// Packets that no rule matched.
    #[must_use]
    pub fn default_of(&self, wanted: &str) -> u64 {
        self.sum(|counter| matches!(counter, Counter::Default { direction, .. } if direction == wanted))
    }

    /// Packets accepted or dropped for this reason, over all NICs and directions.
    #[must_use]
    pub fn reason(&self, name: &str) -> u64 {
        self.sum(|counter| matches!(counter, Counter::Reason { reason, .. } if reason == name))
    }

    /// Packets of this counter.
    #[must_use]
    pub fn packets(&self, counter: &Counter) -> u64 {
        self.0.get(counter).copied().unwrap_or(0)
    }

    /// The counters that changed since `before`, with their increments.
    #[must_use]
    pub fn moved_since(&self, before: &Self) -> Vec<(Counter, u64)> {
        self.0
            .iter()
            .map(|(counter, packets)| (counter.clone(), packets.saturating_sub(before.packets(counter))))
            .filter(|(_, packets)| *packets > 0)
            .collect()
    }

    fn sum(&self, wanted: impl Fn(&Counter) -> bool) -> u64 {
        self.0.iter().filter(|(counter, _)| wanted(counter)).map(|(_, packets)| packets).sum()
    }
}

#[derive(Deserialize)]
struct Document {
    rules: Vec<RuleRow>,
    intra_group: Vec<IntraGroupRow>,
    defaults: Vec<DefaultRow>,
    reasons: Vec<ReasonRow>,
}

#[derive(Deserialize)]
struct RuleRow {
    group: String,
    rule: String,
    packets: u64,
}

#[derive(Deserialize)]
struct IntraGroupRow {
    group: String,
    packets: u64,
}

#[derive(Deserialize)]
struct DefaultRow {
    nic: String,
    direction: String,
    packets: u64,
}

/// The host's own reasons have no NIC and no direction.
#[derive(Deserialize)]
struct ReasonRow {
    nic: Option<String>,
    direction: Option<String>,
    reason: String,
    packets: u64,
}
