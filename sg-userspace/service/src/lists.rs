//! Operations on lists, written once for every kind. A change of a list applies to every rule that names it.
//!
//! This file never changes rules. Every API calls it through `Service`.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use imbl::OrdMap;
use jiff::Timestamp;
use sg_api_types::{CreateList, DeleteLists, ModifyList};
use sg_model::Addresses;
use sg_records::{EntryList, Family, GroupId, Id as _, ListEntry, PortEntry, PrefixEntry};
use sg_store::{Key, Record};

use super::{
    Field, Kind, Operation, Quota, Refusal, State, Tx,
    dated::Dated,
    labels::{Wording, changed_as, label_as, region, remark},
    quota,
};

/// A kind of list, as a state has it.
pub trait StoredEntry: ListEntry<Id: Into<Key>> {
    /// The kind in a refusal.
    const KIND: Kind;
    /// An entry's value in a refusal.
    const VALUE: Field;
    /// A value in a refusal because it occurs twice.
    const TWICE: Field;

    /// All lists of this kind, by id.
    fn lists(state: &State) -> &OrdMap<Self::Id, Arc<EntryList<Self>>>;

    fn record(list: EntryList<Self>) -> Record;

    /// Checks what only this kind of list requires of an entry that is new.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    fn check_new(entry: &Self) -> Result<(), Refusal>;

    /// Checks what only this kind of list requires.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    fn check(list: &EntryList<Self>) -> Result<(), Refusal>;
}

impl StoredEntry for PrefixEntry {
    const KIND: Kind = Kind::PrefixList;
    const VALUE: Field = Field::Cidr;
    const TWICE: Field = Field::CidrTwice;

    fn lists(state: &State) -> &OrdMap<Self::Id, Arc<EntryList<Self>>> {
        state.prefix_lists()
    }

    fn record(list: EntryList<Self>) -> Record {
        list.into()
    }

    /// No packet has such an address. Stores of earlier versions may have them, and stay readable.
    fn check_new(entry: &Self) -> Result<(), Refusal> {
        if is_mapped(entry.addresses) {
            let allowed = "the IPv4 addresses themselves, without ::ffff:";
            return invalid::<Self, _>(Field::Cidr, &entry.addresses, allowed);
        }
        Ok(())
    }

    fn check(list: &EntryList<Self>) -> Result<(), Refusal> {
        let family = list.extra.family;
        if family.is_none() && list.label.owner.is_none() {
            let allowed = "IPv4 or IPv6; only lists of documents have both".to_owned();
            return Err(Refusal::Missing { field: Field::Family, allowed });
        }
        for Self { addresses, .. } in &list.entries {
            if addresses.trunc() != *addresses {
                return invalid::<Self, _>(Field::Cidr, addresses, "a prefix without host bits");
            }
            if let Some(family) = family.filter(|family| *family != Family::of(*addresses)) {
                return invalid::<Self, _>(
                    Field::Family,
                    addresses,
                    &format!("a list of {family} addresses"),
                );
            }
        }
        Ok(())
    }
}

/// Whether addresses are those that stand for IPv4 ones in IPv6: `::ffff:0:0/96`.
fn is_mapped(addresses: Addresses) -> bool {
    let (first, last) = match addresses {
        Addresses::Net(net) => (net.network(), net.broadcast()),
        Addresses::Range(range) => (range.first(), range.last()),
    };
    let mapped =
        |address| matches!(address, IpAddr::V6(address) if Ipv6Addr::to_ipv4_mapped(&address).is_some());
    mapped(first) && mapped(last)
}

impl StoredEntry for PortEntry {
    const KIND: Kind = Kind::PortList;
    const VALUE: Field = Field::PortRange;
    const TWICE: Field = Field::PortRangeTwice;

    fn lists(state: &State) -> &OrdMap<Self::Id, Arc<EntryList<Self>>> {
        state.port_lists()
    }

    fn record(list: EntryList<Self>) -> Record {
        list.into()
    }

    fn check_new(_: &Self) -> Result<(), Refusal> {
        Ok(())
    }

    fn check(_: &EntryList<Self>) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<E: StoredEntry> Dated for EntryList<E> {
    fn updated(&mut self) -> &mut Timestamp {
        &mut self.label.updated
    }

    fn known<'s>(&self, state: &'s State) -> Option<&'s Arc<Self>> {
        E::lists(state).get(&self.id)
    }
}

impl<E: StoredEntry> Operation for CreateList<E> {
    type Output = EntryList<E>;

    fn run(&self, tx: &mut Tx) -> Result<EntryList<E>, Refusal> {
        let list = EntryList {
            id: E::Id::random(),
            region: region(&self.region)?,
            label: label_as(tx, &self.label, Wording::EitherCloud)?,
            extra: self.extra.clone(),
            max_entries: self.max_entries,
            entries: self.entries.clone(),
        };
        put(tx, list)
    }
}

impl<E: StoredEntry> Operation for ModifyList<E> {
    type Output = EntryList<E>;

