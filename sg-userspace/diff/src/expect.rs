//! Tests of a document: whether a policy does with sets of packets what is expected, exactly. It must never know where the tests
//! come from, nor refuse anything. The agent, `sg-service` and `sgctl` call it.

use std::{
    mem,
    time::{Duration, Instant},
};

use sg_common::verdict::Verdict;
use sg_model::{
    Action, Expectation, Policy,
    text::{escaped, escaped_json},
};

use super::{
    ask::{Part, Question, ask, is_forged},
    compare::MEMORY,
    decider::{By, Decider},
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
    /// There was no time to find out, or no memory.
    Undecided,
}

impl Why<'_> {
    /// The end of a sentence about the test, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        let Self::Counterexample { expected, rule, line, sample } = self else {
            return format!(
                "it could not be decided within {} seconds and {} MiB, all tests together: make it narrower, or ask fewer",
                TIME.as_secs(),
                MEMORY >> 20
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
        format!("expected {expected}{expected_by}, but {} gets {verdict} {by}", escaped_json(&packet))
    }
}

/// Asks a policy whether tests hold: every packet of a test that a policy has must get the action, by the rule.
///
/// Packets that are dropped because of a forged source (inbound the NIC's own addresses, outbound those that anti-spoofing does not
/// let pass) are left out, unless a test is of no others.
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
    let fails = |Expectation { packets: _, action, rule }: &Expectation, decider: &Decider<'a>| {
        let is_of = |id: &String| matches!(decider.by, By::Rule { rule, .. } if rule == id || called(rule).as_ref() == Some(id));
        decider.verdict != Verdict::from(*action) || !rule.as_ref().is_none_or(is_of)
    };
    let mut states = vec![State::Idle; tests.len()];
    let every: Vec<usize> = (0..tests.len()).collect();
    run(policy, tests, &every, until, &mut states, |test, decider| {
        fails(test, decider) && !is_forged(decider.by)
    });
    // Tests of forged packets only are of these.
    let forged: Vec<usize> =
        states.iter().enumerate().filter(|(_, state)| state.is_of_forged()).map(|(place, _)| place).collect();
    if !forged.is_empty() {
        run(policy, tests, &forged, until, &mut states, fails);
    }
    let mut tested = Tested::default();
    for ((place, state), test) in states.into_iter().enumerate().zip(tests) {
        let why = match state {
            State::Idle => {
                tested.idle.push(place);
                continue;
            }
            State::Holds { .. } => continue,
            State::Undecided => Why::Undecided,
            State::Fails(line) => Why::Counterexample {
                expected: test.action,
                rule: test.rule.clone(),
                sample: Box::new(line.sample(policy.nic(line.nic))),
                line,
            },
        };
        tested.failed.push(Failed { test: place, why });
    }
    tested
}

/// What is known of a test.
#[derive(Clone, Debug)]
enum State<'a> {
    /// No packet is of it.
    Idle,
    /// It holds so far.
    Holds {
        /// Whether each of its packets has a forged source.
        is_of_forged: bool,
    },
    /// There was no time, or no memory.
    Undecided,
    /// Something else happens to these.
    Fails(Box<Line<'a>>),
}

impl State<'_> {
    const fn is_of_forged(&self) -> bool {
        matches!(self, Self::Holds { is_of_forged: true })
    }
}

/// Asks about some tests, those at `places`; `fails` says which deciders must decide none of their packets.
fn run<'a>(
    policy: &'a Policy,
    tests: &[Expectation],
    places: &[usize],
    until: Instant,
    states: &mut [State<'a>],
    fails: impl Fn(&Expectation, &Decider<'a>) -> bool,
) {
    let fails = &fails;
    let asked = places.iter().filter_map(|place| tests.get(*place));
    let questions = asked.map(|test| Question {
        packets: &test.packets,
        sought: Box::new(move |decider| fails(test, decider)),
    });
    let questions: Vec<_> = questions.collect();
    ask(policy, &questions, until, |Part { question, has_sources, lines, .. }| {
        let Some(state) = places.get(question).and_then(|place| states.get_mut(*place)) else { return 0 };
        let line = lines.map(|lines| lines.into_iter().next());
        *state = match (mem::replace(state, State::Idle), line) {
            // One reason each: a packet rather than time.
            (State::Fails(line), _) => State::Fails(line),
            (_, Some(Some(line))) => State::Fails(Box::new(line)),
            (State::Undecided, _) | (_, None) => State::Undecided,
            (State::Idle, Some(None)) => State::Holds { is_of_forged: !has_sources },
            (State::Holds { is_of_forged }, Some(None)) => {
                State::Holds { is_of_forged: is_of_forged && !has_sources }
            }
        };
        usize::from(matches!(state, State::Fails(_)))
    });
}
