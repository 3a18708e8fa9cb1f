//! What later changes must keep: the tests of documents, the packets that documents keep, and tests that were set by themselves. They
//! are stored, and asked of the state after every change, whichever API asks for it, before it is stored.
//!
//! A demand that the state before did not meet either forbids nothing, unless it is new: otherwise one that was skipped once would
//! forbid everything. A test that is not decided in time counts as one that fails. This file must never refuse a caller who insists,
//! nor know who calls. The writer asks for every batch, `apply` for its document.

use std::collections::BTreeSet;

use sg_diff::{TIME, test_called};
use sg_document::KeptProbe;
use sg_guard::lost_probe;
use sg_model::{DeviceFacts, Expectation, Over, Policy};
use sg_records::{DemandedPacket, DemandedTest, Demands, DocumentName, PolicyTest, RuleId};
use sg_store::Key;

use super::{
    Field, ProjectError, Refusal, State, Tx, group_of,
    host::facts,
    labels::{document_name, rule_description},
    policy_with,
    project::Namer,
    tx::Insists,
};

/// The most tests, and the most kept packets, of one document.
pub(super) const MOST: usize = 10_000;

/// What became of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestsRun {
    /// The places of those that fail, in order, and why.
    pub failed: Vec<(usize, String)>,
    /// The places of those of which no packet is.
    pub idle: Vec<usize>,
}

/// Asks a state whether tests hold. `facts` returns the facts about a device of this host.
///
/// # Errors
/// If the state forms no policy.
pub fn run_tests(
    state: &State,
    tests: &[&PolicyTest],
    facts: impl Fn(&str) -> DeviceFacts,
) -> Result<TestsRun, Refusal> {
    let expected = |named: &mut Namer<'_, '_>| tests.iter().map(|test| expected(test, named)).collect();
    let (mut policy, expected): (Policy, Vec<Result<Vec<Expectation>, ProjectError>>) =
        policy_with(state, expected).map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
    policy.set_device_facts(facts);
    let (mut places, mut all, mut run) = (Vec::new(), Vec::new(), TestsRun::default());
    for (place, expected) in expected.into_iter().enumerate() {
        match expected {
            Ok(several) => {
                if several.is_empty() {
                    run.idle.push(place);
                }
                places.extend(several.iter().map(|_| place));
                all.extend(several);
            }
            Err(error) => run.failed.push((place, error.to_string())),
        }
    }
    let called = |id: &str| called(state, id);
    let (failed, idle) = test_called(&policy, &all, TIME, &called).in_words_of(&called);
    let failed = failed.into_iter().filter_map(|(number, why)| Some((*places.get(number)?, why)));
    run.failed.extend(failed);
    run.failed.sort_by_key(|(place, _)| *place);
    run.failed.dedup_by_key(|(place, _)| *place);
    // A test of a group is idle where each of its kinds is.
    let idle: BTreeSet<usize> = idle.into_iter().collect();
    let busy = places.iter().enumerate().filter(|(number, _)| !idle.contains(number));
    let busy: BTreeSet<usize> = busy.map(|(_, place)| *place).collect();
    let is_idle = |place: &usize| {
        !busy.contains(place) && run.failed.binary_search_by_key(place, |(place, _)| *place).is_err()
    };
    run.idle = (0..tests.len()).filter(is_idle).collect();
    Ok(run)
}

/// What a group or a rule is called by those who wrote it.
fn called(state: &State, id: &str) -> Option<String> {
    let name = match state.rule(&RuleId::from(id)) {
        Some(rule) => &rule.spec.name,
        None => &state.group(&group_of(id))?.label.name,
    };
    Some(name.clone()).filter(|name| !name.is_empty())
}

/// What a test means in a policy: over each kind of its NICs. None: there is no such NIC.
fn expected(test: &PolicyTest, named: &mut Namer<'_, '_>) -> Result<Vec<Expectation>, ProjectError> {
    let over: Vec<Over> = match (&test.nic, &test.group) {
        (Some(device), _) => vec![Over::Device(device.clone())],
        (None, Some(group)) => named.held(group)?.into_iter().map(Over::Group).collect(),
        (None, None) => vec![Over::Every],
    };
    let expected = over.into_iter().map(|over| {
        named.stand_at(&over);
        test.expectation(over, named)
    });
    expected.collect()
}

/// Asks what is demanded of the state after a change.
///
/// # Errors
/// The first demand that it does not meet, and that `before` met or did not have.
pub(super) fn check(before: &State, tx: &Tx) -> Result<(), Refusal> {
    let Insists { force, skip_tests } = tx.insists();
    if tx.demands().is_empty() || (force && skip_tests) {
        return Ok(());
    }
    let facts = facts()?;
    if !skip_tests {
        check_tests(before, tx, &facts)?;
    }
    if force { Ok(()) } else { check_packets(before, tx, &facts) }
}

