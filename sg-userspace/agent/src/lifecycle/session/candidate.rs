//! The candidate in a running agent: setting, dropping and promoting it, telling what became of it, and setting it anew after other
//! changes. It must never decide what it would do: the kernel asks it. Called by `session`.

use std::sync::Arc;

use super::Session;
use crate::{
    apply::{
        candidate::WantedCandidate,
        enforcer::Enforcer,
        report::{StatusEvent, emit},
    },
    error::AgentError,
    host::devices,
    input::policy_file::PolicyFile,
    state::{
        Cause,
        candidate::{CandidateInForce, CandidateNic},
    },
};

impl<E: Enforcer> Session<'_, E> {
    /// Sets the candidate, in place of any other.
    pub(super) fn set_candidate(
        &mut self,
        wanted: WantedCandidate,
    ) -> Result<Arc<CandidateInForce>, AgentError> {
        self.agent.set_candidate(wanted, &devices::scan()?)?;
        self.publish_marks();
        self.tell_candidate();
        self.agent.candidate().cloned().ok_or(AgentError::NoCandidate)
    }

    /// Drops the candidate.
    pub(super) fn drop_candidate(&mut self, cause: &'static str) -> Result<(), AgentError> {
        if !self.agent.drop_candidate()? {
            return Err(AgentError::NoCandidate);
        }
        self.publish_marks();
        emit(&StatusEvent::CandidateDropped { cause });
        Ok(())
    }

    /// Puts the candidate in force, by the way of any other form of the document: the file is replaced, and read.
    pub(super) fn promote_candidate(
        &mut self,
        file: &mut PolicyFile,
    ) -> Result<Vec<CandidateNic>, AgentError> {
        let text = Arc::clone(&self.agent.candidate().ok_or(AgentError::NoCandidate)?.text);
        // What would be refused leaves the file alone.
        self.try_document(file.try_text(&text)?)?;
        file.replace(&text)?;
        let loaded = file.load();
        self.agent.expect_promotion(true)?;
        self.document_read(loaded, file, Cause::Policy);
        let _ = self.agent.expect_promotion(false);
        // What keeps it from being in force was reported: the file is the document, and it is tried again.
        let complaints = || AgentError::not_in_force(None);
        let promoted = self.agent.take_promoted().ok_or_else(complaints)?;
        self.tell_promoted(promoted.len());
        Ok(promoted)
    }

    /// Sets the candidate anew if what is in force has changed, and tells if another document was its promotion.
    pub(super) fn tend_candidate(&mut self) {
        if self.tended == self.agent.revision() {
            return;
        }
        if let Some(promoted) = self.agent.take_promoted() {
            self.tell_promoted(promoted.len());
        }
        if self.agent.candidate().is_none() {
            self.tended = self.agent.revision();
            return;
        }
        let renewed =
            devices::scan().map_err(Into::into).and_then(|found| self.agent.renew_candidate(&found));
        match renewed {
            Ok(false) => {}
            Ok(true) => {
                self.publish_marks();
                self.tell_candidate();
            }
            Err(error) => {
                tracing::error!("the candidate is dropped: {error}");
                self.publish_marks();
                emit(&StatusEvent::CandidateDropped { cause: "error" });
            }
        }
        self.tended = self.agent.revision();
    }

    /// Says that the candidate of an earlier agent ended with it.
    pub(super) fn tell_lost_candidate(&mut self) {
        if let Some(lost) = self.agent.take_lost_candidate() {
            tracing::warn!(
                "the candidate that {} set at {:.0} ended with the agent that had it: set it again",
                lost.owner,
                lost.since
            );
            emit(&StatusEvent::CandidateDropped { cause: "restart" });
        }
    }

    fn tell_candidate(&self) {
        let nics = self.agent.candidate().map_or(0, |candidate| candidate.nics.len());
        emit(&StatusEvent::CandidateSet { nics });
    }

    fn tell_promoted(&mut self, nics: usize) {
        self.publish(None);
        emit(&StatusEvent::CandidatePromoted { nics });
    }

    /// Publishes what is in force once more, with or without the mark of a candidate.
    fn publish_marks(&mut self) {
        match self.scan_and_resync() {
            // What failed is complained about, and tried again.
            Ok(report) => drop(self.tell(report, None, Cause::Policy)),
            Err(error) => {
                self.complain(&[error]);
                self.publish(None);
            }
        }
    }
}
