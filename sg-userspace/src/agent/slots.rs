//! Slots: the index of a NIC in the maps, unchanged as long as the NIC is in the policy. Pure; called by `reconcile`.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{AgentError, records::Records};

/// Assigns a slot to each of `wanted`, in the same order. Existing NICs keep theirs. The slot of a NIC that leaves is reused only
/// if there is no other: it must be cleared first.
pub(super) fn assign(wanted: &[&str], actual: &Records, limit: u32) -> Result<Vec<u16>, AgentError> {
    let staying: HashSet<&str> = wanted.iter().copied().collect();
    let (mut kept, mut leaving) = (HashMap::new(), BTreeSet::new());
    for nic in actual.iter() {
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
    let mut free = unused.chain(slots().filter(|slot| leaving.contains(slot)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::plan::samples::record;

    #[test]
    fn a_nic_keeps_its_slot_and_a_new_one_takes_an_unused_one() {
        let actual = Records::from(vec![record("a", 0, None), record("b", 1, None), record("c", 2, None)]);
        assert_eq!(assign(&["c", "new", "a"], &actual, 8).unwrap(), [2, 3, 0]);
    }

    #[test]
    fn a_leaving_nic_makes_room_where_there_is_no_other() {
        let actual = Records::from(vec![record("a", 0, None), record("b", 1, None)]);
        assert_eq!(assign(&["b", "new"], &actual, 2).unwrap(), [1, 0]);
        assert_eq!(assign(&["x", "y"], &actual, 2).unwrap(), [0, 1]);
    }

    #[test]
    fn more_nics_than_slots_are_refused() {
        let refused = assign(&["a", "b", "c"], &Records::default(), 2).unwrap_err();
        assert!(matches!(refused, AgentError::TooManyNics { needed: 3, limit: 2 }));
    }
}