fn check_tests(before: &State, tx: &Tx, facts: &impl Fn(&str) -> DeviceFacts) -> Result<(), Refusal> {
    let all: Vec<(&DocumentName, &DemandedTest)> = tx
        .demands()
        .values()
        .filter(|demands| !tx.is_asked(&demands.document))
        .flat_map(|demands| demands.tests.iter().map(|test| (&demands.document, test)))
        .collect();
    let tests: Vec<&PolicyTest> = all.iter().map(|(_, test)| &test.test).collect();
    if tests.is_empty() {
        return Ok(());
    }
    let failed = run_tests(tx, &tests, facts)?.failed;
    let mut stood = Vec::new();
    for (place, why) in failed {
        let Some((document, test)) = all.get(place).copied() else { continue };
        let fails = || Refusal::FailingTest { test: called_test(document, &test.place), why: why.clone() };
        let was_there = before
            .demands_of(document)
            .is_some_and(|demands| demands.tests.iter().any(|other| other.test == test.test));
        if !was_there || tx.is_strict(document) {
            return Err(fails());
        }
        stood.push((&test.test, fails()));
    }
    if stood.is_empty() {
        return Ok(());
    }
    let tests: Vec<&PolicyTest> = stood.iter().map(|(test, _)| *test).collect();
    let former = run_tests(before, &tests, facts)?.failed;
    let had_failed = |place: usize| former.iter().any(|(failed, _)| *failed == place);
    let new = stood.into_iter().enumerate().find(|(place, _)| !had_failed(*place));
    new.map_or(Ok(()), |(_, (_, refusal))| Err(refusal))
}

/// What to call a test.
fn called_test(DocumentName(document): &DocumentName, place: &str) -> String {
    if document.is_empty() { place.to_owned() } else { format!("document {document}: {place}") }
}

fn check_packets(before: &State, tx: &Tx, facts: &impl Fn(&str) -> DeviceFacts) -> Result<(), Refusal> {
    let kept: Vec<(&DocumentName, KeptProbe)> =
        tx.demands().values().flat_map(|demands| kept(demands)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let policy_of = |state: &State| {
        let policy = super::policy(state);
        policy.map_err(|error| Refusal::Unenforceable { reason: error.to_string() }).map(|mut policy| {
            policy.set_device_facts(facts);
            policy
        })
    };
    let after = policy_of(tx)?;
    let mut former = None;
    for (document, probe) in kept {
        // Where there is no filter, everything passes.
        if nic_of(&probe).is_some_and(|nic| after.nic(&nic).is_none()) {
            continue;
        }
        let Some(lost) = lost_probe(&after, std::slice::from_ref(&probe)) else { continue };
        let was_there = before
            .demands_of(document)
            .is_some_and(|demands| demands.keep.iter().any(|other| other.probe == probe.line));
        if was_there && !tx.is_strict(document) {
            if former.is_none() {
                former = Some(policy_of(before)?);
            }
            let was_lost = former.as_ref().is_some_and(|former| {
                nic_of(&probe).is_none_or(|nic| former.nic(&nic).is_some())
                    && lost_probe(former, std::slice::from_ref(&probe)).is_some()
            });
            if was_lost {
                continue;
            }
        }
        return Err(lost.into());
    }
    Ok(())
}

fn kept(demands: &Demands) -> impl Iterator<Item = (&DocumentName, KeptProbe)> {
    demands.keep.iter().map(|DemandedPacket { place, probe }| {
        (&demands.document, KeptProbe { place: place.clone(), line: probe.clone() })
    })
}

/// The device of a probe.
fn nic_of(probe: &KeptProbe) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(&probe.line).ok()?;
    value["nic"].as_str().map(str::to_owned)
}

/// Stores what a document demands from now on, in place of what it demanded; what it is about has changed if this returns true.
pub(super) fn put(tx: &mut Tx, demands: Demands) -> bool {
    let document = demands.document.clone();
    let former = tx.demands_of(&document).map(|former| Demands::clone(former)).unwrap_or_default();
    tx.be_strict(&document);
    let content = |demands: &Demands| {
        let tests: Vec<PolicyTest> = demands.tests.iter().map(|one| one.test.clone()).collect();
        let keep: Vec<String> = demands.keep.iter().map(|one| one.probe.clone()).collect();
        (tests, keep)
    };
    let is_other = content(&former) != content(&demands);
    if demands.is_empty() {
        if !former.is_empty() {
            tx.delete(Key::Demands(document));
        }
    } else if former != demands {
        tx.put(demands);
    }
    is_other
}

/// Asks the tests of one document.
pub(super) fn ask(tx: &mut Tx, document: &DocumentName) -> Result<TestsRun, Refusal> {
    let Some(demands) = tx.demands_of(document).cloned() else { return Ok(TestsRun::default()) };
    let tests: Vec<&PolicyTest> = demands.tests.iter().map(|one| &one.test).collect();
    if tests.is_empty() || tx.insists().skip_tests {
        return Ok(TestsRun::default());
    }
    let run = run_tests(tx, &tests, facts()?)?;
    tx.asked(document);
    Ok(run)
}

/// Checks that an operation could have stored these.
pub(super) fn check_demands(demands: &Demands) -> Result<(), Refusal> {
    let Demands { document: DocumentName(document), tests, keep } = demands;
    if !document.is_empty() {
        document_name(document)?;
    }
    if demands.is_empty() || tests.len() > MOST || keep.len() > MOST {
        let allowed = format!("1 to {MOST} tests or kept packets");
        return Err(Refusal::invalid(Field::Stored("tests"), tests.len(), allowed));
    }
    for one in tests {
        rule_description(&one.test.description)?;
        fits(&one.test)?;
    }
    for packet in keep {
        if !serde_json::from_str::<serde_json::Value>(&packet.probe).is_ok_and(|probe| probe.is_object()) {
            return Err(Refusal::invalid(Field::Stored("keep"), &packet.probe, "a probe"));
        }
    }
    Ok(())
}

/// Checks that the fields of a test fit together.
pub(super) fn fits(test: &PolicyTest) -> Result<(), Refusal> {
    if test.nic.is_some() == test.group.is_some() {
        let found = test.nic.as_deref().unwrap_or_default();
        return Err(Refusal::invalid(Field::Test, found, "a test has nic or group, and not both"));
    }
    test.service.fits().map_err(|misfit| Refusal::invalid(Field::Test, &test.service, misfit.to_string()))
}
