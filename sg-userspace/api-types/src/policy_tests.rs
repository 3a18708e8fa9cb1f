//! Requests and responses about tests of the policy: those that every change is asked, and those that are run once.
//!
//! These types must never ask whether a test holds. The service and the native API run the requests; `sgctl` displays the responses.

use serde::{Deserialize, Serialize};
use sg_records::PolicyTest;
use utoipa::ToSchema;

/// Replaces the tests that belong to no document. From then on, a change after which one of them fails is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceTests {
    /// The tests; groups and lists in them are given by id or name. Required.
    pub tests: Vec<PolicyTest>,
}

/// A test that every change is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedTest {
    /// The document that it belongs to; `null`: it belongs to none.
    pub document: Option<String>,
    /// Where it is written.
    pub place: String,
    /// The test, with the ids of what it names.
    pub test: PolicyTest,
}

/// Asks what is in force whether tests hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunTests {
    /// The tests; groups and lists in them are given by id or name. Default: those that every change is asked.
    pub tests: Option<Vec<PolicyTest>>,
}

/// What came of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestedPolicy {
    /// Number of tests that were asked.
    pub asked: usize,
    /// Those that fail, in order.
    pub failed: Vec<TestResult>,
    /// Those of which no packet is, in order.
    pub idle: Vec<TestResult>,
}

/// A test with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestResult {
    /// Its position in the request, counted from 0.
    pub number: usize,
    /// Where it is written.
    pub place: String,
    /// Why it fails: what was expected, and a packet that gets something else. Empty if no packet is of it.
    pub why: String,
}
