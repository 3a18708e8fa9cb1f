//! What the names of a document stand for.

use std::collections::HashMap;

use super::{
    node::Node,
    problem::Problem,
    read::Read,
    words::{Excerpt, Names, Near},
};

/// The groups of a document, or its lists of one kind: a name and a node each, in the order of the document.
pub(super) fn named<'d>(what: &'static str, node: &'d Node) -> Read<'d, Vec<(&'d str, &'d Node)>> {
    let entries = node.entries("write a mapping, NAME: ...")?;
    entries.map(|(key, value)| Ok((key.name(what)?, value))).collect()
}

/// Finds what a name stands for.
pub(super) struct Directory<'d, I> {
    what: &'static str,
    index: fn(usize) -> I,
    names: Vec<&'d str>,
    positions: HashMap<&'d str, usize>,
}

impl<'d, I> Directory<'d, I> {
    /// Of `entries`, each of which is a `what`; `index` makes its reference from its position.
    pub(super) fn new(what: &'static str, index: fn(usize) -> I, entries: &[(&'d str, &'d Node)]) -> Self {
        let names: Vec<_> = entries.iter().map(|&(name, _)| name).collect();
        let positions = names.iter().enumerate().map(|(position, &name)| (name, position)).collect();
        Self { what, index, names, positions }
    }

    /// What the name in `node` stands for.
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
