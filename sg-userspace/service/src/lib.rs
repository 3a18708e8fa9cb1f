//! The operations of the domain: create a group, authorise a rule, join, leave, clone …, with their quotas and refusals. They are
//! written once, and every API calls them.
//!
//! ```text
//! API ──submit(operation)──► writer thread ──► store, agent      returns when it is in force
//!     ──snapshot()─────────► State             queries: never wait for a writer
//! ```
//!
//! An operation is a struct of the request's fields. [`Operation::run`] applies it to a [`Tx`] or refuses it, and a refused
//! operation changes nothing. A query is a function of a [`State`]. This crate must never know which API called, and it alone
//! writes to the store.

mod access;
mod apply;
mod authorize;
mod check;
mod clone;
mod dated;
mod demands;
mod devices;
mod groups;
mod guard;
mod history;
mod host;
mod idempotency;
#[cfg(any(test, feature = "in-memory"))]
pub mod in_memory;
mod integrity;
mod interfaces;
mod labels;
mod lint;
mod lists;
mod membership;
mod names;
mod nics;
mod pagination;
mod pending;
mod project;
mod query;
mod quota;
mod recorded;
mod refusal;
mod replace;
mod replace_tests;
mod restore;
mod rollback;
mod rule_check;
mod rules;
mod state;
mod summary;
mod tags;
mod template;
#[cfg(test)]
mod tests;
mod together;
mod transfer;
mod twins;
mod tx;
mod vpcs;
mod writer;

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::oneshot;

pub use authorize::{AddRules, Authorized};
pub use check::{check_common, check_packet};
pub use demands::{TestsRun, run_tests};
pub use devices::HostDevices;
pub use groups::referencing;
pub use guard::{Guarded, OwnConnection};
pub use history::{History, Kept};
pub use idempotency::Idempotent;
pub use integrity::check_stored;
pub use interfaces::{
    AttachNic, CreateInterface, DeleteInterface, DetachNic, ModifyInstance, available, usable,
};
pub use labels::DEFAULT_REGION;
pub use lint::{Scope, lint, lint_policy};
pub use lists::StoredEntry;
pub use pagination::paginate;
pub use project::{
    Namer, ProjectError, device_of, group_name, group_of, order_of, policy, policy_for, policy_with,
};
pub use query::{
    Filter, find_groups, find_instances, find_lists, find_nics, find_rules, find_vpcs, group_view,
    list_associations, references,
};
pub use quota::{group_weight, members, weight};
pub use refusal::{Attachment, Field, Kind, Network, Quota, Refusal};
pub use replace::ReplaceState;
pub use replace_tests::{demanded_tests, resolved};
pub use rollback::number as change_number;
pub use rules::{Identity, RevokeMatching};
pub use sg_api_types::{
    AccessKeyView, Apply, Authorize, ChangeMembers, Changed, CheckPacket, Checked, CloneGroup, Cloned,
    CommonCheck, Concerned, CreateAccessKey, CreateGroup, CreateList, CreateVpc, DeleteAccessKey,
    DeleteGroups, DeleteLists, DeleteVpc, DeviceField, Difference, DirectedRule, Duplicates, Evaluated,
    Finding, FindingKind, GroupQuery, GroupTemplate, GroupView, Happens, ImportReport, ImportRow, Imported,
    InstanceView, Join, LARGEST_PAGE, LabelChange, Leave, LeftOut, ListView, ListedTest, ModifyGroup,
    ModifyList, ModifyNic, ModifyQuotas, ModifyRule, ModifyVpc, Move, MoveGroup, Moved, NewAccessKey,
    NewLabel, NicQuery, NicView, Page, PageRequest, PendingChange, Reference, RegisterInstance, RegisterNic,
    RemoveInstances, RemoveNics, ReplaceTests, Replaced, RestoreRules, Restored, Revoke, Rollback,
    RolledBack, RuleQuery, Sameness, SetGroups, Severity,
};
pub use sg_guard::{Connection, NoConnection};
pub use state::State;
pub use summary::{summarise, summary_of};
pub use tags::{ChangeTags, Removed};
pub use transfer::{ImportRules, RuleFile, RuleRow, export_rules};
pub use tx::{Insists, Tx};

use sg_agent::{AgentError, Confirm, Enforcement, Filtered, PolicyInForce, Settle, Standing};
use sg_audit::{Api, Changes, Entry, Ticket, Trail, Who};
use sg_store::{Store, StoreError};
use tx::Mark;
use writer::{Job, Work, Writer};

/// A change of the state.
pub trait Operation: Send + 'static {
    type Output: Send + 'static;

    /// Applies the operation. It may be called again on another state, if the first could not be enforced.
    ///
    /// # Errors
    /// Why the operation is refused. A refused operation changes nothing.
    fn run(&self, tx: &mut Tx) -> Result<Self::Output, Refusal>;
}

