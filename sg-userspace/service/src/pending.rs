//! A change that is to be confirmed, in the writer: it is tried alone, stored with what takes it back, and the store is made to agree
//! with what becomes of it. The kernel decides that, through the [`Enforcement`]; this file must never go by a clock of its own,
//! except to know when to ask.
//!
//! ```text
//! try:     enforcement: in force, until … ─► store: the change, and its undo     killed in between: taken back by the next start
//! settle:  enforcement: kernel decides    ─► store: forgotten, or undone         killed in between: the next start asks the kernel
//! ```

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sg_agent::{AgentError, Confirm, Enforcement, Settle, Standing, Tried};
use sg_api_types::PendingChange;
use sg_audit::{Api, Entry, Who};
use sg_store::{Change, HistoryEdit, Key, Pending, PendingUpdate, Record, Store};

use super::{
    Committed, Field, Refusal, StartError, State, Tx, demands, project, recorded,
    writer::{Writer, refused, stored},
};

/// How long it waits before it tries again to ask, or to store what became of a change.
const AGAIN: Duration = Duration::from_secs(5);

/// The change that is to be confirmed.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    record: Pending,
    /// When to ask what became of it.
    pub(super) due: Instant,
    /// What became of it, if that is not stored yet.
    outcome: Option<Standing>,
}

impl Unconfirmed {
    fn new(record: Pending) -> Self {
        Self { due: due(record.deadline), record, outcome: None }
    }

    /// The refusal of every other change.
    fn refusal(&self) -> Refusal {
        let Pending { id, owner, deadline, undo: _ } = &self.record;
        match self.outcome {
            None => Refusal::PendingConfirmation { id: *id, owner: owner.clone(), deadline: *deadline },
            Some(_) => {
                Refusal::NotStored { reason: format!("what became of change {id} could not be stored yet") }
            }
        }
    }

    /// Whether a request of this caller that is found to be a repeated one may have made it.
    fn is_repeatable_by(&self, owner: &str) -> bool {
        let is_own = |key: &str| key.strip_prefix(owner).is_some_and(|rest| rest.starts_with('/'));
        self.record.owner == owner
            && self.record.undo.iter().any(|undo| match undo {
                Change::Put(Record::Token(token)) => is_own(&token.token),
                Change::Delete(Key::Token(token)) => is_own(token),
                _ => false,
            })
    }

    fn shown(&self) -> PendingChange {
        let Pending { id, owner, deadline, undo: _ } = &self.record;
        PendingChange { id: *id, owner: owner.clone(), deadline: *deadline }
    }
}

/// Whether nothing has changed but what requests got as responses.
pub(super) fn only_responses(changes: &[Change]) -> bool {
    changes
        .iter()
        .all(|change| matches!(change, Change::Put(Record::Token(_)) | Change::Delete(Key::Token(_))))
}

/// When that is, by the clock that nobody sets.
fn due(deadline: Timestamp) -> Instant {
    Instant::now() + Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default()
}

/// What takes `changes` back: each record that they change, once, as it is in `before`.
pub(super) fn undo(before: &State, changes: &[Change]) -> Vec<Change> {
    let keys: BTreeSet<Key> = changes
        .iter()
        .map(|change| match change {
            Change::Put(record) => record.key(),
            Change::Delete(key) => key.clone(),
        })
        .collect();
    keys.into_iter().map(|key| before.get(&key).map_or(Change::Delete(key), Change::Put)).collect()
}

/// The state without a change that was not confirmed; the history has both.
pub(super) fn taken_back(committed: &Committed, pending: &Pending) -> Tx {
    let tx = Tx::new(State::clone(&committed.state), Timestamp::now());
    let mut tx = tx.after(committed.history.clone());
    let mark = tx.mark();
    for change in &pending.undo {
        match change {
            Change::Put(record) => tx.put(record.clone()),
            Change::Delete(key) => tx.delete(key.clone()),
        }
    }
    let (changes, undo) = recorded::changes(&mark, &tx);
    let mut entry = Entry::new(Api::Sgd, "revert_change", Who::default(), "agent");
    entry.reason = Some(format!("change {} of {} was not confirmed", pending.id, pending.owner));
    tx.remember(&undo, &entry, &changes);
    tx
}

