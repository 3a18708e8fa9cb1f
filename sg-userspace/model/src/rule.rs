//! A rule of a policy: the packets that it matches, and what happens to them.
//!
//! This file must never evaluate rules: `precedence` orders them, the oracle applies them and the compiler lowers them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sg_common::verdict::Verdict;
use utoipa::ToSchema;

use super::Match;

/// What happens to packets that a rule matches.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Drops packets silently. Evaluated before `reject` and `accept` at equal priority.
    Drop,
    /// Drops packets and tells the sender, with a TCP reset or an ICMP error. Evaluated before `accept` at equal priority.
    Reject,
    /// Accepts packets and their replies.
    #[default]
    Accept,
}

impl Action {
    /// Whether packets pass.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Accept)
    }
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        match action {
            Action::Accept => Self::Accept,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}

/// A priority: 1 is evaluated first, 100 last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The highest priority, and the default.
    pub const FIRST: Self = Self(1);
    /// The lowest priority.
    pub const LAST: Self = Self(100);

    /// Creates a priority; `None` if the number is not 1 to 100.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if Self::FIRST.0 <= number && number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// The number, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A rule of one direction of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The id, unique within the direction of its group.
    pub id: String,
    /// Whether the rule is in effect; a disabled rule is ignored.
    pub enabled: bool,
    /// What happens to matching packets.
    pub action: Action,
    /// The position among other rules.
    pub priority: Priority,
    /// The packets that it matches.
    pub matches: Match,
    /// The description.
    pub description: Option<String>,
}
