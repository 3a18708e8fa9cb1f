//! The names of objects that others refer to by id: a group of a NIC, the prefix list of a rule.
//!
//! Tables show names; wide ones add the objects' own ids, and programs get ids only. Two objects may have the same name, so whoever
//! has to be sure reads the ids.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sg_records::Match;

use crate::{
    client::{address::Address, session::Session},
    failure::Failure,
    render::table::Render,
};

/// The maximum number of ids in one request: its URL must not get too long.
const AT_ONCE: usize = 100;

/// Ids whose names are needed, by their collection.
#[derive(Debug, Default)]
pub(crate) struct Wanted(BTreeMap<&'static str, BTreeSet<String>>);

impl Wanted {
    pub(crate) fn ids(&mut self, collection: &'static str, ids: impl IntoIterator<Item = impl ToString>) {
        self.0.entry(collection).or_default().extend(ids.into_iter().map(|id| id.to_string()));
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

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

impl Session<'_> {
    /// The names of the objects that `things` refer to, for people.
    pub(crate) fn names_for<T: Render>(&mut self, things: &[T]) -> Result<Names, Failure> {
        let mut wanted = Wanted::default();
        if self.output.format.is_table() {
            for thing in things {
                thing.mentions(&mut wanted);
            }
        }
        self.names(&wanted)
    }

    /// Fetches the names of ids.
    pub(crate) fn names(&mut self, wanted: &Wanted) -> Result<Names, Failure> {
        let mut names = Names::default();
        for (collection, ids) in &wanted.0 {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            for some in ids.chunks(AT_ONCE) {
                let address = Address::of(&[collection]).with("name", some.join(","));
                let (found, _) = self.pages::<Named>(&address, some.len())?;
                let found = found.into_iter().filter(|named| !named.name.is_empty());
                names.0.extend(found.map(|named| (named.id, named.name)));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
impl FromIterator<(String, String)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}