/// Runs an operation, checks the state afterwards, and asks what is demanded of it. If it is refused, the caller must discard its changes.
fn perform<O: Operation>(operation: &O, tx: &mut Tx) -> Result<O::Output, Refusal> {
    let mark = tx.mark();
    let output = perform_since(&mark, operation, tx)?;
    demands::check(&mark.state, tx)?;
    Ok(output)
}

fn perform_since<O: Operation>(mark: &Mark, operation: &O, tx: &mut Tx) -> Result<O::Output, Refusal> {
    let output = operation.run(tx)?;
    twins::check_changed(&mark.state, tx, tx.changes_since(mark))?;
    Ok(output)
}

/// What an operation returned, and its change if that is to be confirmed.
type Tried<T> = Result<(T, Option<PendingChange>), Refusal>;

/// A state, and the changes that led to it.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The state.
    pub state: Arc<State>,
    /// The changes.
    pub history: History,
}

impl Committed {
    fn of(tx: Tx) -> Self {
        let (state, history) = tx.into_parts();
        Self { state: Arc::new(state), history }
    }
}

/// A handle to the service. Clones share the service.
#[derive(Clone)]
pub struct Service {
    queue: mpsc::Sender<Work>,
    committed: Arc<ArcSwap<Committed>>,
    filtered: Filtered,
    policy: PolicyInForce,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Loads the store, puts its content in force, and starts the writer, which ends when the last handle is dropped.
    ///
    /// # Errors
    /// If the store cannot be read, or its content cannot be put in force.
    pub fn start(
        mut store: Box<dyn Store>,
        mut enforcement: impl Enforcement + 'static,
    ) -> Result<(Self, JoinHandle<()>), StartError> {
        let state = State::new(store.load()?);
        let history = History::stored(store.history()?);
        let found = Committed { state: Arc::new(state), history };
        let (found, pending) = pending::prepare_first(&mut *store, &mut enforcement, found)?;
        if let Err(error) = enforcement.enforce() {
            tracing::error!("{error}");
        }
        let committed = Arc::new(ArcSwap::from_pointee(found));
        let (filtered, policy) = (enforcement.filtered(), enforcement.policy());
        let (queue, waiting) = mpsc::channel();
        let committed_here = Arc::clone(&committed);
        let writer =
            Writer { queue: waiting, committed: committed_here, store, enforcement, pending, settled: None };
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || writer.serve());
        let thread = thread.map_err(|source| StartError::Thread { source })?;
        Ok((Self { queue, committed, filtered, policy }, thread))
    }

    /// A snapshot of the current state, which never changes.
    #[must_use]
    pub fn snapshot(&self) -> Arc<State> {
        Arc::clone(&self.committed.load().state)
    }

    /// The devices of this host as the agent has them, without waiting for it.
    #[must_use]
    pub fn devices(&self) -> HostDevices {
        HostDevices::of((self.policy)())
    }

    /// The current state, with the changes that led to it.
    #[must_use]
    pub fn committed(&self) -> Arc<Committed> {
        self.committed.load_full()
    }

    fn begin(&self) -> Tx {
        let Committed { state, history } = &**self.committed.load();
        Tx::new(State::clone(state), Timestamp::now()).after(history.clone())
    }

    /// The result that an operation would have: it runs on a copy that is dropped. Whether it could be enforced is not checked.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn try_out<O: Operation>(&self, operation: &O) -> Result<O::Output, Refusal> {
        perform(operation, &mut self.begin().on(self.filtered.clone()))
    }

    /// The state that there would be after an operation, whatever [`Self::try_out`] says about what is filtered.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn would_be<O: Operation>(&self, operation: &O) -> Result<(O::Output, State), Refusal> {
        let mut tx = self.begin();
        // It is only looked at.
        tx.insist(Insists { force: true, skip_tests: true });
        let output = perform(operation, &mut tx)?;
        Ok((output, tx.into_state()))
    }

    /// Runs an operation that no client requested, and that is not in the audit trail.
    ///
    /// # Errors
    /// Why it was refused, or why it is not in force.
    pub async fn submit<O: Operation>(&self, operation: O) -> Result<O::Output, Refusal> {
        let nowhere = Entry::new(Api::Sgd, "", Who::default(), "");
        self.submit_with(Ticket::new(Trail::none(), nowhere), operation).await
    }

    /// Runs an operation. Returns when the change is stored and in force on this host, and turned in with `ticket`; the same for a
    /// refusal. What becomes of the operation is in the audit trail even if nobody waits for this any more.
    ///
    /// # Errors
    /// Why it was refused, or why it is not in force.
    pub async fn submit_with<O: Operation>(
        &self,
        ticket: Ticket,
        operation: O,
    ) -> Result<O::Output, Refusal> {
        self.submit_until(ticket, operation, None).await.map(|(output, _)| output)
    }

    /// As [`Self::submit_with`]. With `confirm`, the change is in force until it is confirmed, and stored with what takes it back; it is
    /// returned, too, unless nothing was changed.
    ///
    /// # Errors
    /// As there, and if another change is to be confirmed.
    pub async fn submit_until<O: Operation>(
        &self,
        ticket: Ticket,
        operation: O,
        confirm: Option<Confirm>,
    ) -> Tried<O::Output> {
        let (reply, result) = oneshot::channel();
        let (output, changes, number) = (None, Changes::default(), None);
        let task = Task { operation, output, changes, number, confirm, ticket, reply };
        self.queue.send(Work::Run(Box::new(task))).map_err(|_| Refusal::Ending)?;
        let result = result.await.unwrap_or(Err(Refusal::Ending));
        // The writer and the agent serve many requests at once, and log without the id of one. This line is in its span.
        if let Err(refusal @ (Refusal::NotStored { .. } | Refusal::NotYetInForce { .. })) = &result {
            tracing::error!("{refusal}");
        }
        result
    }

    /// Confirms, cancels or extends the change that is to be confirmed, or the one with this id. Returns when packets are judged by
    /// what it says, and the store agrees. Blocks.
    ///
    /// # Errors
    /// If nothing is to be confirmed, or another change is; and if the outcome could not be stored.
    pub fn settle(&self, id: Option<u32>, how: Settle) -> Result<Standing, Refusal> {
        let (reply, result) = oneshot::channel();
        self.queue.send(Work::Settle { id, how, reply }).map_err(|_| Refusal::Ending)?;
        result.blocking_recv().unwrap_or(Err(Refusal::Ending))
    }
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored records do not form a policy.
    #[error("what is stored cannot be put in force: {0}")]
    Project(#[from] ProjectError),
    /// The agent refuses the stored policy.
    #[error("what is stored cannot be put in force: {source}")]
    Unenforceable {
        /// The agent's error.
        source: AgentError,
    },
    /// The writer thread could not be started.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// The error of the system.
        source: std::io::Error,
    },
}