/// Makes `found`, which was loaded from `store`, agree with what became of a change that was to be confirmed when the process before
/// ended, and prepares its policy. Returns it, and the change if it is still to be confirmed.
pub(super) fn prepare_first(
    store: &mut dyn Store,
    enforcement: &mut impl Enforcement,
    mut found: Committed,
) -> Result<(Committed, Option<Unconfirmed>), StartError> {
    let unenforceable = |source| StartError::Unenforceable { source };
    if let Some(mut record) = store.pending()? {
        let Pending { id, owner, .. } = &record;
        match enforcement.standing(*id).map_err(unenforceable)? {
            Standing::Pending { deadline, .. } => {
                let before = project::policy(&taken_back(&found, &record))?;
                enforcement.resume(project::policy(&found.state)?, before).map_err(unenforceable)?;
                record.deadline = deadline;
                return Ok((found, Some(Unconfirmed::new(record))));
            }
            Standing::Confirmed { .. } => {
                store.commit_pending(&[], &HistoryEdit::default(), PendingUpdate::End)?;
            }
            Standing::Reverted { .. } => {
                tracing::warn!("change {id} of {owner} was not confirmed: the store is as it was before");
                let tx = taken_back(&found, &record);
                let edit = tx.history().edit_since(&found.history);
                store.commit_pending(tx.changes(), &edit, PendingUpdate::End)?;
                found = Committed::of(tx);
            }
        }
    }
    enforcement.prepare(project::policy(&found.state)?).map_err(unenforceable)?;
    Ok((found, None))
}

impl<E: Enforcement> Writer<E> {
    /// Refuses a change beside the one that is to be confirmed. Call [`Self::look`] before it runs.
    pub(super) fn refuse_beside_pending(&self) -> Result<(), Refusal> {
        self.pending.as_ref().map_or(Ok(()), |pending| Err(pending.refusal()))
    }

    /// Puts a change in force until it is confirmed, and stores it. Returns it, and nothing if nothing was changed.
    pub(super) fn try_until(&mut self, tx: Tx, confirm: Confirm) -> Result<Option<PendingChange>, Refusal> {
        let owner = confirm.owner.clone();
        if tx.changes().is_empty() {
            // Perhaps the request was repeated.
            let own = self.pending.as_ref().filter(|pending| pending.is_repeatable_by(&owner));
            return Ok(own.map(Unconfirmed::shown));
        }
        if only_responses(tx.changes()) {
            return self.keep_responses(tx).map(|()| None);
        }
        self.refuse_beside_pending()?;
        let is_key = |change: &Change| {
            matches!(change, Change::Put(Record::AccessKey(_)) | Change::Delete(Key::AccessKey(_)))
        };
        if tx.changes().iter().any(is_key) {
            // Whoever may settle changes could bring back a key that was deleted.
            return Err(Refusal::invalid(
                Field::Stored("confirm"),
                confirm.seconds.to_string(),
                "nothing for changes of access keys, which cannot be taken back",
            ));
        }
        demands::check(&self.committed.load().state, &tx)?;
        let policy = project::policy(&tx);
        let policy = policy.map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
        let committed = self.committed.load_full();
        let undo = undo(&committed.state, tx.changes());
        let edit = tx.history().edit_since(&committed.history);
        let Tried { id, deadline, delayed } = self.enforcement.try_until(policy, confirm).map_err(refused)?;
        let record = Pending { id, owner, deadline, undo };
        if let Err(refusal) =
            stored(self.store.commit_pending(tx.changes(), &edit, PendingUpdate::Begin(&record)))
        {
            if let Err(error) = self.enforcement.settle(Some(id), Settle::Cancel) {
                tracing::error!("change {id} is in force until its deadline, and not stored: {error}");
            }
            return Err(refusal);
        }
        self.committed.store(Arc::new(Committed::of(tx)));
        let pending = self.pending.insert(Unconfirmed::new(record));
        match delayed {
            None => Ok(Some(pending.shown())),
            Some(error) => {
                // The response has no change then.
                let reason =
                    format!("{error}; change {id} goes back at {deadline:.0} unless it is confirmed");
                Err(Refusal::NotYetInForce { reason })
            }
        }
    }

