//! Lookup of objects by id, or by name if exactly one object has it; and the other way round, what a refusal calls an object. Every
//! reference in an operation may be either.
//!
//! A text in the form of an id is never looked up as a name: otherwise a deleted id would resolve to an object that has it as its
//! name. Called by all operations and by queries. It must never change anything.

use std::{fmt, sync::Arc};

use sg_model::text::is_invisible;
use sg_records::{
    EntryList, Group, GroupId, Id as _, Instance, InstanceId, Nic, NicId, Rule, RuleId, Vpc, VpcId,
};

use super::{Kind, Network, Refusal, State, StoredEntry};

/// The lowest similarity at which an existing name is suggested in place of an unknown one.
const ALIKE: f64 = 0.75;

/// The one object of `all` that has this name.
fn by_name<'a, T: 'a>(
    kind: Kind,
    name: &str,
    all: impl Iterator<Item = (&'a str, &'a str, &'a Arc<T>)>,
) -> Result<&'a Arc<T>, Refusal> {
    let mut found: Vec<(&str, &Arc<T>)> = Vec::new();
    let mut nearest: Option<(f64, &str)> = None;
    for (id, its_name, record) in all {
        if its_name == name && !name.is_empty() {
            found.push((id, record));
        } else if found.is_empty() {
            for candidate in [its_name, id] {
                let alike = strsim::jaro_winkler(name, candidate);
                if alike >= ALIKE && nearest.is_none_or(|(best, _)| alike > best) {
                    nearest = Some((alike, candidate));
                }
            }
        }
    }
    match found.as_slice() {
        [(_, record)] => Ok(record),
        [] => {
            let hint = nearest.map(|(_, name)| name.to_owned());
            Err(Refusal::NotFound { kind, name: name.to_owned(), hint })
        }
        several => {
            let ids = several.iter().map(|(id, _)| (*id).to_owned()).collect();
            Err(Refusal::Ambiguous { kind, name: name.to_owned(), ids })
        }
    }
}

/// An object in a message: by its name, which people gave it, unless it has none or `others` have the same one. `others` are asked
/// when the message is written. An import is refused before all its names are checked, so one that misleads is not shown.
fn called<'a>(
    kind: Kind,
    id: &'a str,
    name: &'a str,
    others: impl Fn() -> bool + 'a,
) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        let is_clear = !name.is_empty() && !name.chars().any(is_invisible);
        let name = if is_clear && !others() { name } else { id };
        write!(f, "{kind} {name}")
    })
}

impl State {
    /// A group in a message.
    pub(super) fn called_group<'a>(&'a self, group: &'a Group) -> impl fmt::Display + 'a {
        let same = |other: &Arc<Group>| other.id != group.id && other.label.name == group.label.name;
        let others = move || self.groups().values().any(same);
        called(Kind::Group, group.id.as_str(), &group.label.name, others)
    }

    /// A NIC in a message. One without a name has that of its device.
    pub(super) fn called_nic<'a>(&'a self, nic: &'a Nic) -> impl fmt::Display + 'a {
        fn name(nic: &Nic) -> &str {
            let own = nic.label.name.as_str();
            if own.is_empty() { nic.device.as_deref().unwrap_or_default() } else { own }
        }
        let others = move || self.nics().values().any(|other| other.id != nic.id && name(other) == name(nic));
        called(Kind::Nic, nic.id.as_str(), name(nic), others)
    }

    /// A list in a message.
    pub(super) fn called_list<'a, E: StoredEntry>(
        &'a self,
        list: &'a EntryList<E>,
    ) -> impl fmt::Display + 'a {
        let same = |other: &Arc<EntryList<E>>| other.id != list.id && other.label.name == list.label.name;
        let others = move || E::lists(self).values().any(same);
        called(E::KIND, list.id.as_ref(), &list.label.name, others)
    }

    /// The network of an object in a VPC, or without one.
    pub(super) fn network(&self, vpc: Option<&VpcId>) -> Network {
        let Some(id) = vpc else { return Network::new(None, "the classic network".to_owned()) };
        let name = self.vpc(id).map_or("", |vpc| vpc.label.name.as_str());
        let others = || self.vpcs().values().any(|other| other.id != *id && other.label.name == name);
        let called = called(Kind::Vpc, id.as_str(), name, others).to_string();
        Network::new(Some(id.clone()), called)
    }
}

