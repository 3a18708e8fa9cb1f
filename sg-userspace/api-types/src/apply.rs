//! Request and response for applying a document.
//!
//! A document under `sgd serve` has the same meaning as under `sgd run`; these types must never interpret its text. The service
//! runs the request; the native API and `sgctl` exchange it as JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Applies a document: creates, changes and deletes objects until everything that the document owns is as it says. Its name is
/// that of a VPC, which contains its groups, lists, members and NICs. Objects of other owners are left unchanged, and so are
/// rules that were added to its groups by hand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Apply {
    /// Text of the document, as YAML or JSON. Required.
    #[schema(value_type = String)]
    pub text: Arc<str>,
    /// Name of the document, which owns everything that it creates: up to 64 letters, digits, `-`, `_` and `.`, beginning with a
    /// letter. Default: `document`.
    #[serde(default = "document")]
    pub name: String,
    /// Region of the document's VPC. Used only when the VPC is created. Default: `local`.
    #[serde(default)]
    pub region: String,
    /// Apply a document that leaves out NICs whose devices exist and are filtered: everything will pass there. Otherwise such a
    /// document is refused, unless it names them under `allow_unfiltered`. Default: false.
    #[serde(default)]
    pub allow_unfiltered: bool,
    /// Whether the caller insists on losing what the document keeps. It is no part of the body.
    #[serde(skip)]
    pub force: bool,
    /// File name in errors and warnings. Default: the name of the document.
    #[serde(default)]
    pub file: String,
}

fn document() -> String {
    "document".to_owned()
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Happens {
    /// The object is created.
    Add,
    /// The object is changed.
    Change,
    /// The object is deleted.
    Remove,
}

/// One object that differs, and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// What is done to the object.
    pub action: Happens,
    /// Kind of the object: `VPC`, `group`, `rule`, `NIC`, `prefix list`, `port list`, `members` for the members of a group, or
    /// `demands` for the tests and kept packets of the document.
    pub kind: String,
    /// Id of the object. For `members`: id of the group. For `demands`: name of the document.
    pub id: String,
    /// Name of the object in the document.
    pub name: String,
    /// Differences of the fields, as text for people.
    pub detail: Vec<String>,
}

/// All differences between the document and the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Changes, in the order in which they are made.
    pub changes: Vec<Changed>,
    /// Warnings about the document: valid content that is probably a mistake.
    pub warnings: Vec<String>,
}
