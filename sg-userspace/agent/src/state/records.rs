//! What is in force for each NIC, by slot: the index of a NIC in the maps, unchanged as long as the NIC is in the policy. It must
//! never know what is wanted. `apply` updates the records, `plan` compares with them, and the catalog is written from them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Values};

use super::in_force::PublishedImage;
use crate::{error::AgentError, host::catalog::NicRecord};

/// A NIC, and what only this process knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NicState {
    /// Its catalog record.
    pub(crate) nic: NicRecord,
    /// The fingerprint of the image in force; `None` if this process published none.
    pub(crate) published: Option<u64>,
    /// Whether this process attached its own program.
    pub(crate) current: bool,
    /// The image in force, if this process published it.
    pub(crate) image: Option<PublishedImage>,
}

/// As an earlier agent left it.
impl From<NicRecord> for NicState {
    fn from(nic: NicRecord) -> Self {
        Self { nic, published: None, current: false, image: None }
    }
}

/// The records of NICs, by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    by_slot: BTreeMap<u16, NicState>,
}

impl FromIterator<NicState> for Records {
    fn from_iter<T: IntoIterator<Item = NicState>>(records: T) -> Self {
        Self { by_slot: records.into_iter().map(|record| (record.nic.slot, record)).collect() }
    }
}

impl Records {
    pub(crate) fn iter(&self) -> Values<'_, u16, NicState> {
        self.by_slot.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// The record of a slot, if it belongs to `device`.
    pub(crate) fn of(&self, slot: u16, device: &str) -> Option<&NicState> {
        self.by_slot.get(&slot).filter(|record| record.nic.device == device)
    }

    pub(crate) fn at(&mut self, slot: u16) -> Option<&mut NicState> {
        self.by_slot.get_mut(&slot)
    }

    /// Enters a NIC that has nothing in force yet.
    pub(crate) fn enter(&mut self, nic: NicRecord) {
        self.by_slot.insert(nic.slot, nic.into());
    }

    pub(crate) fn remove(&mut self, slot: u16) {
        self.by_slot.remove(&slot);
    }

    /// The NICs that a program is attached to.
    pub(crate) fn hooked(&self) -> impl Iterator<Item = &NicRecord> {
        self.iter().map(|record| &record.nic).filter(|nic| nic.ifindex.is_some())
    }

    /// Updates the records with the properties that the policy gives its NICs, `fresh`, and returns the catalog's records: the
    /// NICs in the order of the policy, by the `places` of their slots, then those that are not in it.
    pub(crate) fn describe(&mut self, fresh: &[NicRecord], places: &HashMap<u16, usize>) -> Vec<NicRecord> {
        for new in fresh {
            let Some(NicState { nic, .. }) = self.by_slot.get_mut(&new.slot) else { continue };
            if nic.device == new.device {
                let NicRecord { ifindex, hook, generation, .. } = *nic;
                *nic = NicRecord { ifindex, hook, generation, ..new.clone() };
            }
        }
        let mut records: Vec<NicRecord> = self.iter().map(|record| record.nic.clone()).collect();
        records.sort_by_key(|nic| places.get(&nic.slot).copied().unwrap_or(usize::MAX));
        records
    }

    /// Assigns a slot to each of `wanted`, in the same order. Existing NICs keep theirs. The slot of a NIC that leaves is reused
    /// only if there is no other: it must be cleared first. With `goes_back` it is not reused, because the NIC may come back.
    pub(crate) fn assign_slots(
        &self,
        wanted: &[&str],
        limit: u32,
        goes_back: bool,
    ) -> Result<Vec<u16>, AgentError> {
        let staying: HashSet<&str> = wanted.iter().copied().collect();
        let (mut kept, mut leaving) = (HashMap::new(), BTreeSet::new());
        for NicState { nic, .. } in self.iter() {
            if staying.contains(nic.device.as_str()) {
                kept.insert(nic.device.as_str(), nic.slot);
            } else {
                leaving.insert(nic.slot);
            }
        }
        let taken: BTreeSet<u16> = kept.values().copied().collect();
        let limit = limit.min(1 << 16);
        let slots = || (0..limit).map(|slot| slot as u16).filter(|slot| !taken.contains(slot));
        let unused = slots().filter(|slot| !leaving.contains(slot));
        let mut free = unused.chain(slots().filter(|slot| leaving.contains(slot) && !goes_back));
        wanted
            .iter()
            .map(|device| {
                kept.get(device)
                    .copied()
                    .or_else(|| free.next())
                    .ok_or(AgentError::TooManyNics { needed: wanted.len(), limit })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::record;

    #[test]
    fn a_nic_keeps_its_slot_and_a_new_one_takes_an_unused_one() {
        let actual = Records::from_iter([record("a", 0, None), record("b", 1, None), record("c", 2, None)]);
        assert_eq!(actual.assign_slots(&["c", "new", "a"], 8, false).unwrap(), [2, 3, 0]);
    }

    #[test]
    fn a_leaving_nic_makes_room_where_there_is_no_other() {
        let actual = Records::from_iter([record("a", 0, None), record("b", 1, None)]);
        assert_eq!(actual.assign_slots(&["b", "new"], 2, false).unwrap(), [1, 0]);
        assert_eq!(actual.assign_slots(&["x", "y"], 2, false).unwrap(), [0, 1]);
        assert!(actual.assign_slots(&["b", "new"], 2, true).is_err(), "it may come back");
    }

    #[test]
    fn more_nics_than_slots_are_refused() {
        let refused = Records::default().assign_slots(&["a", "b", "c"], 2, false).unwrap_err();
        assert!(matches!(refused, AgentError::TooManyNics { needed: 3, limit: 2 }));
    }
}
