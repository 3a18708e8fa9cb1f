//! Changes that are to be confirmed, in a running agent: waiting for the deadline, telling what became of them, and which form of the
//! document is in force under `sgd run --confirm-changes`. It must never decide whether a change is over: the kernel does. Called by
//! `session` and `run`.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Session;
use crate::{
    apply::{
        enforcer::{Enforcer, Settle},
        pending::{Confirm, Standing},
        report::{StatusEvent, emit},
    },
    error::AgentError,
    host::devices,
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
    pub(super) postponed: bool,
}

/// What follows the first policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// The document needs no confirmation: there is none before it.
    Confirmed,
    /// The change of an earlier agent goes on.
    Resumed,
    /// The document is tried, until it is confirmed.
    Try,
}

impl<E: Enforcer> Session<'_, E> {
    /// Has changes of the document confirmed.
    pub(crate) fn confirming(&mut self, options: Option<&ConfirmChanges>) {
        self.confirming.options = options.cloned();
    }

    fn documents(&self) -> Option<(Documents, u32)> {
        self.confirming.options.as_ref().map(|options| (Documents::of(options), options.seconds))
    }

    /// Prepares the first policy: that of the document that was read, unless it is a form that was not confirmed.
    pub(crate) fn prepare_first(
        &mut self,
        file: &PolicyFile,
        document: Document,
    ) -> Result<Then, AgentError> {
        let Some((documents, _)) = self.documents() else {
            return self.prepare_guarded(document).map(|()| Then::Nothing);
        };
        let mut found = self.agent.found_pending()?;
        let unconfirmed = documents.unconfirmed()?;
        if matches!(found, Some(Standing::Confirmed { .. })) {
            // The agent ended between the confirmation and its record.
            if unconfirmed.is_some() {
                documents.confirm()?;
            }
            self.agent.forget_pending();
            found = None;
        }
        let text = file.text();
        let is_unconfirmed = unconfirmed.as_deref() == Some(text);
        let Some(confirmed) = documents.confirmed()? else {
            return self.prepare_guarded(document).map(|()| Then::Confirmed);
        };
        let is_confirmed = confirmed == text;
        let then = if is_confirmed || is_unconfirmed { Then::Nothing } else { Then::Try };
        match found {
            Some(Standing::Pending { .. }) if is_unconfirmed => {
                let devices = devices::scan()?;
                self.agent.prepare_resumed(document.policy, file.parse(&confirmed)?.policy, &devices)?;
                Ok(Then::Resumed)
            }
            Some(found) => {
                let cause = match found {
                    // It is another form by now.
                    Standing::Pending { .. } => "document",
                    Standing::Reverted { .. } | Standing::Confirmed { .. } => "deadline",
                };
                let id = self.agent.pending().map(|pending| pending.id);
                self.agent.take_back()?;
                self.agent.prepare_before(file.parse(&confirmed)?.policy, &devices::scan()?)?;
                self.tell_reverted(id, cause);
                Ok(then)
            }
            // It was confirmed: what it does is meant.
            None if is_confirmed => self.prepare(document.policy).map(|()| Then::Nothing),
            None => {
                self.prepare(file.parse(&confirmed)?.policy)?;
                if is_unconfirmed {
                    self.tell_reverted(None, "restart");
                }
                Ok(then)
            }
        }
    }

    /// What follows the first policy, once it is in force.
    pub(crate) fn after_first(&mut self, file: &PolicyFile, then: Then) {
        self.agent.forget_reverted();
        self.publish(None);
        match then {
            Then::Nothing => {}
            Then::Confirmed => {
                if let Some((documents, _)) = self.documents()
                    && let Err(error) = documents.confirm_text(file.text())
                {
                    tracing::error!("the next change has nothing to go back to after a restart: {error}");
                }
            }
            Then::Resumed => self.tell_pending(),
            Then::Try => {
                let loaded = file.parse(file.text());
                self.document_read(loaded, file, Cause::Start);
            }
        }
    }

    /// Prepares a form of the document. Returns false if that took a change back, and nothing is to be put in force. One that is to be
    /// confirmed may do what is guarded against otherwise: it takes itself back.
    pub(super) fn prepare_document(
        &mut self,
        document: Document,
        file: &PolicyFile,
    ) -> Result<bool, AgentError> {
        let Some((documents, seconds)) = self.documents() else {
            return self.prepare_guarded(document).map(|()| true);
        };
        let text = file.text();
        let is_confirmed = documents.confirmed()?.as_deref() == Some(text);
        if self.agent.has_pending() {
            if is_confirmed {
                self.settle(None, Settle::Cancel, "document")?;
                return Ok(false);
            }
            if documents.unconfirmed()?.as_deref() == Some(text) {
                return Ok(false);
            }
            self.confirming.postponed = true;
            return self.prepare(document.policy).map(|()| true);
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
        if self.documents().is_some() {
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
        let Some(pending) = self.agent.pending() else { return };
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
        if !self.agent.has_pending() {
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
                if let Some((documents, _)) = self.documents()
                    && let Err(error) = documents.confirm()
                {
                    tracing::error!(
                        "the confirmation holds until the agent starts again, and is not recorded: {error}"
                    );
                }
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

    fn tell_reverted(&self, id: Option<u32>, cause: &'static str) {
        emit(&StatusEvent::Reverted { id, cause });
        document_trail::reverted(&self.trail, id, cause);
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
                tracing::error!("the new policy is refused, what was in force stays in force:\n{error}");
                emit(&StatusEvent::Refused { path: path.to_owned(), reason: error.to_string() });
                self.refused(&error);
                document_trail::refused(&self.trail, reading, &error);
                self.resync(Cause::Devices);
            }
            Ok(false) => self.resync(Cause::Devices),
            Ok(true) => {
                // Errors were reported already.
                let delayed = self.enforce(cause).err();
                self.tell_pending();
                self.record_applied(reading, before.as_deref(), delayed.as_ref());
            }
        }
    }
}
