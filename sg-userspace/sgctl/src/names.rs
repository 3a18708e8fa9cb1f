//! The names of objects that others refer to by id: a group of a NIC, the prefix list of a rule.
//!
//! Tables show names; wide ones add the objects' own ids, and programs get ids only. Two objects may have the same name, so whoever
//! has to be sure reads the ids.
//!
//! It must never fetch a name: `session` does. Tables, arguments and commands call it.

use std::collections::{BTreeMap, BTreeSet};

use sg_records::Match;

/// Ids whose names are needed, by their collection.
#[derive(Debug, Default)]
pub(crate) struct Wanted(BTreeMap<&'static str, BTreeSet<String>>);

impl Wanted {
    pub(crate) fn ids(&mut self, collection: &'static str, ids: impl IntoIterator<Item = impl ToString>) {
        self.0.entry(collection).or_default().extend(ids.into_iter().map(|id| id.to_string()));
    }

    /// The ids in each collection.
    pub(crate) fn collections(&self) -> impl Iterator<Item = (&'static str, Vec<&str>)> {
        self.0.iter().map(|(collection, ids)| (*collection, ids.iter().map(String::as_str).collect()))
    }

    /// What a rule names.
    pub(crate) fn matches(&mut self, matches: &Match) {
        for named in matches.named() {
            match named {
                sg_model::Named::Group(group) => self.ids("groups", [group]),
                sg_model::Named::PrefixList(list) => self.ids("prefix-lists", [list]),
                sg_model::Named::PortList(list) => self.ids("port-lists", [list]),
            }
        }
    }
}

/// Names by id.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// The name of an object, or its id if it has none.
    pub(crate) fn of(&self, id: &impl ToString) -> String {
        let id = id.to_string();
        self.0.get(&id).cloned().unwrap_or(id)
    }

    /// Several names, for a column.
    pub(crate) fn all(&self, ids: impl IntoIterator<Item = impl ToString>) -> String {
        ids.into_iter().map(|id| self.of(&id)).collect::<Vec<_>>().join(",")
    }
}

impl Extend<(String, String)> for Names {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, names: I) {
        self.0.extend(names);
    }
}

#[cfg(test)]
impl FromIterator<(String, String)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}