/// An operation in the queue of the writer.
struct Task<O: Operation> {
    operation: O,
    output: Option<Result<O::Output, Refusal>>,
    /// What it changed.
    changes: Changes,
    /// Its number in the history, if it changed the policy.
    number: Option<u64>,
    /// How that is to be confirmed, if it is.
    confirm: Option<Confirm>,
    ticket: Ticket,
    reply: oneshot::Sender<Tried<O::Output>>,
}

impl<O: Operation> Job for Task<O> {
    fn run(&mut self, tx: &mut Tx) -> bool {
        // If the operation panics, this stays: the writer continues, and the caller learns that nothing was done.
        self.output = None;
        let mark = tx.mark();
        let output = perform_since(&mark, &self.operation, tx);
        let done = output.is_ok();
        (self.changes, self.number) = (Changes::default(), None);
        if done {
            let (changes, undo) = recorded::changes(&mark, tx);
            let entry = self.ticket.entry();
            self.number = entry.and_then(|entry| tx.remember(&undo, entry, &changes));
            self.changes = changes;
        }
        self.output = Some(output);
        done
    }

    fn confirm(&self) -> Option<Confirm> {
        self.confirm.clone()
    }

    fn reply(self: Box<Self>, fate: Result<Option<PendingChange>, Refusal>) {
        let Self { operation: _, output, changes, number, confirm: _, ticket, reply } = *self;
        let number = number
            .filter(|_| !matches!(&fate, Err(refusal) if !matches!(refusal, Refusal::NotYetInForce { .. })));
        let ticket = ticket.numbered(number);
        let broken = || Err(Refusal::NotStored { reason: "a mistake in sgd; please report it".to_owned() });
        let result = fate.and_then(|pending| output.unwrap_or_else(broken).map(|output| (output, pending)));
        let refused = result.as_ref().err().map(|refusal| [refusal.code(), refusal.to_string()]);
        let is_stored = matches!(&result, Err(Refusal::NotYetInForce { .. }));
        let then = move || {
            // If the client is gone, nobody receives this.
            let _ = reply.send(result);
        };
        match refused {
            None => ticket.done(changes, then),
            Some(refused) if is_stored => ticket.not_in_force(refused, changes, then),
            Some(refused) => ticket.refused_and(refused, then),
        }
    }
}
