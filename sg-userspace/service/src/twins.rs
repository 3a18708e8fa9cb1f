//! Confusable names. Two objects may have the same name; then only their ids find them. But no two may have different names that
//! look the same, and no NIC may have the device of another as its name: a reference by name could otherwise resolve to another
//! object later.
//!
//! Only what an operation changed is compared with the state afterwards: existing names are not the operation's fault. Called by
//! `perform` after every operation and by `integrity` for each record. It must never change anything.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
};

use sg_model::text::look;
use sg_records::GroupId;
use sg_store::{Change, Key, Record};

use super::{Field, Kind, Refusal, State, refusal::excerpt};

/// A set of objects within which names are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Space<'a> {
    Of(Kind),
    Rules(&'a GroupId),
}

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Called<'a> {
    text: &'a str,
    /// Whether the name is that of a NIC's device.
    is_device: bool,
    id: &'a str,
}

fn called<'a>(
    id: &'a str,
    name: &'a str,
    device: Option<&'a str>,
) -> impl Iterator<Item = Called<'a>> + use<'a> {
    let name = Some(name).filter(|name| !name.is_empty()).map(|text| Called { text, is_device: false, id });
    name.into_iter().chain(device.map(|text| Called { text, is_device: true, id }))
}

/// The names of a record, and the space that they are in.
fn called_in(record: &Record) -> Option<(Space<'_>, impl Iterator<Item = Called<'_>>)> {
    let (space, id, name, device) = match record {
        Record::Vpc(vpc) => (Space::Of(Kind::Vpc), vpc.id.as_str(), &vpc.label.name, None),
        Record::Group(group) => (Space::Of(Kind::Group), group.id.as_str(), &group.label.name, None),
        Record::PrefixList(list) => (Space::Of(Kind::PrefixList), list.id.as_str(), &list.label.name, None),
        Record::PortList(list) => (Space::Of(Kind::PortList), list.id.as_str(), &list.label.name, None),
        Record::Instance(one) => (Space::Of(Kind::Instance), one.id.as_str(), &one.label.name, None),
        Record::Nic(nic) => (Space::Of(Kind::Nic), nic.id.as_str(), &nic.label.name, nic.device.as_deref()),
        Record::Rule(rule) => (Space::Rules(&rule.group), rule.id.as_str(), &rule.spec.name, None),
        Record::Member(_)
        | Record::AccessKey(_)
        | Record::Token(_)
        | Record::Demands(_)
        | Record::Settings(_) => return None,
    };
    Some((space, called(id, name, device)))
}

impl<'a> Space<'a> {
    /// All names in the space.
    fn all(self, state: &'a State) -> Box<dyn Iterator<Item = Called<'a>> + 'a> {
        macro_rules! labelled {
            ($all:ident) => {
                Box::new(state.$all().values().flat_map(|one| called(one.id.as_str(), &one.label.name, None)))
            };
        }
        match self {
            Self::Of(Kind::Vpc) => labelled!(vpcs),
            Self::Of(Kind::Group) => labelled!(groups),
            Self::Of(Kind::PrefixList) => labelled!(prefix_lists),
            Self::Of(Kind::PortList) => labelled!(port_lists),
            Self::Of(Kind::Instance) => labelled!(instances),
            Self::Of(Kind::Nic) => {
                let nics = state.nics().values();
                Box::new(nics.flat_map(|nic| called(nic.id.as_str(), &nic.label.name, nic.device.as_deref())))
            }
            Self::Of(Kind::Rule | Kind::AccessKey | Kind::Region) => Box::new(std::iter::empty()),
            Self::Rules(group) => Box::new(
                state.rules_of(group).flat_map(|rule| called(rule.id.as_str(), &rule.spec.name, None)),
            ),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Of(kind) => kind,
            Self::Rules(_) => Kind::Rule,
        }
    }
}

/// Names by their look.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(HashMap<(Space<'a>, Cow<'a, str>), Vec<Called<'a>>>);

