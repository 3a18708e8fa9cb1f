//! The only thread that changes the state. It takes waiting operations in a batch: each runs on the state that the previous one
//! left, all are committed to the store at once and put in force at once, and then all responses are sent. Many small operations
//! cost as much as one, and a response means "stored, and in force on this host".
//!
//! ```text
//! queue ─► run each on a copy ─► demands ─► agent: prepare ─► store: commit ─► agent: enforce ─► responses
//!          refused: dropped      tests hold  may refuse        durable          no packet meets the old policy
//! ```
//!
//! It must never know what an operation does. `Service` starts it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sg_agent::{AgentError, Enforcement};
use sg_store::Store;

use super::{Committed, Refusal, State, Tx, demands, project, tx::Insists};

/// The maximum number of operations in one batch.
const BATCH: usize = 1024;

/// An operation in the queue.
pub(super) trait Job: Send {
    /// Applies the operation to `tx` and returns whether it succeeded. If not, its changes are rolled back. May be called again
    /// on another state.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// Sends the response: the result of `run`, or the error of a later step.
    fn reply(self: Box<Self>, fate: Result<(), Refusal>);
}

/// The writer, with its queue, state, store and enforcement.
pub(super) struct Writer<E> {
    pub(super) queue: Receiver<Box<dyn Job>>,
    pub(super) committed: Arc<ArcSwap<Committed>>,
    pub(super) store: Box<dyn Store>,
    pub(super) enforcement: E,
}

impl<E: Enforcement> Writer<E> {
    /// Serves the queue until its last sender is dropped.
    pub(super) fn serve(mut self) {
        while let Ok(first) = self.queue.recv() {
            let mut jobs = vec![first];
            while jobs.len() < BATCH {
                match self.queue.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.together(jobs);
        }
    }

    /// Runs all of `jobs` as one batch, or one by one if they cannot be enforced together.
    fn together(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut tx = self.begin();
        let mut done = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            let mark = tx.mark();
            if run(&mut *job, &mut tx) {
                done.push(job);
            } else {
                tx.go_back(mark);
                job.reply(Ok(()));
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
            fate => done.into_iter().for_each(|job| job.reply(fate.clone())),
        }
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
        demands::check(&self.committed.load().state, &tx)?;
        let unenforceable = |reason: String| Refusal::Unenforceable { reason };
        let policy = project::policy(&tx).map_err(|error| unenforceable(error.to_string()))?;
        self.enforcement.prepare(policy).map_err(|error| match error {
            AgentError::Stopped => Refusal::Ending,
            error => unenforceable(error.to_string()),
        })?;
        let edit = tx.history().edit_since(&self.committed.load().history);
        self.store.commit_with(tx.changes(), &edit).map_err(|error| {
            tracing::error!("{error}");
            Refusal::NotStored { reason: error.to_string() }
        })?;
        let (state, history) = tx.into_parts();
        self.committed.store(Arc::new(Committed { state: Arc::new(state), history }));
        let not_yet = |error: AgentError| Refusal::NotYetInForce { reason: error.to_string() };
        self.enforcement.enforce().map(drop).map_err(not_yet)
    }
}

/// Runs an operation. A panic in it is a bug, and must not end the service: the operation then counts as refused.
fn run(job: &mut dyn Job, tx: &mut Tx) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(tx))).unwrap_or(false)
}