    /// Asks what became of the change, and makes the store agree.
    pub(super) fn look(&mut self) {
        let Some(Unconfirmed { record: Pending { id, .. }, outcome, .. }) = &self.pending else { return };
        let standing = match outcome {
            Some(outcome) => Ok(*outcome),
            None => self.enforcement.standing(*id).map_err(refused),
        };
        if let Err(refusal) = standing.and_then(|standing| self.agree(standing)) {
            tracing::error!("{refusal}");
            if let Some(pending) = &mut self.pending {
                pending.due = Instant::now() + AGAIN;
            }
        }
    }

    /// Confirms, cancels or extends the change that is to be confirmed, and makes the store agree.
    pub(super) fn settle(&mut self, id: Option<u32>, how: Settle) -> Result<Standing, Refusal> {
        let standing = match (self.enforcement.settle(id, how), &self.pending, self.settled) {
            // The agent has found it over, and nobody has looked since.
            (Err(AgentError::NothingPending), Some(Unconfirmed { record, outcome, .. }), _)
                if id.is_none_or(|id| id == record.id) =>
            {
                outcome.map_or_else(|| self.enforcement.standing(record.id), Ok)
            }
            // A repeated request, or one that comes too late.
            (
                Err(AgentError::NothingPending),
                None,
                Some(settled @ (Standing::Confirmed { id: known } | Standing::Reverted { id: known })),
            ) if id == Some(known) => Ok(settled),
            (result, ..) => result,
        };
        let standing = standing.map_err(|error| match error {
            AgentError::Stopped | AgentError::NothingPending | AgentError::OtherPending { .. } => {
                refused(error)
            }
            error => Refusal::NotSettled { reason: error.to_string() },
        })?;
        self.agree(standing)?;
        Ok(standing)
    }

    /// Makes the store agree with what became of the change.
    fn agree(&mut self, standing: Standing) -> Result<(), Refusal> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        let done = match standing {
            Standing::Pending { deadline, .. } => {
                pending.due = due(deadline);
                let is_later = deadline.duration_since(pending.record.deadline).as_secs().abs() > 0;
                pending.record.deadline = deadline;
                if is_later
                    && let Err(error) = self.store.commit_pending(
                        &[],
                        &HistoryEdit::default(),
                        PendingUpdate::Extend(deadline),
                    )
                {
                    // It is for people only.
                    tracing::warn!("another deadline of the change is stored than there is: {error}");
                }
                Ok(())
            }
            Standing::Confirmed { .. } => {
                pending.outcome = Some(standing);
                let ended = self.store.commit_pending(&[], &HistoryEdit::default(), PendingUpdate::End);
                if ended.is_ok() {
                    (self.pending, self.settled) = (None, Some(standing));
                }
                ended
            }
            Standing::Reverted { .. } => {
                pending.outcome = Some(standing);
                let committed = self.committed.load_full();
                let tx = taken_back(&committed, &pending.record);
                let edit = tx.history().edit_since(&committed.history);
                let ended = self.store.commit_pending(tx.changes(), &edit, PendingUpdate::End);
                if ended.is_ok() {
                    self.committed.store(Arc::new(Committed::of(tx)));
                    (self.pending, self.settled) = (None, Some(standing));
                }
                ended
            }
        };
        if done.is_err()
            && let Some(pending) = &mut self.pending
        {
            pending.due = Instant::now() + AGAIN;
        }
        done.map_err(|error| Refusal::NotSettled {
            reason: format!(
                "what became of it holds in the kernel, and could not be stored; sgd keeps trying: {error}"
            ),
        })
    }
}