macro_rules! find {
    ($($(#[$doc:meta])* $function:ident: $kind:ident, $lookup:ident in $all:ident, $id:ident -> $record:ty;)*) => {
        impl State {
            $(
                $(#[$doc])*
                /// # Errors
                /// If there is none, or several have the name.
                pub fn $function(&self, text: &str) -> Result<&Arc<$record>, Refusal> {
                    if let Some(record) = self.$lookup(&$id::from(text)) {
                        return Ok(record);
                    }
                    let all = self.$all().values().filter(|_| !$id::has_form(text));
                    by_name(Kind::$kind, text, all.map(|one| (one.id.as_str(), one.label.name.as_str(), one)))
                }
            )*
        }
    };
}
find! {
    /// The VPC with this id or name.
    find_vpc: Vpc, vpc in vpcs, VpcId -> Vpc;
    /// The group with this id or name.
    find_group: Group, group in groups, GroupId -> Group;
    /// The instance with this id or name.
    find_instance: Instance, instance in instances, InstanceId -> Instance;
}

impl State {
    /// The list with this id or name.
    ///
    /// # Errors
    /// If there is none, or several have the name.
    pub fn find_list<E: StoredEntry>(&self, text: &str) -> Result<&Arc<EntryList<E>>, Refusal> {
        if let Some(list) = E::lists(self).get(&E::Id::from(text)) {
            return Ok(list);
        }
        let all = E::lists(self).values().filter(|_| !E::Id::has_form(text));
        by_name(E::KIND, text, all.map(|list| (list.id.as_ref(), list.label.name.as_str(), list)))
    }

    /// The group with this id, or with this name in the network of `near`. If no group there has the name, a group elsewhere that has
    /// it: the error that it cannot be named explains more than that it does not exist.
    ///
    /// # Errors
    /// If there is none, or several have the name.
    pub fn find_group_near(&self, text: &str, near: &Group) -> Result<&Arc<Group>, Refusal> {
        if let Some(group) = self.group(&GroupId::from(text)) {
            return Ok(group);
        }
        let all = self.groups().values().filter(|_| !GroupId::has_form(text));
        // Groups of the classic network and closed groups of the region have no VPC, and name only their own kind.
        let is_near = |group: &&Arc<Group>| {
            (&group.vpc, &group.region, group.is_regional()) == (&near.vpc, &near.region, near.is_regional())
        };
        let near = all.filter(is_near);
        let found = by_name(
            Kind::Group,
            text,
            near.map(|group| (group.id.as_str(), group.label.name.as_str(), group)),
        );
        match found {
            Err(Refusal::NotFound { .. }) if !text.is_empty() => {
                self.groups().values().find(|group| group.label.name == text).map_or(found, Ok)
            }
            found => found,
        }
    }

    /// The NIC with this id, device of this host, or name.
    ///
    /// # Errors
    /// If there is none, or several have the name.
    pub fn find_nic(&self, text: &str) -> Result<&Arc<Nic>, Refusal> {
        if let Some(nic) = self.nic(&NicId::from(text)) {
            return Ok(nic);
        }
        let is_id = NicId::has_form(text) || InstanceId::has_form(text);
        let all = self.nics().values().filter(|_| !is_id);
        let Some(nic) = self.nic_of_device(text).filter(|_| !is_id) else {
            return by_name(Kind::Nic, text, all.map(|nic| (nic.id.as_str(), nic.label.name.as_str(), nic)));
        };
        // Operations leave no NIC whose name is the device of another one. An older state may have one, and a name that leads to
        // the device today would lead to that NIC tomorrow.
        let named = all.filter(|other| other.label.name == text && other.id != nic.id);
        let ids: Vec<String> = [nic].into_iter().chain(named).map(|nic| nic.id.to_string()).collect();
        if ids.len() > 1 {
            return Err(Refusal::Ambiguous { kind: Kind::Nic, name: text.to_owned(), ids });
        }
        Ok(nic)
    }

    /// The NIC with this id, device or name, or the primary NIC of the instance with this id or name.
    ///
    /// # Errors
    /// If there is none, or several have the name.
    pub fn find_target(&self, text: &str) -> Result<&Arc<Nic>, Refusal> {
        let missing = match self.find_nic(text) {
            Err(missing @ Refusal::NotFound { .. }) => missing,
            found => return found,
        };
        let instance = match self.find_instance(text) {
            Ok(instance) => instance,
            Err(ambiguous @ Refusal::Ambiguous { .. }) => return Err(ambiguous),
            Err(error) if text.starts_with(InstanceId::PREFIX) => return Err(error),
            Err(_) => return Err(missing),
        };
        let mut nics = self.nics_of_instance(&instance.id);
        nics.find(|nic| nic.primary).ok_or_else(|| Refusal::NotFound {
            kind: Kind::Nic,
            name: format!("of instance {}", instance.id),
            hint: None,
        })
    }

    /// The rule with this id, or with this name in `group`.
    ///
    /// # Errors
    /// If there is none, or several have the name.
    pub fn find_rule(&self, text: &str, group: Option<&GroupId>) -> Result<&Arc<Rule>, Refusal> {
        if let Some(rule) = self.rule(&RuleId::from(text)) {
            return Ok(rule);
        }
        let named = |rule: &'_ &Arc<Rule>| !rule.spec.name.is_empty() && !RuleId::has_form(text);
        let rules: Vec<&Arc<Rule>> = match group {
            Some(group) => self.rules_of(group).filter(named).collect(),
            None => self.rules().values().filter(named).collect(),
        };
        by_name(
            Kind::Rule,
            text,
            rules.into_iter().map(|rule| (rule.id.as_str(), rule.spec.name.as_str(), rule)),
        )
    }
}
