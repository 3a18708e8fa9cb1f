//! Changes that are to be confirmed, in a running agent: waiting for the deadline, telling what became of them, and which form of the
//! document is tried under `sgd run --confirm-changes`. It must never decide whether a change is over: the kernel does. Called by
//! `session` and `run`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sg_audit::Api;

use super::{Policies, Session, reconciling};
use crate::{
    apply::{
        enforcer::{Enforcer, Settle},
        pending::{Confirm, Standing},
        report::{StatusEvent, emit},
    },
    error::AgentError,
    host::{catalog::PendingRecord, devices},
    input::policy_file::{Document, PolicyFile},
    lifecycle::{
        confirmed::{ConfirmChanges, Documents},
        document_trail::{self, Reading},
    },
    state::Cause,
};

/// What a session knows of changes that are to be confirmed.
#[derive(Debug, Default)]
pub(super) struct Confirming {
    /// How changes of the document are confirmed.
    options: Option<ConfirmChanges>,
    /// When the pending change is asked about next.
    pub(super) deadline: Option<Instant>,
    /// Whether the document was changed while a change was pending.
    postponed: bool,
    /// Whether it was said that a confirmation could not be recorded.
    is_unrecorded: bool,
}

impl Confirming {
    /// Where documents are kept, if this is `sgd run`.
    pub(super) fn directory(&self) -> Option<Documents> {
        self.options.as_ref().map(Documents::of)
    }

    /// Where they are kept, and how long a change is in force without a confirmation, if it needs one.
    pub(super) fn documents(&self) -> Option<(Documents, u32)> {
        let options = self.options.as_ref()?;
        options.seconds.map(|seconds| (Documents::of(options), seconds))
    }
}

