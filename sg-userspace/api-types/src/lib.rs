//! Requests and responses of the native API, which `sgctl` sends and reads.
//!
//! This crate must never know how an operation runs, who stores the records, or which server listens. The service runs the
//! requests, the native API reads and writes them as JSON, and the ECS API translates its actions into them.

// Others build on this crate, without reading it.
#![warn(missing_docs)]

mod access;
mod apply;
mod authorize;
mod candidate;
mod changes;
mod check;
mod clone;
mod diff;
mod error;
mod flows;
mod groups;
mod lint;
mod lists;
mod membership;
mod nics;
mod observe;
mod pending;
mod policy_tests;
mod query;
mod rules;
mod search;
mod service;
mod show;
mod stats;
mod status;
mod transfer;
mod vpcs;

pub use access::{AccessKeyView, CreateAccessKey, DeleteAccessKey, NewAccessKey};
pub use apply::{Apply, Changed, Difference, Happens};
pub use authorize::{Authorize, DirectedRule, Duplicates, Sameness};
pub use candidate::{
    CandidateDecisions, CandidateImage, CandidateLine, CandidateQuery, CandidateReport, CandidateRule,
    CandidateState, DropCandidate, DroppedCandidate, PromoteCandidate, PromotedCandidate, SetCandidate,
    Unattributed,
};
pub use changes::{
    ChangeDetail, ChangePage, ChangeSummary, ChangeView, ChangesQuery, DocumentText, Rollback, RolledBack,
};
pub use check::{CheckPacket, Checked, CommonCheck, Concerned, Evaluated};
pub use clone::{CloneGroup, Cloned, LeftOut, RestoreRules, Restored};
pub use diff::{
    Compare, ComparedPolicy, Comparison, DiffLine, DiffOutcome, DiffQuery, FlowImpact, LineCounts,
    LinePackets, RevokedFlow, UndecidedPart,
};
pub use error::{ErrorBody, ErrorDetail, ExceededQuota};
pub use flows::{
    DeleteFlows, DeletedFlows, FlowFilter, FlowLimit, FlowList, FlowProgress, FlowRow, MOST_FLOWS,
};
pub use groups::{CreateGroup, DeleteGroups, GroupTemplate, LabelChange, ModifyGroup, NewLabel};
pub use lint::{Finding, FindingKind, Severity};
pub use lists::{CreateList, DeleteLists, ModifyList};
pub use membership::{ChangeMembers, Join, Leave, Move, MoveGroup, Moved, SetGroups};
pub use nics::{
    DeviceField, InstanceView, ModifyNic, NicView, RegisterInstance, RegisterNic, RemoveInstances, RemoveNics,
};
pub use observe::ObserveQuery;
pub use pending::{ChangeState, ExtendChange, PendingChange, SettleChange, SettledChange};
pub use policy_tests::{ListedTest, ReplaceTests, RunTests, TestResult, TestedPolicy};
pub use query::{
    GroupQuery, GroupView, LARGEST_PAGE, ListView, NicQuery, Page, PageRequest, Reference, RuleQuery,
};
pub use rules::{ModifyRule, Revoke};
pub use search::{Found, FoundLine, FoundQuery, Search, UndecidedNic};
pub use service::ModifyQuotas;
pub use sg_model::Age;
pub use show::{EffectiveNic, EffectiveStep, ListedRule, ShowQuery, StepKind};
pub use stats::{Count, DefaultCount, FlowCounts, GroupCount, ReasonCount, RuleCount, Stats, StatsQuery};
pub use status::{AppliedChange, NicStatus, PolicySource, RefusedPolicy, Status, StoreCounts};
pub use transfer::{ImportReport, ImportRow, Imported, Replaced};
pub use vpcs::{CreateVpc, DeleteVpc, ModifyVpc};
