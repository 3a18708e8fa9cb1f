//! A policy that a request compares: what is in force, what was after a change of the history, a document, or an export. It must
//! never compare. `diff`, `candidate` and `policy_changes` call it.

use std::sync::Arc;

use sg_api_types::{Apply, ComparedPolicy};
use sg_inspect::InspectError;
use sg_model::Policy;
use sg_service::{Refusal, ReplaceState, Service, State, policy};
use sg_store::import;

use super::{Native, error::Failed, host::facts};

/// A policy, and what it is of.
pub(super) struct Compared {
    pub(super) policy: Arc<Policy>,
    pub(super) warnings: Vec<String>,
    /// The store that it is of, if there is one.
    pub(super) state: Option<Arc<State>>,
    /// Whether it is what is in force.
    pub(super) is_in_force: bool,
}

/// How an export begins; no document does.
const EXPORT: &str = "{\"format\":\"sgd state\"";

impl Compared {
    pub(super) fn of(native: &Native, wanted: ComparedPolicy) -> Result<Self, Failed> {
        let ComparedPolicy { text, name, region, file, change } = wanted;
        match (text, change) {
            (Some(_), Some(_)) => {
                Err(Failed::Malformed("text and change are two policies: name one of them".to_owned()))
            }
            (None, None) => Self::in_force(native),
            (None, Some(change)) => Self::after(native, change),
            (Some(text), None) if text.trim_start().starts_with(EXPORT) => Self::export(native, &file, &text),
            (Some(text), None) => {
                let name = name.unwrap_or_else(|| "document".to_owned());
                // It is only looked at: what keeps an apply from harm does not keep from seeing it.
                let (allow_unfiltered, force) = (true, true);
                Self::document(native, &Apply { text, name, region, allow_unfiltered, force, file })
            }
        }
    }

    fn in_force(native: &Native) -> Result<Self, Failed> {
        let policy = native.hits.in_force().policy.clone().ok_or(InspectError::Nothing)?;
        let state = native.service.as_ref().map(Service::snapshot);
        Ok(Self { policy, warnings: Vec::new(), state, is_in_force: true })
    }

    /// What was in force after a change.
    pub(super) fn after(native: &Native, change: u64) -> Result<Self, Failed> {
        if let Some(service) = &native.service {
            let committed = service.committed();
            let state = committed.history.state_after(change, &committed.state)?;
            return Self::of_state(state, Vec::new());
        }
        let text = native.documents()?.text(change)?;
        Self::of_text(&native.document(), &text)
    }

    /// What a document would make of the store, or is by itself.
    pub(super) fn document(native: &Native, document: &Apply) -> Result<Self, Failed> {
        if let Some(service) = &native.service {
            let (difference, state) = service.would_be(document)?;
            return Self::of_state(state, difference.warnings);
        }
        let file = if document.file.is_empty() { &document.name } else { &document.file };
        Self::of_text(file, document.text.as_bytes())
    }

    fn of_text(file: &str, text: &[u8]) -> Result<Self, Failed> {
        let loaded = sg_document::parse(file, text)
            .map_err(|error| Refusal::Document { reason: error.to_string() })?;
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        Self::new(loaded.policy, warnings, None)
    }

    /// What an export would make of the store.
    fn export(native: &Native, file: &str, text: &str) -> Result<Self, Failed> {
        let Some(service) = &native.service else {
            let what = format!("{file:?} is an export of a store, and `sgd run` has none: name a document");
            return Err(Failed::Malformed(what));
        };
        let refused =
            |reason: String| Failed::Refused(Refusal::NoExport { reason: format!("{file}: {reason}") });
        let imported = import(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        let (_, state) = service.would_be(&ReplaceState::new(imported, String::new())?)?;
        Self::of_state(state, Vec::new())
    }

    fn of_state(state: State, warnings: Vec<String>) -> Result<Self, Failed> {
        let policy = policy(&state).map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
        Self::new(policy, warnings, Some(Arc::new(state)))
    }

    fn new(mut policy: Policy, warnings: Vec<String>, state: Option<Arc<State>>) -> Result<Self, Failed> {
        policy.set_device_facts(facts()?);
        Ok(Self { policy: Arc::new(policy), warnings, state, is_in_force: false })
    }
}