impl<E: Enforcer> Session<'_, E> {
    /// Has changes of the document confirmed.
    pub(crate) fn confirming(&mut self, options: Option<&ConfirmChanges>) {
        self.confirming.options = options.cloned();
    }

    /// The text that was confirmed last, if changes are confirmed.
    pub(super) fn confirmed_text(&self) -> Option<Vec<u8>> {
        self.confirming.documents().and_then(|(documents, _)| documents.confirmed().ok()?)
    }

    /// Prepares a form of the document. Returns false if that took a change back, and nothing is to be put in force. One that is to be
    /// confirmed may do what is guarded against otherwise: it takes itself back.
    pub(super) fn prepare_document(
        &mut self,
        document: Document,
        file: &PolicyFile,
    ) -> Result<bool, AgentError> {
        let Some((documents, seconds)) = self.confirming.documents() else {
            return self.prepare_guarded(document).map(|()| true);
        };
        let text = file.text();
        let is_confirmed = documents.confirmed()?.as_deref() == Some(text);
        if self.agent.goes_back() {
            if is_confirmed {
                self.settle(None, Settle::Cancel, "document")?;
                return Ok(false);
            }
            if documents.unconfirmed()?.as_deref() == Some(text) {
                return Ok(false);
            }
        }
        if let Some(pending) = self.agent.pending()
            && (self.agent.goes_back() || self.agent.is_confirmed() || !is_confirmed)
        {
            self.confirming.postponed = true;
            let PendingRecord { id, owner, deadline, .. } = pending;
            return Err(if self.agent.goes_back() {
                AgentError::PendingConfirmation { id: *id, owner: owner.clone(), deadline: *deadline }
            } else {
                AgentError::Unsettled { id: *id }
            });
        }
        if is_confirmed || self.agent.policy().is_none() {
            return self.prepare_guarded(document).map(|()| true);
        }
        let owner = match file.owner() {
            Some(uid) => format!("uid {uid}, by {}", file.path().display()),
            None => file.path().display().to_string(),
        };
        self.agent.prepare_until(document.policy, &devices::scan()?, Confirm { seconds, owner })?;
        documents.try_text(text)?;
        Ok(true)
    }

    /// Whether a form of the document would be refused now. Nothing is changed.
    pub(super) fn try_document(&mut self, document: Document) -> Result<(), AgentError> {
        if self.confirming.documents().is_some() {
            return self.prepare(document.policy);
        }
        // A document that is held back is that of the file.
        let held_back = self.guard.held_back.take();
        let tried = self.prepare_guarded(document);
        self.guard.held_back = held_back;
        tried
    }

    /// Says that a change is pending, and waits for its deadline from now on.
    pub(super) fn tell_pending(&mut self) {
        let Some(pending) = self.agent.pending().filter(|_| self.agent.goes_back()) else { return };
        let (id, deadline) = (pending.id, pending.deadline);
        emit(&StatusEvent::Pending { id, deadline });
        self.wait_until(deadline);
    }

    fn wait_until(&mut self, deadline: Timestamp) {
        let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
        self.confirming.deadline = Some(Instant::now() + left);
    }

    /// Asks whether the deadline has passed.
    pub(super) fn look_at_pending(&mut self) {
        self.confirming.deadline = None;
        if !self.agent.goes_back() {
            return;
        }
        if let Err(error) = self.settle(None, Settle::Look, "deadline") {
            tracing::error!("{error}");
            self.confirming.deadline = Some(Instant::now() + Duration::from_secs(5));
        }
    }

    /// Does this to the change that is pending, and makes formal what becomes of it. `cause` is that of its end, if this is it.
    pub(super) fn settle(
        &mut self,
        id: Option<u32>,
        how: Settle,
        cause: &'static str,
    ) -> Result<Standing, AgentError> {
        let standing = self.agent.settle(id, how)?;
        let applied = match standing {
            Standing::Pending { deadline, .. } => {
                self.wait_until(deadline);
                if let Settle::Extend { .. } = how {
                    self.tell_pending();
                }
                None
            }
            Standing::Confirmed { id } => {
                self.confirming.deadline = None;
                self.record_confirmed();
                emit(&StatusEvent::Confirmed { id });
                Some("confirm")
            }
            Standing::Reverted { id } => {
                self.confirming.deadline = None;
                // A deadline that had passed is the cause, whatever was asked.
                let cause = if how == Settle::Cancel { cause } else { "deadline" };
                self.tell_reverted(Some(id), cause);
                Some("revert")
            }
        };
        if applied.is_some() || how != Settle::Look {
            match self.scan_and_resync() {
                // What failed is complained about, and tried again.
                Ok(report) => drop(self.tell(report, applied, Cause::Policy)),
                Err(error) => {
                    self.complain(&[error]);
                    self.publish(None);
                }
            }
        }
        Ok(standing)
    }

    /// Records that the document which was tried is confirmed, before the catalog forgets the change: whoever starts in between finds it
    /// confirmed. What fails is tried again with every [`Self::go_on`].
    fn record_confirmed(&mut self) {
        if !self.agent.is_confirmed() {
            return;
        }
        if let Some((documents, _)) = self.confirming.documents()
            && let Err(error) = documents.confirm()
        {
            if !std::mem::replace(&mut self.confirming.is_unrecorded, true) {
                tracing::error!(
                    "the change is confirmed, which is not recorded yet, and tried again: {error}"
                );
            }
            return;
        }
        self.confirming.is_unrecorded = false;
        self.agent.forget_confirmed();
        self.publish(None);
    }

    /// Does what had to wait: records a confirmation, and reads a document that was changed while a change of it was pending.
    pub(super) fn go_on(&mut self, policies: &mut Policies) {
        self.record_confirmed();
        if self.confirming.postponed
            && self.agent.pending().is_none()
            && let Policies::File { file, .. } = policies
        {
            self.confirming.postponed = false;
            let loaded = file.load();
            reconciling("policy").in_scope(|| self.document_read(loaded, file, Cause::Policy));
        }
    }

    pub(super) fn tell_reverted(&self, id: Option<u32>, cause: &'static str) {
        emit(&StatusEvent::Reverted { id, cause });
        let api = if self.confirming.directory().is_some() { Api::Document } else { Api::Sgd };
        let (text, places) = (self.confirmed_text(), (&self.trail, self.history.as_ref()));
        document_trail::reverted(places, api, text.as_deref(), id, cause);
        let what = id.map_or_else(|| "the document".to_owned(), |id| format!("change {id}"));
        tracing::warn!("{what} was not confirmed: what was in force before it is again ({cause})");
    }

    /// Handles a form of the document that was read.
    pub(super) fn document_read(
        &mut self,
        loaded: Result<Document, AgentError>,
        file: &PolicyFile,
        cause: Cause,
    ) {
        let (path, owner) = (file.path(), file.owner());
        self.publisher.read(path, owner);
        let before = self.agent.policy().cloned();
        let reading = Reading { path, owner, cause };
        // Whatever the file says now, it is not the document that was refused before.
        self.guard.held_back = None;
        match loaded.and_then(|document| self.prepare_document(document, file)) {
            Err(error) => {
                self.tell_refused(&error, reading);
                self.resync(Cause::Devices);
            }
            Ok(false) => self.resync(Cause::Devices),
            Ok(true) => match self.enforce(cause) {
                Err(error) if !matches!(error, AgentError::NotInForce { .. }) => {
                    self.not_begun(&error, reading);
                }
                enforced => {
                    // Errors were reported already.
                    let delayed = enforced.err();
                    self.tell_pending();
                    self.record_applied(reading, file.text(), before.as_deref(), delayed.as_ref());
                }
            },
        }
    }

    /// A change could not begin, and nothing of it is in force.
    fn not_begun(&mut self, error: &AgentError, reading: Reading<'_>) {
        if let Some((documents, _)) = self.confirming.documents()
            && let Err(error) = documents.forget_unconfirmed()
        {
            tracing::error!("the next start takes the document for one that was not confirmed: {error}");
        }
        self.tell_refused(error, reading);
    }

    fn tell_refused(&mut self, error: &AgentError, reading: Reading<'_>) {
        tracing::error!("the new policy is refused, what was in force stays in force:\n{error}");
        emit(&StatusEvent::Refused { path: reading.path.to_owned(), reason: error.to_string() });
        self.refused(error);
        document_trail::refused(&self.trail, reading, error);
    }
}
