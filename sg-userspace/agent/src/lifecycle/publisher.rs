//! Publishes what is in force to readers outside the agent's thread, after every change, refusal and failure. Readers never make
//! the agent wait. It must never look at a policy. Called by `session`.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    error::AgentError,
    host::catalog::Catalog,
    state::{Applied, Cause, InForce, Origin, Refused, in_force::Enforcing},
};

/// Reads what is in force, and waits for changes of it. Its sender is gone once the agent has ended.
pub type InForceReader = watch::Receiver<Arc<InForce>>;

/// The longest text of a refusal that is kept. That of a document quotes lines of it.
const LONGEST: usize = 4096;

/// Where readers look.
#[derive(Debug)]
pub(crate) struct Publisher {
    sender: watch::Sender<Arc<InForce>>,
    /// The agent's revision that readers see.
    revision: u64,
}

impl Publisher {
    /// Publishes what an agent found as it started.
    pub(crate) fn new(found: Enforcing, revision: u64, origin: Origin) -> Self {
        let first = with(InForce::new(Arc::clone(&found.catalog), origin), found);
        Self { sender: watch::Sender::new(Arc::new(first)), revision }
    }

    /// The catalog that readers see.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.sender.borrow().catalog)
    }

    pub(crate) fn reader(&self) -> InForceReader {
        self.sender.subscribe()
    }

    /// The document was read: whose it was.
    pub(crate) fn read(&self, path: &Path, owner: Option<u32>) {
        let origin = Origin::Document { path: path.to_owned(), owner };
        if self.sender.borrow().origin != origin {
            self.change(|in_force| in_force.origin = origin);
        }
    }

    /// A policy was refused.
    pub(crate) fn refused(&self, error: &AgentError) {
        let mut reason = error.to_string();
        if reason.len() > LONGEST {
            reason.truncate(reason.floor_char_boundary(LONGEST));
            reason.push('…');
        }
        self.change(|in_force| in_force.refused = Some(Refused { at: Timestamp::now(), reason }));
    }

    /// Publishes what is in force if the agent attempted anything since. `cause` is that of a change; `delayed` are the complaints
    /// that stay.
    pub(crate) fn publish(
        &mut self,
        found: impl FnOnce() -> Enforcing,
        revision: u64,
        cause: Option<Cause>,
        delayed: &[String],
    ) {
        let attempted = std::mem::replace(&mut self.revision, revision) != revision;
        if !attempted && *self.sender.borrow().delayed == *delayed {
            return;
        }
        let before = self.sender.borrow().clone();
        let mut next = InForce::clone(&before);
        if attempted {
            next = with(next, found());
        }
        if *next.delayed != *delayed {
            next.delayed = delayed.into();
        }
        if let (Some(cause), true) = (cause, attempted) {
            let cause = if before.applied.is_none() { Cause::Start } else { cause };
            next.applied = Some(Applied { at: Timestamp::now(), cause });
            if matches!(cause, Cause::Start | Cause::Policy | Cause::Signal) {
                next.refused = None;
            }
        }
        self.sender.send_replace(Arc::new(next));
    }

    fn change(&self, change: impl FnOnce(&mut InForce)) {
        self.sender.send_modify(|in_force| change(Arc::make_mut(in_force)));
    }
}

fn with(before: InForce, found: Enforcing) -> InForce {
    let Enforcing { catalog, policy, images, unreset, candidate } = found;
    InForce { catalog, policy, images, unreset, candidate, ..before }
}
