//! Tests of a document: whether a policy does with sets of packets what is expected, exactly. It must never know where the tests
//! come from, nor refuse anything. The agent, `sg-service` and `sgctl` call it.

use std::time::{Duration, Instant};

use sg_common::verdict::Verdict;
use sg_model::{Action, Expectation, Policy, text::escaped};

use super::{
    ask::{Part, Question, ask},
    decider::By,
    line::Line,
    words::{AS_WRITTEN, Called},
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
        self.in_words_of(AS_WRITTEN)
    }

    /// The same, with other names of groups and rules.
    #[must_use]
    pub fn in_words_of(self, called: Called<'_>) -> (Vec<(usize, String)>, Vec<usize>) {
        let Self { failed, idle } = self;
        (failed.into_iter().map(|Failed { test, why }| (test, why.words(called))).collect(), idle)
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

/// Why a test fails.
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

impl Why<'_> {
    /// The end of a sentence about the test, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        let Self::Counterexample { expected, rule, line, sample } = self else {
            return format!(
                "it could not be decided within {} seconds, all tests together: make it narrower",
                TIME.as_secs()
            );
        };
        let packet = serde_json::to_string(sample).unwrap_or_default();
        let expected_by = rule.as_ref().map(|rule| format!(" by rule {}", escaped(rule))).unwrap_or_default();
        let verdict = line.after.verdict.name();
        let by = match line.after.by {
            By::Reason(reason) => format!("before the rules ({})", reason.name()),
            By::Unfiltered => "without a filter".to_owned(),
            by => format!("by {}", by.words(called)),
        };
        format!("expected {expected}{expected_by}, but {} gets {verdict} {by}", escaped(&packet))
    }
}

/// Asks a policy whether tests hold: every packet of a test that a policy has must get the action, by the rule.
///
/// Sources that no packet has which reaches the rules are left out (inbound the NIC's own addresses, outbound those that
/// anti-spoofing does not let pass), unless a test names no others.
#[must_use]
pub fn test<'a>(policy: &'a Policy, tests: &[Expectation], time: Duration) -> Tested<'a> {
    test_called(policy, tests, time, AS_WRITTEN)
}

/// The same, where the rule of a test may also be what the policy's rule is called.
#[must_use]
pub fn test_called<'a>(
    policy: &'a Policy,
    tests: &[Expectation],
    time: Duration,
    called: Called<'_>,
) -> Tested<'a> {
    let until = Instant::now() + time;
    let questions = tests.iter().map(|Expectation { packets, action, rule }| Question {
        packets,
        sought: Box::new(|decider| {
            let is_of = |id: &String| {
                matches!(decider.by, By::Rule { rule, .. } if rule == id || called(rule).as_ref() == Some(id))
            };
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
