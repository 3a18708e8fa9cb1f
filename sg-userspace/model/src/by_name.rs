//! References by name, for readers and for comparing policies: an index may mean something else in another policy. It must never find
//! what a name refers to. The audit trail of documents and the view of effective rules use it.

use std::{convert::Infallible, fmt};

use super::{
    GroupIndex, Indices, PolicyParts, PortListIndex, PrefixListIndex, References, Resolve, whole_group,
};

/// By name, with the kind of what it names in front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByName;

/// A name behind the kind of what it names, as commands write and read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindAndName(&'static str, String);

impl fmt::Display for KindAndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

impl References for ByName {
    type Group = KindAndName;
    type PrefixList = KindAndName;
    type PortList = KindAndName;
}

/// The names of what the rules of a policy refer to.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a>(pub &'a PolicyParts);

impl Resolve<Indices, ByName> for Names<'_> {
    type Error = Infallible;

    fn group(&mut self, group: &GroupIndex) -> Result<KindAndName, Infallible> {
        let name = self.0.groups.get(group.0).map(|group| whole_group(&group.name).to_owned());
        Ok(KindAndName("group", name.unwrap_or_default()))
    }

    fn prefix_list(&mut self, list: &PrefixListIndex) -> Result<KindAndName, Infallible> {
        let name = self.0.prefix_lists.get(list.0).map(|(name, _)| name.clone());
        Ok(KindAndName("prefix-list", name.unwrap_or_default()))
    }

    fn port_list(&mut self, list: &PortListIndex) -> Result<KindAndName, Infallible> {
        let name = self.0.port_lists.get(list.0).map(|(name, _)| name.clone());
        Ok(KindAndName("port-list", name.unwrap_or_default()))
    }
}
