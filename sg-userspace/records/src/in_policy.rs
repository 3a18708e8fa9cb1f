//! What the names in a request mean in a policy whose groups and lists are called by them, such as that of a document. It must never
//! decide what is allowed. The native API asks it under `sgd run`, `sgctl` about documents.

use sg_model::{GroupIndex, Indices, Policy, PortListIndex, PrefixListIndex, Resolve};
use thiserror::Error;

use super::{GroupId, Ids, PortListId, PrefixListId};

/// A policy in which names are looked up.
#[derive(Clone, Copy, Debug)]
pub struct InPolicy<'a>(pub &'a Policy);

/// A policy whose groups and lists are called by their names.
#[derive(Clone, Copy, Debug)]
pub struct NamedIn<'a>(pub &'a Policy);

/// The policy has nothing of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the policy has no {what} {name:?}")]
pub struct NotInPolicy {
    /// The kind.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

fn place<'n>(
    what: &'static str,
    name: &str,
    mut known: impl Iterator<Item = &'n str>,
) -> Result<usize, NotInPolicy> {
    known.position(|known| known == name).ok_or_else(|| NotInPolicy { what, name: name.to_owned() })
}

impl Resolve<Ids, Indices> for InPolicy<'_> {
    type Error = NotInPolicy;

    fn group(&mut self, group: &GroupId) -> Result<GroupIndex, NotInPolicy> {
        let known = self.0.groups().iter().map(|group| group.name.as_str());
        place("group", group.as_str(), known).map(GroupIndex)
    }

    fn prefix_list(&mut self, list: &PrefixListId) -> Result<PrefixListIndex, NotInPolicy> {
        let known = self.0.parts().prefix_lists.iter().map(|(name, _)| name.as_str());
        place("prefix list", list.as_str(), known).map(PrefixListIndex)
    }

    fn port_list(&mut self, list: &PortListId) -> Result<PortListIndex, NotInPolicy> {
        let known = self.0.parts().port_lists.iter().map(|(name, _)| name.as_str());
        place("port list", list.as_str(), known).map(PortListIndex)
    }
}

impl Resolve<Indices, Ids> for NamedIn<'_> {
    type Error = NotInPolicy;

    fn group(&mut self, group: &GroupIndex) -> Result<GroupId, NotInPolicy> {
        let found = self.0.groups().get(group.0).map(|group| GroupId::from(group.name.as_str()));
        found.ok_or_else(|| NotInPolicy { what: "group", name: group.to_string() })
    }

    fn prefix_list(&mut self, list: &PrefixListIndex) -> Result<PrefixListId, NotInPolicy> {
        let found =
            self.0.parts().prefix_lists.get(list.0).map(|(name, _)| PrefixListId::from(name.as_str()));
        found.ok_or_else(|| NotInPolicy { what: "prefix list", name: list.to_string() })
    }

    fn port_list(&mut self, list: &PortListIndex) -> Result<PortListId, NotInPolicy> {
        let found = self.0.parts().port_lists.get(list.0).map(|(name, _)| PortListId::from(name.as_str()));
        found.ok_or_else(|| NotInPolicy { what: "port list", name: list.to_string() })
    }
}
