//! An in-memory store and an in-memory enforcement, on which the tests of the service, of the APIs and of `sgctl` run a service.
//!
//! No program contains them: they are compiled for tests, and for crates that enable the feature `in-memory` in their tests.

#![expect(clippy::unwrap_used, reason = "a lock is poisoned only when a test has failed already")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use sg_agent::{
    AgentError, Confirm, Enforced, Enforcement, Filtered, PolicyInForce, Settle, Standing, Tried,
};
use sg_model::{DeviceFacts, Policy};
use sg_store::{Change, HistoryEdit, Key, Pending, PendingUpdate, Record, Store, StoreError, StoredHistory};

/// A store that a second handle can inspect.
#[derive(Clone, Debug, Default)]
pub struct Remembers(pub Arc<Mutex<BTreeMap<Key, Record>>>, pub Arc<Mutex<Kept>>);

/// What else a store keeps, and whether it refuses to.
#[derive(Debug, Default)]
pub struct Kept {
    /// The history of changes.
    pub history: BTreeMap<u64, Vec<u8>>,
    /// The change that is to be confirmed.
    pub pending: Option<Pending>,
    /// Commits are refused.
    pub is_full: bool,
}

impl Store for Remembers {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(self.0.lock().unwrap().values().cloned().collect())
    }

    fn history(&mut self) -> Result<StoredHistory, StoreError> {
        let kept = self.1.lock().unwrap();
        let entries = kept.history.iter().map(|(number, text)| (*number, text.clone())).collect();
        Ok(StoredHistory { entries, complete_from: 0 })
    }

    fn commit_with(&mut self, changes: &[Change], history: &HistoryEdit) -> Result<(), StoreError> {
        let mut kept = self.1.lock().unwrap();
        if kept.is_full {
            let (doing, path) = ("write", "memory".into());
            return Err(StoreError::Database { doing, path, reason: "it is full".to_owned() });
        }
        if !history.put.is_empty() {
            kept.history.extend(history.put.iter().cloned());
            kept.history.retain(|number, _| *number >= history.oldest);
        }
        let mut records = self.0.lock().unwrap();
        for change in changes {
            match change {
                Change::Put(record) => drop(records.insert(record.key(), record.clone())),
                Change::Delete(key) => drop(records.remove(key)),
            }
        }
        Ok(())
    }

    fn pending(&mut self) -> Result<Option<Pending>, StoreError> {
        Ok(self.1.lock().unwrap().pending.clone())
    }

    fn commit_pending(
        &mut self,
        changes: &[Change],
        history: &HistoryEdit,
        update: PendingUpdate<'_>,
    ) -> Result<(), StoreError> {
        self.commit_with(changes, history)?;
        let pending = &mut self.1.lock().unwrap().pending;
        match update {
            PendingUpdate::Begin(begun) => *pending = Some(begun.clone()),
            PendingUpdate::Extend(deadline) => {
                if let Some(pending) = pending {
                    pending.deadline = deadline;
                }
            }
            PendingUpdate::End => *pending = None,
        }
        Ok(())
    }
}

/// An enforcement that records every policy, and refuses policies with a rule on port 666. Changes that are to be confirmed are over
/// when a test says so.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// The enforced policies, in order.
    pub policies: Arc<Mutex<Vec<Policy>>>,
    /// The devices of the host.
    pub devices: Arc<Mutex<BTreeMap<String, DeviceFacts>>>,
    /// What clones have in common, as over a restart.
    pub changes: Arc<Mutex<Changes>>,
    prepared: Option<Policy>,
}

/// The changes that were to be confirmed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Where one stands, and what goes back to.
    pub last: Option<(Standing, Policy)>,
    /// The policy before the change that this process continues.
    pub resumed: Option<Policy>,
}

