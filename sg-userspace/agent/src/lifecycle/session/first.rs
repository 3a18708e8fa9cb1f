//! The first policy of an agent that follows a document: that of the document, or of the one that was confirmed last, if a change of it
//! was not. It must never decide whether a change is over: the kernel does. Called by `run`.

use std::path::PathBuf;

use super::Session;
use crate::{
    apply::{enforcer::Enforcer, pending::Standing},
    error::AgentError,
    host::devices,
    input::policy_file::{Document, PolicyFile},
    state::Cause,
};

/// What follows the first policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// The document needs no confirmation: there is none before it.
    Confirmed,
    /// The change of an earlier agent goes on.
    Resumed,
    /// The first policy is that of the document which was confirmed last, in this file.
    GoneBack {
        /// Where it is.
        path: PathBuf,
        /// Whether the document is tried now, until it is confirmed.
        tries: bool,
    },
}

impl<E: Enforcer> Session<'_, E> {
    /// Prepares the first policy.
    pub(crate) fn prepare_first(
        &mut self,
        file: &PolicyFile,
        document: Document,
    ) -> Result<Then, AgentError> {
        let Some((documents, _)) = self.confirming.documents() else {
            return self.prepare_guarded(document).map(|()| Then::Nothing);
        };
        let mut found = self.agent.found_pending()?;
        if matches!(found, Some(Standing::Confirmed { .. })) {
            // The agent ended between the confirmation and its record.
            if documents.unconfirmed()?.is_some() {
                documents.confirm()?;
            }
            self.agent.forget_pending();
            found = None;
        }
        let text = file.text();
        let path = documents.confirmed_path();
        let is_unconfirmed = documents.unconfirmed()?.as_deref() == Some(text);
        let Some(confirmed) = documents.confirmed()? else {
            if let Some(Standing::Pending { id, .. } | Standing::Reverted { id }) = found {
                // Whatever was before it, the document was not confirmed.
                return Err(AgentError::NoConfirmedDocument { id, path });
            }
            return self.prepare_guarded(document).map(|()| Then::Confirmed);
        };
        let is_confirmed = confirmed == text;
        let gone_back = Then::GoneBack { path, tries: !is_unconfirmed };
        match found {
            Some(Standing::Pending { deadline, .. }) if is_unconfirmed => {
                let before = file.parse(&confirmed)?.policy;
                self.agent.prepare_resumed(document.policy, before, deadline, &devices::scan()?)?;
                Ok(Then::Resumed)
            }
            Some(found) => {
                let (id, cause) = match found {
                    // It is another form by now.
                    Standing::Pending { id, .. } => (id, "document"),
                    Standing::Reverted { id } | Standing::Confirmed { id } => (id, "deadline"),
                };
                self.agent.take_back()?;
                self.agent.prepare_before(file.parse(&confirmed)?.policy, &devices::scan()?)?;
                self.tell_reverted(Some(id), cause);
                Ok(if is_confirmed { Then::Nothing } else { gone_back })
            }
            // It was confirmed: what it does is meant.
            None if is_confirmed => self.prepare(document.policy).map(|()| Then::Nothing),
            None => {
                self.prepare(file.parse(&confirmed)?.policy)?;
                if is_unconfirmed {
                    self.tell_reverted(None, "restart");
                }
                Ok(gone_back)
            }
        }
    }

    /// The text of the first policy.
    pub(crate) fn first_text(&self, file: &PolicyFile, then: &Then) -> Vec<u8> {
        let confirmed = match then {
            Then::GoneBack { .. } => self.confirmed_text(),
            Then::Nothing | Then::Confirmed | Then::Resumed => None,
        };
        confirmed.unwrap_or_else(|| file.text().to_vec())
    }

    /// Does what follows the first policy, once it is in force.
    pub(crate) fn after_first(&mut self, file: &PolicyFile, then: &Then) {
        self.agent.forget_reverted();
        self.publish(None);
        match then {
            Then::Nothing | Then::GoneBack { tries: false, .. } => {}
            Then::Confirmed => {
                if let Some((documents, _)) = self.confirming.documents()
                    && let Err(error) = documents.confirm_text(file.text())
                {
                    tracing::error!("the next change has nothing to go back to after a restart: {error}");
                }
            }
            Then::Resumed => self.tell_pending(),
            Then::GoneBack { tries: true, .. } => {
                let loaded = file.parse(file.text());
                self.document_read(loaded, file, Cause::Start);
            }
        }
        if self.confirming.documents().is_none()
            && let Some(documents) = self.confirming.directory()
            && let Err(error) = documents.forget()
        {
            tracing::error!("a later start with --confirm-changes goes back to an old document: {error}");
        }
    }
}
