//! Applies the lists of a document, of each kind the same way.
//!
//! It must never delete a list that a rule names. Called by `steps`.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use sg_api_types::Happens;
use sg_records::{EntryList, Id as _};

use super::plan::{Plan, sets};
use crate::{Refusal, StoredEntry};

impl Plan<'_> {
    /// Makes lists those of the document, and returns their ids in its order. `values` reads their entries in the document.
    pub(super) fn lists<'w, E: StoredEntry, D, I: Iterator<Item = E::Value>>(
        &mut self,
        wanted: &'w [(String, D)],
        values: impl Fn(&'w D) -> I,
    ) -> Vec<E::Id> {
        wanted.iter().map(|(name, entries)| self.list::<E>(name, values(entries))).collect()
    }

    fn list<E: StoredEntry>(&mut self, name: &str, values: impl Iterator<Item = E::Value>) -> E::Id {
        let mut seen = HashSet::new();
        let values = values.filter(|value| seen.insert(value.clone()));
        let entries: Vec<E> = values.map(|value| E::new(value, String::new())).collect();
        let mut all = E::lists(self.tx).values();
        let there = all.find(|list| self.owns(&list.label) && list.label.name == name);
        let size = u32::try_from(entries.len()).unwrap_or(u32::MAX).max(1);
        let (action, list, detail) = match there.map(|list| EntryList::clone(list)) {
            Some(list) if list.entries == entries => return list.id,
            Some(list) => {
                let texts = |entries: &[E]| -> BTreeSet<String> {
                    entries.iter().map(|entry| E::show(entry.value())).collect()
                };
                let detail = sets(&texts(&list.entries), &texts(&entries));
                let max_entries = list.max_entries.max(size);
                (Happens::Change, EntryList { max_entries, entries, ..list }, detail)
            }
            None => {
                let detail = vec![format!("{} entries", entries.len())];
                let list = EntryList {
                    id: E::Id::random(),
                    region: self.region.clone(),
                    label: self.label(name, ""),
                    extra: E::Extra::default(),
                    max_entries: size,
                    entries,
                };
                (Happens::Add, list, detail)
            }
        };
        let id = list.id.clone();
        self.tx.put(E::record(list));
        self.note(action, E::KIND, id.as_ref(), name, detail);
        id
    }

    /// Deletes the lists of the document that it no longer has.
    pub(super) fn remove_lists<E: StoredEntry>(&mut self, kept: &[E::Id]) -> Result<(), Refusal> {
        let gone = |list: &&Arc<EntryList<E>>| self.owns(&list.label) && !kept.contains(&list.id);
        let gone: Vec<_> = E::lists(self.tx).values().filter(gone).cloned().collect();
        for list in gone {
            let by: Vec<String> =
                self.tx.rules_naming(&list.id).map(|rule| format!("rule {}", rule.id)).collect();
            if !by.is_empty() {
                return Err(Refusal::InUse { kind: E::KIND, id: list.id.to_string(), by });
            }
            self.tx.delete(list.id.clone().into());
            self.note(Happens::Remove, E::KIND, list.id.as_ref(), &list.label.name, Vec::new());
        }
        Ok(())
    }
}
