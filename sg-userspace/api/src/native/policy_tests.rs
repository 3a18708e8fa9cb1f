//! Routes of tests of the policy: those that every change is asked, and tests that are run once against what is in force. They must
//! never decide whether a test holds. `mod.rs` calls `declare` once.

use sg_api_types::{ListedTest, ReplaceTests, RunTests, TestResult, TestedPolicy};
use sg_diff::TIME;
use sg_inspect::InspectError;
use sg_model::{Expectation, Over, Policy, Resolve as _};
use sg_records::{
    InPolicy,
    KeyRole::{Editor, Viewer},
    NotInPolicy, PolicyTest,
};
use sg_service::{TestsRun, demanded_tests, resolved, run_tests};

use super::{Native, error::Failed, host::facts, route::Route, routes::Routes, whole::APPLY_BYTES};

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get("/v1/tests", "List the tests that every change is asked").needs(Viewer);
    routes.ask::<Vec<ListedTest>>(list, |_, state, _| Ok(demanded_tests(state)));
    let replace = Route::put(
        "/v1/tests",
        "Replace the tests that belong to no document; a change after which one fails is refused",
    );
    routes.change::<ReplaceTests>(replace.needs(Editor).large(APPLY_BYTES), |_, _| {});
    let run = Route::post("/v1/tests", "Run tests against what is in force").needs(Viewer);
    routes.inquire::<RunTests, TestedPolicy>(run.large(APPLY_BYTES), |native, _, wanted| {
        tested(native, wanted)
    });
}

fn tested(native: &Native, RunTests { tests }: RunTests) -> Result<TestedPolicy, Failed> {
    let Some(service) = &native.service else {
        let tests = tests.ok_or_else(|| {
            Failed::Malformed(
                "tests is missing: nothing is stored here that could be asked instead".to_owned(),
            )
        })?;
        let in_force = native.hits.in_force();
        let policy = in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
        let expected = tests.iter().map(|test| expected(policy, test));
        let expected = expected.collect::<Result<Vec<_>, Failed>>()?;
        let (failed, idle) = sg_diff::test(policy, &expected, TIME).in_words();
        return Ok(results(tests.len(), |number| format!("tests[{number}]"), TestsRun { failed, idle }));
    };
    let state = service.snapshot();
    let (tests, places): (Vec<PolicyTest>, Vec<String>) = match tests {
        Some(tests) => {
            let places = (0..tests.len()).map(|number| format!("tests[{number}]"));
            (resolved(&state, &tests)?, places.collect())
        }
        None => {
            demanded_tests(&state).into_iter().map(|ListedTest { place, test, .. }| (test, place)).unzip()
        }
    };
    let asked: Vec<&PolicyTest> = tests.iter().collect();
    let run = run_tests(&state, &asked, facts()?)?;
    Ok(results(tests.len(), |number| places.get(number).cloned().unwrap_or_default(), run))
}

fn results(
    asked: usize,
    place: impl Fn(usize) -> String,
    TestsRun { failed, idle }: TestsRun,
) -> TestedPolicy {
    let result = |number, why| TestResult { number, place: place(number), why };
    TestedPolicy {
        asked,
        failed: failed.into_iter().map(|(number, why)| result(number, why)).collect(),
        idle: idle.into_iter().map(|number| result(number, String::new())).collect(),
    }
}

/// What a test means in the policy of a document.
fn expected(policy: &Policy, test: &PolicyTest) -> Result<Expectation, Failed> {
    let mut names = InPolicy(policy);
    let over = match (&test.nic, &test.group) {
        (Some(nic), None) if policy.nic(nic).is_none() => return Err(Failed::NoNic { nic: nic.clone() }),
        (Some(nic), None) => Over::Device(nic.clone()),
        (None, Some(group)) => Over::Group(names.group(group).map_err(missing)?),
        _ => return Err(Failed::Malformed("a test has nic or group, and not both".to_owned())),
    };
    test.service.fits().map_err(|misfit| Failed::Malformed(format!("{}: {misfit}", test.service)))?;
    test.expectation(over, &mut names).map_err(missing)
}

/// What a document does not have.
pub(super) fn missing(NotInPolicy { what, name }: NotInPolicy) -> Failed {
    Failed::Missing { what, name }
}
