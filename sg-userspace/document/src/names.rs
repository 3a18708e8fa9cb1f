//! Resolves the names of a document.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use sg_model::text::look;

use super::{
    node::Node,
    problem::Problem,
    read::Read,
    words::{Excerpt, Names, Near},
};

/// The looks of the names in one scope.
#[derive(Default)]
pub(super) struct Looks<'d>(HashMap<Cow<'d, str>, &'d str>);

impl<'d> Looks<'d> {
    /// Adds the name of a `what`, written in `node`, unless it can be mistaken for a different name. The same name twice is no
    /// error here.
    pub(super) fn enter<'n>(&mut self, what: &'static str, name: &'d str, node: &'n Node) -> Read<'n, ()> {
        match self.0.entry(look(name)) {
            Entry::Occupied(there) if *there.get() != name => Err(node.fails(Problem::Twin {
                what: what.trim_start_matches("a "),
                name: Excerpt::of(name),
                other: Excerpt::of(there.get()),
            })),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(free) => {
                free.insert(name);
                Ok(())
            }
        }
    }
}

/// Resolves names to references.
pub(super) struct Directory<'d, I> {
    what: &'static str,
    index: fn(usize) -> I,
    names: Vec<&'d str>,
    positions: HashMap<&'d str, usize>,
}

impl<'d, I> Directory<'d, I> {
    /// Creates a directory of `entries`, each of which is a `what`; `index` makes its reference from its position.
    pub(super) fn new(what: &'static str, index: fn(usize) -> I, entries: &[(&'d str, &'d Node)]) -> Self {
        let names: Vec<_> = entries.iter().map(|&(name, _)| name).collect();
        let positions = names.iter().enumerate().map(|(position, &name)| (name, position)).collect();
        Self { what, index, names, positions }
    }

    /// Whether there is a thing of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.positions.contains_key(name)
    }

    /// Resolves the name in `node`.
    pub(super) fn find<'n>(&self, node: &'n Node) -> Read<'n, I> {
        let name = node.name(self.what)?;
        let position = self.positions.get(name).copied();
        position.map(self.index).ok_or_else(|| {
            node.fails(Problem::UnknownName {
                what: self.what,
                name: Excerpt::of(name),
                near: Near::to(name, self.names.iter().copied()),
                names: Names::few(self.names.iter().copied()),
            })
        })
    }
}