impl InForce {
    /// The deadline of the change that is to be confirmed passes.
    ///
    /// # Panics
    /// If a test has failed already.
    pub fn expire(&self) {
        let mut changes = self.changes.lock().unwrap();
        if let Some((standing @ Standing::Pending { .. }, before)) = &mut changes.last {
            let Standing::Pending { id, .. } = *standing else { return };
            *standing = Standing::Reverted { id };
            self.policies.lock().unwrap().push(before.clone());
        }
    }
}

/// The time in so many seconds.
fn in_seconds(seconds: u32) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds.into())
}

impl Enforcement for InForce {
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        if format!("{policy:?}").contains("first: 666") {
            return Err(AgentError::Policy { text: "port 666 is too much for this kernel".to_owned() });
        }
        self.prepared = Some(policy);
        Ok(())
    }

    fn filtered(&self) -> Filtered {
        let policies = self.policies.lock().unwrap();
        let nics = policies.last().into_iter().flat_map(Policy::nics);
        Filtered::These(Arc::new(nics.map(|nic| nic.device.clone()).collect()))
    }

    fn policy(&self) -> PolicyInForce {
        let (policies, devices) = (Arc::clone(&self.policies), Arc::clone(&self.devices));
        Arc::new(move || {
            let (mut policy, devices) = (policies.lock().unwrap().last()?.clone(), devices.lock().unwrap());
            policy.set_device_facts(|device| devices.get(device).cloned().unwrap_or_default());
            Some(Arc::new(policy))
        })
    }

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        self.policies.lock().unwrap().extend(self.prepared.take());
        Ok(Enforced::default())
    }

    fn try_until(&mut self, policy: Policy, confirm: Confirm) -> Result<Tried, AgentError> {
        let before = self.policies.lock().unwrap().last().cloned().unwrap();
        self.prepare(policy)?;
        self.enforce()?;
        let mut changes = self.changes.lock().unwrap();
        let id = match &changes.last {
            None => 1,
            Some((Standing::Confirmed { id } | Standing::Reverted { id }, _)) => id + 1,
            Some((Standing::Pending { id, deadline }, _)) => {
                let (id, owner, deadline) = (*id, String::new(), *deadline);
                return Err(AgentError::PendingConfirmation { id, owner, deadline });
            }
        };
        let deadline = in_seconds(confirm.seconds);
        changes.last = Some((Standing::Pending { id, deadline }, before));
        Ok(Tried { id, deadline, delayed: None })
    }

    fn settle(&mut self, asked: Option<u32>, how: Settle) -> Result<Standing, AgentError> {
        let mut changes = self.changes.lock().unwrap();
        let Some((standing @ Standing::Pending { .. }, before)) = &mut changes.last else {
            return Err(AgentError::NothingPending);
        };
        let Standing::Pending { id, .. } = *standing else { return Err(AgentError::NothingPending) };
        if let Some(asked) = asked.filter(|asked| *asked != id) {
            return Err(AgentError::OtherPending { asked, id });
        }
        match how {
            Settle::Look => {}
            Settle::Confirm => *standing = Standing::Confirmed { id },
            Settle::Cancel => {
                *standing = Standing::Reverted { id };
                self.policies.lock().unwrap().push(before.clone());
            }
            Settle::Extend { seconds } => {
                *standing = Standing::Pending { id, deadline: in_seconds(seconds) };
            }
        }
        Ok(*standing)
    }

    fn standing(&mut self, id: u32) -> Result<Standing, AgentError> {
        match &self.changes.lock().unwrap().last {
            Some((
                standing @ (Standing::Pending { id: last, .. }
                | Standing::Confirmed { id: last }
                | Standing::Reverted { id: last }),
                _,
            )) if *last == id => Ok(*standing),
            _ => Ok(Standing::Reverted { id }),
        }
    }

    fn resume(&mut self, policy: Policy, before: Policy) -> Result<(), AgentError> {
        self.changes.lock().unwrap().resumed = Some(before);
        self.prepare(policy)
    }
}
