//! What is in force for each NIC, by slot. It must never know what is wanted. `reconcile` updates it, the catalog is written from
//! it.

use std::collections::{BTreeMap, btree_map::Values};

use super::{NicRecord, prepare::Prepared};

/// The records of NICs, by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    by_slot: BTreeMap<u16, NicRecord>,
}

impl From<Vec<NicRecord>> for Records {
    fn from(records: Vec<NicRecord>) -> Self {
        Self { by_slot: records.into_iter().map(|record| (record.slot, record)).collect() }
    }
}

impl Records {
    pub(super) fn iter(&self) -> Values<'_, u16, NicRecord> {
        self.by_slot.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// The record of a slot, if it belongs to `device`.
    pub(super) fn of(&self, slot: u16, device: &str) -> Option<&NicRecord> {
        self.by_slot.get(&slot).filter(|record| record.device == device)
    }

    pub(super) fn at(&mut self, slot: u16) -> Option<&mut NicRecord> {
        self.by_slot.get_mut(&slot)
    }

    pub(super) fn enter(&mut self, record: NicRecord) {
        self.by_slot.insert(record.slot, record);
    }

    pub(super) fn remove(&mut self, slot: u16) {
        self.by_slot.remove(&slot);
    }

    /// Updates the records with the policy's properties of each NIC, and returns the catalog's records: the NICs in the order of
    /// the policy, then those that are not in it, without state that only this process has.
    pub(super) fn describe(&mut self, prepared: &Prepared) -> Vec<NicRecord> {
        for new in &prepared.fresh {
            let Some(record) = self.by_slot.get_mut(&new.slot).filter(|old| old.device == new.device) else {
                continue;
            };
            let NicRecord { ifindex, hook, generation, published, current, .. } = *record;
            *record = NicRecord { ifindex, hook, generation, published, current, ..new.clone() };
        }
        let known = self.by_slot.values().cloned();
        let mut records: Vec<NicRecord> =
            known.map(|record| NicRecord { published: None, current: false, ..record }).collect();
        records.sort_by_key(|record| prepared.places.get(&record.slot).copied().unwrap_or(usize::MAX));
        records
    }
}
