//! Tests of a document: whether a policy does with sets of packets what is expected, exactly. It must never know where the tests
//! come from, nor refuse anything. The agent, `sg-service` and `sgctl` call it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use sg_common::verdict::Verdict;
use sg_model::{Action, Expectation, Policy, text::escaped};

use super::{
    ask::{Part, Question, ask},
    decider::By,
    line::Line,
    written::Sample,
};

/// How long the tests of a document may take, all together.
pub const TIME: Duration = Duration::from_secs(3);

/// What came of tests. Those that are in neither list hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested<'a> {
    /// The tests that fail, in order.
    pub failed: Vec<Failed<'a>>,
    /// The tests of which no packet is, in order.
    pub idle: Vec<usize>,
}

impl Tested<'_> {
    /// The tests that fail, each with the reason, and those of which no packet is.
    #[must_use]
    pub fn in_words(self) -> (Vec<(usize, String)>, Vec<usize>) {
        let Self { failed, idle } = self;
        (failed.into_iter().map(|Failed { test, why }| (test, why.to_string())).collect(), idle)
    }
}

/// A test that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The place of the test.
    pub test: usize,
    /// Why.
    pub why: Why<'a>,
}

/// Why a test fails; displayed as the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// Something else happens to a packet of the test.
    Counterexample {
        /// What must happen.
        expected: Action,
        /// By which rule.
        rule: Option<String>,
        /// What happens to the packet, and to others like it.
        line: Box<Line<'a>>,
        /// The packet.
        sample: Box<Sample<'a>>,
    },
    /// There was no time to find out.
    NoTime,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Counterexample { expected, rule, line, sample } = self else {
            return write!(
                f,
                "it could not be decided within {} seconds, all tests together: make it narrower",
                TIME.as_secs()
            );
        };
        let packet = serde_json::to_string(sample).map_err(|_| fmt::Error)?;
        let expected_by = rule.as_ref().map(|rule| format!(" by rule {}", escaped(rule))).unwrap_or_default();
        write!(
            f,
            "expected {expected}{expected_by}, but {} gets {}",
            escaped(&packet),
            line.after.verdict.name(),
        )?;
        match line.after.by {
            By::Reason(reason) => write!(f, " before the rules ({})", reason.name()),
            By::Group(group) => write!(f, " by inner access of group {}", escaped(group)),
            By::Rule { group, rule } => write!(f, " by rule {} of group {}", escaped(rule), escaped(group)),
            By::Default => f.write_str(" by default"),
            By::Unfiltered => f.write_str(" without a filter"),
        }
    }
}

/// Asks a policy whether tests hold: every packet of a test that a policy has must get the action, by the rule.
///
/// Sources that no packet has which reaches the rules are left out (inbound the NIC's own addresses, outbound those that
/// anti-spoofing does not let pass), unless a test names no others.
#[must_use]
pub fn test<'a>(policy: &'a Policy, tests: &[Expectation], time: Duration) -> Tested<'a> {
    let until = Instant::now() + time;
    let questions = tests.iter().map(|Expectation { packets, action, rule }| Question {
        packets,
        sought: Box::new(|decider| {
            let is_of = |id: &String| matches!(decider.by, By::Rule { rule, .. } if rule == id);
            decider.verdict != Verdict::from(*action) || !rule.as_ref().is_none_or(is_of)
        }),
        is_possible: true,
    });
    let questions: Vec<_> = questions.collect();
    let mut is_idle = vec![true; tests.len()];
    let mut failed: Vec<Failed<'a>> = Vec::new();
    for Part { question, lines, .. } in ask(policy, &questions, until) {
        if let Some(is_idle) = is_idle.get_mut(question) {
            *is_idle = false;
        }
        let why = match lines.as_deref() {
            Some([]) => continue,
            None => Why::NoTime,
            Some([line, ..]) => {
                let Some(test) = tests.get(question) else { continue };
                Why::Counterexample {
                    expected: test.action,
                    rule: test.rule.clone(),
                    line: Box::new(line.clone()),
                    sample: Box::new(line.sample(policy.nic(line.nic))),
                }
            }
        };
        failed.push(Failed { test: question, why });
    }
    // One reason each: a packet rather than time.
    failed.sort_by_key(|failed| (failed.test, matches!(failed.why, Why::NoTime)));
    failed.dedup_by_key(|failed| failed.test);
    let idle = is_idle.into_iter().enumerate().filter(|(_, is_idle)| *is_idle).map(|(place, _)| place);
    Tested { failed, idle: idle.collect() }
}
