//! The only thread that changes the state. It takes waiting operations in a batch: each runs on the state that the previous one
//! left, all are committed to the store at once and put in force at once, and then all responses are sent. Many small operations
//! cost as much as one, and a response means "stored, and in force on this host".
//!
//! ```text
//! queue ─► run each on a copy ─► demands ─► agent: prepare ─► store: commit ─► agent: enforce ─► responses
//!          refused: dropped      tests hold  may refuse        durable          no packet meets the old policy
//! ```
//!
//! A change that is to be confirmed runs alone, see [`pending`](super::pending).
//!
//! It must never know what an operation does. `Service` starts it.

use std::{
    mem::take,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sg_agent::{AgentError, Confirm, Enforcement, Settle, Standing};
use sg_api_types::PendingChange;
use sg_store::{Store, StoreError};
use tokio::sync::oneshot;

use super::{
    Committed, Refusal, State, Tx, demands,
    pending::{Unconfirmed, only_responses},
    project,
    tx::Insists,
};

/// The maximum number of operations in one batch.
const BATCH: usize = 1024;

/// What is in the queue.
pub(super) enum Work {
    /// An operation.
    Run(Box<dyn Job>),
    /// What is to be done to the change that is to be confirmed, or to the one with this id.
    Settle { id: Option<u32>, how: Settle, reply: oneshot::Sender<Result<Standing, Refusal>> },
}

/// An operation in the queue.
pub(super) trait Job: Send {
    /// Applies the operation to `tx` and returns whether it succeeded. If not, its changes are rolled back. May be called again
    /// on another state.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// How its change is to be confirmed; `None`: it need not be.
    fn confirm(&self) -> Option<Confirm>;
    /// Sends the response: the result of `run`, with the change if it is to be confirmed, or the error of a later step.
    fn reply(self: Box<Self>, fate: Result<Option<PendingChange>, Refusal>);
}

/// The writer, with its queue, state, store and enforcement.
pub(super) struct Writer<E> {
    pub(super) queue: Receiver<Work>,
    pub(super) committed: Arc<ArcSwap<Committed>>,
    pub(super) store: Box<dyn Store>,
    pub(super) enforcement: E,
    /// The change that is to be confirmed.
    pub(super) pending: Option<Unconfirmed>,
    /// What became of the last one.
    pub(super) settled: Option<Standing>,
}

impl<E: Enforcement> Writer<E> {
    /// Serves the queue until its last sender is dropped.
    pub(super) fn serve(mut self) {
        while let Some(first) = self.next() {
            let (mut jobs, mut next) = (Vec::new(), Some(first));
            while let Some(work) = next {
                match work {
                    Work::Run(job) if job.confirm().is_none() => jobs.push(job),
                    Work::Run(job) => {
                        self.together(take(&mut jobs));
                        self.alone(job);
                    }
                    Work::Settle { id, how, reply } => {
                        self.together(take(&mut jobs));
                        // If the client is gone, nobody receives this.
                        let _ = reply.send(self.settle(id, how));
                    }
                }
                next = if jobs.len() < BATCH { self.queue.try_recv().ok() } else { None };
            }
            self.together(jobs);
        }
    }

    /// The next in the queue; `None`: nobody is left. Meanwhile, it looks what becomes of a change that is to be confirmed.
    fn next(&mut self) -> Option<Work> {
        loop {
            let Some(due) = self.pending.as_ref().map(|pending| pending.due) else {
                return self.queue.recv().ok();
            };
            match self.queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(work) => return Some(work),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    /// Runs an operation whose change is to be confirmed.
    fn alone(&mut self, mut job: Box<dyn Job>) {
        self.look();
        let mut tx = self.begin();
        let fate = match job.confirm() {
            Some(confirm) if run(&mut *job, &mut tx) => self.try_until(tx, confirm),
            // It is refused, and says why.
            _ => Ok(None),
        };
        job.reply(fate);
    }

    /// Runs all of `jobs` as one batch, or one by one if they cannot be enforced together.
    fn together(&mut self, jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        self.look();
        if self.pending.is_some() && jobs.len() > 1 {
            // Those that change nothing are done.
            return jobs.into_iter().for_each(|job| self.together(vec![job]));
        }
        let mut tx = self.begin();
        let mut done = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            let mark = tx.mark();
            if run(&mut *job, &mut tx) {
                done.push(job);
            } else {
                tx.go_back(mark);
                job.reply(Ok(None));
            }
        }
        // Whoever insists, insists for one change.
        if done.len() > 1 && tx.insists() != Insists::default() {
            return done.into_iter().for_each(|job| self.together(vec![job]));
        }
        match self.apply(tx) {
            Err(Refusal::Unenforceable { .. } | Refusal::FailingTest { .. } | Refusal::LostAccess { .. })
                if done.len() > 1 =>
            {
                for job in done {
                    self.together(vec![job]);
                }
            }
            fate => done.into_iter().for_each(|job| job.reply(fate.clone().map(|()| None))),
        }
    }

    /// Stores responses to requests that changed nothing.
    pub(super) fn keep_responses(&mut self, tx: Tx) -> Result<(), Refusal> {
        let edit = tx.history().edit_since(&self.committed.load().history);
        stored(self.store.commit_with(tx.changes(), &edit))?;
        self.committed.store(Arc::new(Committed::of(tx)));
        Ok(())
    }

    fn begin(&self) -> Tx {
        let committed = self.committed.load();
        let tx = Tx::new(State::clone(&committed.state), Timestamp::now());
        tx.after(committed.history.clone()).on(self.enforcement.filtered())
    }

    fn apply(&mut self, tx: Tx) -> Result<(), Refusal> {
        if tx.changes().is_empty() {
            return Ok(());
        }
        if only_responses(tx.changes()) {
            return self.keep_responses(tx);
        }
        self.refuse_beside_pending()?;
        demands::check(&self.committed.load().state, &tx)?;
        let policy = project::policy(&tx);
        let policy = policy.map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
        self.enforcement.prepare(policy).map_err(refused)?;
        let edit = tx.history().edit_since(&self.committed.load().history);
        stored(self.store.commit_with(tx.changes(), &edit))?;
        self.committed.store(Arc::new(Committed::of(tx)));
        let not_yet = |error: AgentError| Refusal::NotYetInForce { reason: error.to_string() };
        self.enforcement.enforce().map(drop).map_err(not_yet)
    }
}

/// Why the agent refuses a change.
pub(super) fn refused(error: AgentError) -> Refusal {
    match error {
        AgentError::Stopped => Refusal::Ending,
        AgentError::PendingConfirmation { id, owner, deadline } => {
            Refusal::PendingConfirmation { id, owner, deadline }
        }
        AgentError::NothingPending => Refusal::NothingPending,
        AgentError::OtherPending { asked, id } => Refusal::OtherPending { asked, id },
        error => Refusal::Unenforceable { reason: error.to_string() },
    }
}

/// Why a change was not stored.
pub(super) fn stored(result: Result<(), StoreError>) -> Result<(), Refusal> {
    result.map_err(|error| {
        tracing::error!("{error}");
        Refusal::NotStored { reason: error.to_string() }
    })
}

/// Runs an operation. A panic in it is a bug, and must not end the service: the operation then counts as refused.
fn run(job: &mut dyn Job, tx: &mut Tx) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(tx))).unwrap_or(false)
}
