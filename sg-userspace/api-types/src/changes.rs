//! The history of changes of the policy: a change, a page of them, and going back.
//!
//! These types must never decide what can be undone. The native API fills them, `sgctl history` and `sgctl rollback` display them.

use serde::{Deserialize, Serialize};
use sg_audit::PolicyChange;
use utoipa::{IntoParams, ToSchema};

use super::{Comparison, LineCounts};

/// Selects changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// Maximum number of changes, the newest ones. Range: 1 to 200. Default: 200.
    pub limit: Option<u32>,
    /// How long finding out what they opened and closed may take, in seconds. Range: 0 to 3. Default: 1. What is found out is
    /// remembered; what is not known by then is missing, and another request goes on.
    pub time: Option<u32>,
}

/// A change of the policy, and what it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// What it was.
    #[serde(flatten)]
    pub change: PolicyChange,
    /// Whether what was in force after it can be compared and gone back to.
    pub kept: bool,
    /// What it opened and closed on this host, with the addresses that the devices have now; `null`: not known.
    pub summary: Option<ChangeSummary>,
}

/// What a change opened and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeSummary {
    /// Sets of packets, by what happened to them.
    pub counts: LineCounts,
    /// Whether that is all. If not, there was no time to find out.
    pub exact: bool,
}

/// Changes, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangePage {
    /// The changes.
    pub items: Vec<ChangeView>,
    /// The path of the document, under `sgd run`; `null`: there is a store.
    pub document: Option<String>,
}

/// A change, with the packets that are judged differently since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeDetail {
    /// The change.
    #[serde(flatten)]
    pub view: ChangeView,
    /// What was in force before it and after it, compared; `null`: it is not kept any more.
    pub comparison: Option<Comparison>,
}

/// The text of a document that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentText {
    /// Number of the change that put it in force.
    pub number: u64,
    /// The path of the document.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Makes the policy that which was in force after an earlier change: everything after it is undone, as one more change. Access
/// keys, quotas and the audit trail stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Rollback {
    /// Number of the change.
    pub change: String,
    /// Go back even if a NIC leaves whose device exists and is filtered: everything will pass there. Default: false.
    pub allow_unfiltered: bool,
}

/// What going back did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolledBack {
    /// Number of this change.
    pub number: u64,
    /// Number of the change after which the policy was what it is again.
    pub change: u64,
    /// Number of changes that were undone.
    pub undone: u64,
    /// Number of objects that were removed.
    pub removed: usize,
    /// Number of objects that were made, or made what they were.
    pub put: usize,
}
