//! An in-memory store and an in-memory enforcement, on which the tests of the service, of the APIs and of `sgctl` run a service.
//!
//! No program contains them: they are compiled for tests, and for crates that enable the feature `in-memory` in their tests.

#![expect(clippy::unwrap_used, reason = "a lock is poisoned only when a test has failed already")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use sg_agent::{AgentError, Enforced, Enforcement, Filtered};
use sg_model::Policy;
use sg_store::{Change, HistoryEdit, Key, Record, Store, StoreError, StoredHistory};

/// A store that a second handle can inspect.
#[derive(Clone, Debug, Default)]
pub struct Remembers(pub Arc<Mutex<BTreeMap<Key, Record>>>, pub Arc<Mutex<BTreeMap<u64, Vec<u8>>>>);

impl Store for Remembers {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(self.0.lock().unwrap().values().cloned().collect())
    }

    fn history(&mut self) -> Result<StoredHistory, StoreError> {
        let kept = self.1.lock().unwrap();
        let entries = kept.iter().map(|(number, text)| (*number, text.clone())).collect();
        Ok(StoredHistory { entries, complete_from: 0 })
    }

    fn commit_with(&mut self, changes: &[Change], history: &HistoryEdit) -> Result<(), StoreError> {
        if !history.put.is_empty() {
            let mut kept = self.1.lock().unwrap();
            kept.extend(history.put.iter().cloned());
            kept.retain(|number, _| *number >= history.oldest);
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
}

/// An enforcement that records every policy, and refuses policies with a rule on port 666.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// The enforced policies, in order.
    pub policies: Arc<Mutex<Vec<Policy>>>,
    prepared: Option<Policy>,
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

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        self.policies.lock().unwrap().extend(self.prepared.take());
        Ok(Enforced::default())
    }
}
