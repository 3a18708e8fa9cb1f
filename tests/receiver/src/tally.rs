//! What a run found, and how much it looked at.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    rules::Policy,
    verdict::{Forbidden, Kind},
};

/// What is wrong about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// This arrived.
    Arrived(Forbidden),
    /// A filter refused what was not for the receiver, or came from a group.
    Refused,
    /// Something of a connection arrived after the rule that had accepted it was gone.
    Revoked,
    /// What the rules accept and nftables lets pass did not, and nothing explains it.
    Blocked,
}

/// A case that went wrong, and all that is needed to see it again.
pub struct Finding {
    /// What is wrong.
    pub wrong: Wrong,
    /// Under which policy.
    pub policy: Policy,
    /// The text.
    pub text: String,
}

/// What happened.
#[derive(Default)]
pub struct Tally {
    /// Frames sent through the filter.
    pub frames: u64,
    /// Cases.
    pub cases: u64,
    /// By family: datagrams that arrived behind the filter.
    pub delivered: [u64; 2],
    /// The same by kind of case.
    pub stories: BTreeMap<&'static str, u64>,
    /// By family: datagrams that arrived where there is no filter, and that must not arrive behind it.
    pub forbidden: [u64; 2],
    /// Connections that came about before their rule was gone.
    pub connections: u64,
    /// Refusals that came back.
    pub refusals: u64,
    /// Differences from nftables that have a name.
    pub kinds: BTreeMap<Kind, u64>,
    /// Cases that went wrong, by what is wrong, the policy and the kind of case.
    pub wrong: BTreeMap<(Wrong, Policy, &'static str), u64>,
    /// Cases of which something did not arrive that should have, and did when the case was run alone: lost by the stacks, or
    /// blocked for what other cases left behind.
    pub lost: u64,
    /// Some of them in full.
    pub findings: Vec<Finding>,
    /// How many frames were sent, and how long it took, until a case went wrong.
    pub first: Option<(u64, Duration)>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = u128::from(self.frames) * 1000 / self.took.as_millis().max(1);
        write!(
            f,
            "{} frames of {} cases in {:.1} s ({rate}/s); arrived behind the filter {:?} (IPv4, IPv6); arrived without one, \
             though forbidden, {:?}; connections whose rule was taken {}; refusals {}; lost once {}; \
             named differences {:?}",
            self.frames,
            self.cases,
            self.took.as_secs_f64(),
            self.delivered,
            self.forbidden,
            self.connections,
            self.refusals,
            self.lost,
            self.kinds
        )?;
        if let Some((frames, took)) = self.first {
            write!(f, "\n  the first case went wrong after {frames} frames, {:.1} s", took.as_secs_f64())?;
        }
        self.wrong.iter().try_for_each(|((wrong, policy, story), times)| {
            write!(f, "\n  {times} × {wrong:?}, policy {policy:?}: {story}")
        })
    }
}