    fn run(&self, tx: &mut Tx) -> Result<EntryList<E>, Refusal> {
        let mut list = EntryList::clone(tx.find_list::<E>(&self.list)?);
        list.label = changed_as(tx, &list.label, &self.label, Wording::EitherCloud)?;
        list.max_entries = self.max_entries.unwrap_or(list.max_entries);
        if let Some(entries) = &self.entries {
            if let Some(value) = self.add.iter().map(E::value).chain(&self.remove).next() {
                return invalid::<E, _>(E::VALUE, value, "nothing to add or remove beside all entries");
            }
            list.entries.clone_from(entries);
        }
        for value in &self.remove {
            if self.add.iter().any(|entry| entry.value() == value) {
                return invalid::<E, _>(E::TWICE, value, "an entry is added or removed, not both");
            }
            let Some(place) = list.entries.iter().position(|entry| entry.value() == value) else {
                return invalid::<E, _>(E::VALUE, value, "one that is in the list");
            };
            list.entries.remove(place);
        }
        once(&self.add)?;
        for entry in &self.add {
            match list.entries.iter_mut().find(|there| there.value() == entry.value()) {
                Some(there) => there.clone_from(entry),
                None => list.entries.push(entry.clone()),
            }
        }
        let list = put(tx, list)?;
        if self.max_entries.is_some() {
            recount(tx, &groups_naming(tx, &list.id))?;
        }
        Ok(list)
    }
}

impl<E: StoredEntry> Operation for DeleteLists<E> {
    type Output = Vec<String>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<String>, Refusal> {
        let mut deleted = Vec::with_capacity(self.lists.len());
        for text in &self.lists {
            let id = tx.find_list::<E>(text)?.id.clone();
            let rules: Vec<Key> = tx.rules_naming(&id).map(|rule| Key::Rule(rule.id.clone())).collect();
            if self.with_rules {
                let of_documents = groups_naming(tx, &id).into_iter().filter_map(|id| {
                    let document = tx.group(&id)?.label.owner.as_ref()?;
                    Some(format!("rules of group {id} of document {document}"))
                });
                let by: Vec<String> = of_documents.collect();
                if !by.is_empty() {
                    return Err(Refusal::InUse { kind: E::KIND, id: id.to_string(), by });
                }
                for rule in rules {
                    tx.delete(rule);
                }
            } else if !rules.is_empty() {
                let by = groups_naming(tx, &id);
                let by = by.iter().map(|group| format!("rules of group {group}")).collect();
                return Err(Refusal::InUse { kind: E::KIND, id: id.to_string(), by });
            }
            deleted.push(id.to_string());
            tx.delete(id.into());
        }
        Ok(deleted)
    }
}

fn put<E: StoredEntry>(tx: &mut Tx, list: EntryList<E>) -> Result<EntryList<E>, Refusal> {
    let (_, limit) = E::QUOTA;
    check_list(tx, &list, limit(&tx.settings().quotas))?;
    let before = E::lists(tx).get(&list.id).map_or(&[][..], |list| &list.entries);
    let before: HashSet<_> = before.iter().map(E::value).collect();
    list.entries.iter().filter(|entry| !before.contains(entry.value())).try_for_each(E::check_new)?;
    let list = tx.dated(list);
    tx.put(E::record(list.clone()));
    Ok(list)
}

/// Checks a list that may have at most `limit` entries.
pub(super) fn check_list<E: StoredEntry>(
    state: &State,
    list: &EntryList<E>,
    limit: u32,
) -> Result<(), Refusal> {
    if !(1..=limit).contains(&list.max_entries) {
        let (quota, _) = E::QUOTA;
        let allowed = format!("1 to {limit} (quota {quota})");
        return Err(Refusal::invalid(Field::MaxEntries, list.max_entries, allowed));
    }
    let needed = list.entries.len() as u64;
    Quota::MaxEntries.check(state.called_list(list), needed, list.max_entries)?;
    list.entries.iter().try_for_each(|entry| remark(entry.description()))?;
    E::check(list)?;
    once(&list.entries)
}

/// Checks that no two entries have the same value.
fn once<E: StoredEntry>(entries: &[E]) -> Result<(), Refusal> {
    let mut seen = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !seen.insert(entry.value())) {
        Some(entry) => invalid::<E, _>(E::TWICE, entry.value(), "each entry once"),
        None => Ok(()),
    }
}

fn invalid<E: ListEntry, T>(field: Field, value: &E::Value, allowed: &str) -> Result<T, Refusal> {
    Err(Refusal::invalid(field, E::show(value), allowed))
}

/// The groups with rules that name a list.
fn groups_naming(state: &State, list: &(impl Clone + Into<Key>)) -> BTreeSet<GroupId> {
    state.rules_naming(list).map(|rule| rule.group.clone()).collect()
}

/// Checks the rule quota of every NIC that holds one of `groups`.
fn recount(state: &State, groups: &BTreeSet<GroupId>) -> Result<(), Refusal> {
    let mut weights = quota::Weights::new();
    let mut nics = groups.iter().flat_map(|group| state.nics_of(group));
    nics.try_for_each(|nic| quota::rules_of_nic(state, nic, &mut weights))
}
