//! `sgctl test`: the tests that every change is asked, and tests of what is in force. It must never ask by itself whether a test
//! holds: the agent does. Tests are written as in a document, whose `tests` they are.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{ListedTest, ReplaceTests, RunTests, TestResult, TestedPolicy};
use sg_document::Loaded;
use sg_model::text::{escaped, escaped_lines};
use sg_records::{NamedIn, PolicyTest};

use crate::{
    args::policy,
    client::{Address, Call},
    failure::Failure,
    render::{Yes, cell, count},
    session::Session,
    stderr::say,
};

/// Tests of the policy that is in force.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    List(ListArgs),
    Run(RunArgs),
    Set(SetArgs),
}

/// List the tests that every change is asked: those of documents, and those that were set by themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {}

/// Run tests against what is in force. Exit code: 0 if all of them hold, 1 if not.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Policy document whose `tests` are run, in YAML or JSON; `-` reads standard input. Default: those that every change is asked
    #[arg(short = 'f', long = "policy", value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Replace the tests that belong to no document. A change after which one of them fails is refused.
///
/// They are the `tests` of a policy document, which itself is not applied: their groups and lists are those of the store with the
/// same name, and their NICs those with the same device. A document without tests removes all of them.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Policy document with the tests, in YAML or JSON; `-` reads standard input
    #[arg(short = 'f', long = "policy", value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) fn run(verb: &Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    match verb {
        Verb::List(ListArgs {}) => list(session),
        Verb::Run(args) => run_tests(args, session),
        Verb::Set(args) => set(args, session),
    }
}

fn list(session: &mut Session<'_>) -> Result<(), Failure> {
    let tests: Vec<ListedTest> = session.get(Address::of(&["tests"]))?;
    if session.output.format.is_data() {
        return session.output.data(&tests);
    }
    if tests.is_empty() {
        session.output.remark("no tests");
    }
    for ListedTest { document, place, test } in &tests {
        let document =
            document.as_deref().map(|name| format!("document {}: ", cell(name))).unwrap_or_default();
        let test = serde_json::to_string(test).map_err(Failure::other)?;
        session.output.line(&format!("{document}{}: {}", cell(place), escaped(&test)))?;
    }
    Ok(())
}

/// The tests of a document, with their places.
fn tests_of(path: &Path) -> Result<Vec<(String, PolicyTest)>, Failure> {
    let loaded: Loaded = policy::read(path)?;
    let tests = loaded.tests.iter().enumerate().map(|(number, test)| {
        let test = PolicyTest::of(test, &mut NamedIn(&loaded.policy)).map_err(Failure::other)?;
        Ok((loaded.test_place(number), test))
    });
    tests.collect()
}

fn run_tests(args: &RunArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let (places, tests) = match &args.policy {
        None => (None, None),
        Some(path) => {
            let (places, tests): (Vec<String>, Vec<PolicyTest>) = tests_of(path)?.into_iter().unzip();
            (Some(places), Some(tests))
        }
    };
    // A query; it is no GET only because of its length.
    let call =
        Call::change(Method::POST, Address::of(&["tests"])).with_json(&RunTests { tests })?.unguarded();
    let mut tested: TestedPolicy = session.waiting("testing", &call)?;
    if let Some(places) = places {
        for result in tested.failed.iter_mut().chain(&mut tested.idle) {
            if let Some(place) = places.get(result.number) {
                result.place.clone_from(place);
            }
        }
    }
    let TestedPolicy { asked, failed, idle } = &tested;
    if session.output.format.is_data() {
        session.output.data(&tested)?;
    } else {
        for TestResult { place, .. } in idle {
            say(&format!("sgctl: warning: {}: no packet is of this test", cell(place)));
        }
        for TestResult { place, why, .. } in failed {
            session.output.line(&format!("{}: this test fails: {}", cell(place), escaped_lines(why)))?;
        }
        let failing =
            if failed.is_empty() { "all hold".to_owned() } else { format!("{} fail", failed.len()) };
        session.output.line(&format!("{}: {failing}", count(*asked, "test")))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Different) }
}

fn set(args: &SetArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let tests: Vec<PolicyTest> = tests_of(&args.policy)?.into_iter().map(|(_, test)| test).collect();
    if tests.is_empty() {
        session.output.confirm("Remove all tests that belong to no document?", args.yes.yes)?;
    }
    let number = tests.len();
    let call = Call::change(Method::PUT, Address::of(&["tests"])).with_json(&ReplaceTests { tests })?;
    let listed: Vec<ListedTest> = session.waiting("testing", &call)?;
    if session.output.format.is_data() {
        return session.output.data(&listed);
    }
    if listed.len() < number {
        return Err(Failure::other(anyhow!("the server stored {} of {number} tests", listed.len())));
    }
    session.output.line(&format!("every change is asked {} from now on", count(listed.len(), "test")))
}
