//! Requests and responses of the native API, which `sgctl` sends and reads.
//!
//! This crate must never know how an operation runs, who stores the records, or which server listens. The service runs the
//! requests, the native API reads and writes them as JSON, and the ECS API translates its actions into them.

mod access;
mod apply;
mod check;
mod clone;
mod error;
mod groups;
mod labels;
mod lint;
mod lists;
mod membership;
mod nics;
mod pagination;
mod query;
mod replace;
mod restore;
mod rules;
mod status;
mod transfer;
mod vpcs;

pub use access::{AccessKeyView, CreateAccessKey, DeleteAccessKey, ModifyQuotas, NewAccessKey};
pub use apply::{Apply, Changed, Difference, Happens};
pub use check::{CheckPacket, Checked, CommonCheck, Concerned, Evaluated};
pub use clone::{CloneGroup, Cloned, LeftOut};
pub use error::{ErrorBody, ErrorDetail};
pub use groups::{CreateGroup, DeleteGroups, ModifyGroup};
pub use labels::{LabelChange, NewLabel};
pub use lint::{Finding, FindingKind, Severity};
pub use lists::{CreateList, DeleteLists, ModifyList};
pub use membership::{ChangeMembers, Join, Leave, Move, MoveGroup, SetGroups};
pub use nics::{InstanceView, ModifyNic, RegisterInstance, RegisterNic, RemoveInstances, RemoveNics};
pub use pagination::{LARGEST_PAGE, Page, PageRequest};
pub use query::{GroupQuery, GroupView, ListView, NicQuery, Reference, RuleQuery};
pub use replace::Replaced;
pub use restore::{RestoreRules, Restored};
pub use rules::{Authorize, ModifyRule, Revoke};
pub use status::Status;
pub use transfer::{ImportReport, ImportRow, Imported};
pub use vpcs::{CreateVpc, DeleteVpc, ModifyVpc};
