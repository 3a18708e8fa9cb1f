//! Applying a document: afterwards its content exists, and what an earlier form of it had and it no longer has is removed. Only
//! what belongs to the document is changed, and the difference lists every change.
//!
//! The document room parses it, so it has the same meaning as under `sgd run`. Its name is that of a VPC, which has the
//! document's order of rules; its groups, lists, members and NICs are in that VPC. A rule that was added to one of its groups by
//! hand stays.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Make what a document owns as the document says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Apply {
    /// The document, YAML or JSON.
    #[schema(value_type = String)]
    pub text: Arc<str>,
    /// What it is called: everything of it belongs to this name.
    #[serde(default = "document")]
    pub name: String,
    /// Where it is, the first time.
    #[serde(default)]
    pub region: String,
    /// What errors and warnings call it. Default: its name.
    #[serde(default)]
    pub file: String,
}

fn document() -> String {
    "document".to_owned()
}

/// What happens to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Happens {
    /// It is made.
    Add,
    /// It becomes another.
    Change,
    /// It goes.
    Remove,
}

/// A thing, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// What happens.
    pub action: Happens,
    /// What it is: `group`, `rule`, …
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What the document calls it.
    pub name: String,
    /// What is different: for people.
    pub detail: Vec<String>,
}

/// Everything that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// In the order in which it is done.
    pub changes: Vec<Changed>,
    /// What the document says that may not be meant.
    pub warnings: Vec<String>,
}
