//! The packets of a set that a policy judges in some way. It must never know what they are searched for. `sgctl` calls it.

use std::time::{Duration, Instant};

use sg_common::verdict::Verdict;
use sg_model::{Direction, Family, Packets, Policy};

use super::{
    ask::{Part, Question, ask},
    compare::{LINE_BYTES, MEMORY},
    decider::By,
    line::Line,
};

/// What was found in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// Disjoint lines: NIC by NIC, those with any remote first. `before` and `after` of each are what decides it.
    pub lines: Vec<Line<'a>>,
    /// NICs, with direction and family, of which there was no time to find out, or no memory.
    pub undecided: Vec<(&'a str, Direction, Family)>,
    /// Whether nothing can be found, whatever the policy accepts: no NIC or no packet is meant, or no rule has the id.
    pub idle: bool,
}

/// The packets that get one of these verdicts; by rules of this id only, if there is one.
#[must_use]
pub fn search<'a>(
    policy: &'a Policy,
    packets: &Packets,
    verdicts: &[Verdict],
    rule: Option<&str>,
    time: Duration,
) -> Found<'a> {
    let until = Instant::now() + time;
    let question = Question {
        packets,
        sought: Box::new(|decider| {
            let is_of = |id| matches!(decider.by, By::Rule { rule, .. } if rule == id);
            verdicts.contains(&decider.verdict) && rule.is_none_or(is_of)
        }),
    };
    let has_id = |id: &str| {
        let rules = policy.groups().iter().flat_map(|group| group.ingress.iter().chain(&group.egress));
        rules.into_iter().any(|rule| rule.id == id)
    };
    let mut found = Found { idle: true, ..Found::default() };
    ask(policy, &[question], until, |Part { devices, direction, family, lines, .. }| {
        found.idle = !rule.is_none_or(has_id);
        let before = found.lines.len();
        // Each NIC gets lines of its own.
        let has_room = |lines: &Vec<Line<'_>>| (before + lines.len() * devices.len()) * LINE_BYTES <= MEMORY;
        let lines = lines.filter(has_room);
        for nic in devices {
            match &lines {
                Some(lines) => found.lines.extend(lines.iter().map(|line| Line { nic, ..line.clone() })),
                None => found.undecided.push((nic, direction, family)),
            }
        }
        found.lines.len() - before
    });
    found.lines.sort_by_key(|line| line.remote.is_some());
    found
}