impl<'a> Names<'a> {
    /// The names of a whole state.
    pub(super) fn of(state: &'a State) -> Self {
        let kinds = [Kind::Vpc, Kind::Group, Kind::PrefixList, Kind::PortList, Kind::Instance, Kind::Nic];
        let spaces = kinds.into_iter().map(Space::Of).chain(state.groups().keys().map(Space::Rules));
        let mut names = Self::default();
        for space in spaces {
            for one in space.all(state) {
                enter(names.0.entry((space, look(one.text))).or_default(), one);
            }
        }
        names
    }

    /// Adds the names of a state that look like one already listed.
    fn fill(&mut self, state: &'a State) {
        let spaces: HashSet<Space<'_>> = self.0.keys().map(|(space, _)| *space).collect();
        for space in spaces {
            for one in space.all(state) {
                if let Some(alike) = self.0.get_mut(&(space, look(one.text))) {
                    enter(alike, one);
                }
            }
        }
    }

    /// Checks that no other object has a name that looks like one of the record's.
    pub(super) fn check(&self, record: &Record) -> Result<(), Refusal> {
        let Some((space, mut all)) = called_in(record) else { return Ok(()) };
        all.try_for_each(|one| self.check_one(space, one))
    }

    fn check_one(&self, space: Space<'_>, one: Called<'_>) -> Result<(), Refusal> {
        let alike = self.0.get(&(space, look(one.text))).into_iter().flatten();
        // The names of devices among themselves are the kernel's affair.
        let mut others = alike.filter(|other| other.id != one.id && !(one.is_device && other.is_device));
        let other = others.find(|other| one.text != other.text || one.is_device != other.is_device);
        other.map_or(Ok(()), |other| Err(one.taken_for(*other, space.kind())))
    }
}

/// Adds a name to those that look alike. Many objects may have one name, but two suffice to represent all: one of them may be the
/// object that is checked.
fn enter<'a>(alike: &mut Vec<Called<'a>>, one: Called<'a>) {
    let same = |other: &&Called<'_>| (other.text, other.is_device) == (one.text, one.is_device);
    if alike.iter().filter(same).take(2).count() < 2 {
        alike.push(one);
    }
}

impl Called<'_> {
    fn taken_for(self, other: Called<'_>, kind: Kind) -> Refusal {
        let Called { text, id, is_device } = other;
        let looks = if self.text == text { "is" } else { "looks like" };
        let text = excerpt(text);
        let (field, allowed) = if self.is_device {
            let allowed = format!(
                "{kind} {id} is named {text:?}, and a name leads to one: name that {kind} otherwise first"
            );
            (Field::Device, allowed)
        } else if is_device {
            (Field::Name, format!("it {looks} {text:?}, the device of {kind} {id}: choose another name"))
        } else {
            (
                Field::Name,
                format!("it {looks} {text:?}, the name of {kind} {id}: choose another, or that one's"),
            )
        };
        Refusal::invalid(field, self.text, allowed)
    }
}

/// Checks the names of everything that changed since `before`.
pub(super) fn check_changed(before: &State, after: &State, changes: &[Change]) -> Result<(), Refusal> {
    let keys: BTreeSet<Key> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Put(record) => Some(record.key()),
            Change::Delete(_) => None,
        })
        .collect();
    let records: Vec<(Record, Option<Record>)> =
        keys.iter().filter_map(|key| Some((after.get(key)?, before.get(key)))).collect();
    let mut names = Names::default();
    let mut new = Vec::new();
    for (record, was) in &records {
        let was: Vec<Called<'_>> = was.iter().filter_map(called_in).flat_map(|(_, all)| all).collect();
        let Some((space, all)) = called_in(record) else { continue };
        for one in all.filter(|one| !was.contains(one)) {
            names.0.entry((space, look(one.text))).or_default();
            new.push((space, one));
        }
    }
    names.fill(after);
    new.into_iter().try_for_each(|(space, one)| names.check_one(space, one))
}
