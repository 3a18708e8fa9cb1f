//! Changes in the audit trail: the entry of a request that makes one, and the outcome of one that the service does not run. It must
//! never know which changes there are. `routes` calls it.

use std::sync::mpsc::sync_channel;

use axum::extract::{Query, Request};
use serde::Serialize;
use sg_audit::{Changes, Entry, Object};

use super::{Native, caller::Identity, error::Failed, request::Trial};
use crate::{
    recording::{self, PendingChange},
    request_id::RequestId,
};

/// The change that a request makes. `None`: it is a dry run, which changes nothing.
pub(super) fn pending_change(native: &Native, request: &Request, operation: &str) -> Option<PendingChange> {
    let trial = Query::<Trial>::try_from_uri(request.uri());
    let trial = trial.map(|Query(trial)| trial).unwrap_or_default();
    if trial.dry_run {
        return None;
    }
    let extensions = request.extensions();
    let who = extensions.get::<Identity>().map(|caller| caller.who.clone()).unwrap_or_default();
    let from = recording::from(extensions.get().copied());
    let mut entry = Entry::new(sg_audit::Api::Native, operation, who, from);
    (entry.force, entry.skip_tests) = (trial.force, trial.skip_tests);
    entry.request = extensions.get::<RequestId>().map(|id| id.0.clone());
    Some(PendingChange::new(&native.recording.trail, entry))
}

/// Writes that something in the kernel was changed, if it was, and waits until it is written.
/// `question` is what was asked for.
pub(super) fn touched(change: &PendingChange, question: &impl Serialize, result: Result<Object, &Failed>) {
    let (object, failure) = match result {
        Ok(object) => (object, None),
        Err(failed) => match failed.part() {
            Some((number, why)) => {
                let question = serde_json::to_value(question).ok();
                (Object::new("flows", number.to_string(), String::new(), [question, None], &[]), Some(why))
            }
            // Nothing was changed: it is a refusal like others.
            None => return,
        },
    };
    let changes = Changes { objects: vec![object], more: 0 };
    let (done, is_done) = sync_channel(1);
    let then = move || {
        let _ = done.send(());
    };
    match failure {
        None => change.ticket().done(changes, then),
        Some(why) => change.ticket().partly(why, changes, then),
    }
    let _ = is_done.recv();
}
