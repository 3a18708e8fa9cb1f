//! Operations on prefix lists and port lists. A change of a list applies to every rule that names it.
//!
//! This file never changes rules. Every API calls it through `Service`.

use std::collections::{BTreeSet, HashMap, HashSet};

use sg_api_types::{
    CreatePortList, CreatePrefixList, DeletePortLists, DeletePrefixLists, ModifyPortList, ModifyPrefixList,
};
use sg_records::{Family, GroupId, PortList, PortListId, PrefixList, PrefixListId, Rule};
use sg_store::Key;

use super::{
    Field, Kind, Operation, Quota, Refusal, State, Tx,
    labels::{changed, label, region, remark},
    quota,
};

impl Operation for CreatePrefixList {
    type Output = PrefixList;

    fn run(&self, tx: &mut Tx) -> Result<PrefixList, Refusal> {
        let list = PrefixList {
            id: PrefixListId::random(),
            region: region(&self.region)?,
            label: label(tx, &self.label)?,
            family: Some(self.family),
            max_entries: self.max_entries,
            entries: self.entries.clone(),
        };
        check_prefixes(tx, &list)?;
        tx.put(list.clone());
        Ok(list)
    }
}

fn check_prefixes(state: &State, list: &PrefixList) -> Result<(), Refusal> {
    check_prefix_list(list, state.settings().quotas.entries_per_prefix_list)
}

/// Checks a list that may have at most `limit` entries.
pub(super) fn check_prefix_list(list: &PrefixList, limit: u32) -> Result<(), Refusal> {
    sizes(list.id.as_str(), list.max_entries, list.entries.len(), limit)?;
    let mut seen = HashSet::new();
    for entry in &list.entries {
        remark(&entry.description)?;
        let invalid = |field, allowed: &str| {
            let found = entry.cidr.to_string();
            Err(Refusal::Invalid { field, found, allowed: allowed.to_owned() })
        };
        if entry.cidr.trunc() != entry.cidr {
            return invalid(Field::Cidr, "a prefix without host bits");
        }
        if let Some(family) = list.family
            && Family::of(entry.cidr) != family
        {
            return invalid(Field::Family, &format!("a list of {family} prefixes"));
        }
        if !seen.insert(entry.cidr) {
            return invalid(Field::CidrTwice, "each prefix once");
        }
    }
    Ok(())
}

fn sizes(id: &str, max_entries: u32, entries: usize, limit: u32) -> Result<(), Refusal> {
    if !(1..=limit).contains(&max_entries) {
        let (found, allowed) = (max_entries.to_string(), format!("1 to {limit} (quota entries_per_…_list)"));
        return Err(Refusal::Invalid { field: Field::MaxEntries, found, allowed });
    }
    if entries as u64 > u64::from(max_entries) {
        let (what, needed) = (format!("list {id}"), entries as u64);
        let allowed = u64::from(max_entries);
        return Err(Refusal::TooMany { quota: Quota::MaxEntries, what, needed, allowed });
    }
    Ok(())
}

impl Operation for ModifyPrefixList {
    type Output = PrefixList;

    fn run(&self, tx: &mut Tx) -> Result<PrefixList, Refusal> {
        let mut list = PrefixList::clone(tx.find_prefix_list(&self.list)?);
        list.label = changed(tx, &list.label, &self.label)?;
        list.max_entries = self.max_entries.unwrap_or(list.max_entries);
        for cidr in &self.remove {
            let invalid = |field, allowed: &str| {
                Err(Refusal::Invalid { field, found: cidr.to_string(), allowed: allowed.to_owned() })
            };
            if self.add.iter().any(|entry| entry.cidr == *cidr) {
                return invalid(Field::CidrTwice, "a prefix is added or removed, not both");
            }
            let Some(place) = list.entries.iter().position(|entry| entry.cidr == *cidr) else {
                return invalid(Field::Cidr, "a prefix that is in the list");
            };
            list.entries.remove(place);
        }
        let mut added = HashSet::new();
        for entry in &self.add {
            if !added.insert(entry.cidr) {
                let (found, allowed) = (entry.cidr.to_string(), "each prefix once".to_owned());
                return Err(Refusal::Invalid { field: Field::CidrTwice, found, allowed });
            }
            match list.entries.iter_mut().find(|there| there.cidr == entry.cidr) {
                Some(there) => there.description.clone_from(&entry.description),
                None => list.entries.push(entry.clone()),
            }
        }
        check_prefixes(tx, &list)?;
        tx.put(list.clone());
        if self.max_entries.is_some() {
            let groups = groups_of(tx.rules_naming_prefix_list(&list.id).map(AsRef::as_ref));
            recount(tx, &groups)?;
        }
        Ok(list)
    }
}

/// The groups of the rules.
fn groups_of<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeSet<GroupId> {
    rules.map(|rule| rule.group.clone()).collect()
}

/// Checks the rule quota of every NIC that holds one of `groups`.
fn recount(state: &State, groups: &BTreeSet<GroupId>) -> Result<(), Refusal> {
    let mut weights = HashMap::new();
    let mut nics = groups.iter().flat_map(|group| state.nics_of(group));
    nics.try_for_each(|nic| quota::rules_of_nic(state, nic, &mut weights))
}

impl Operation for DeletePrefixLists {
    type Output = Vec<PrefixListId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<PrefixListId>, Refusal> {
        let mut deleted = Vec::with_capacity(self.lists.len());
        for text in &self.lists {
            let id = tx.find_prefix_list(text)?.id.clone();
            let by = groups_of(tx.rules_naming_prefix_list(&id).map(AsRef::as_ref));
            unused(Kind::PrefixList, id.as_str(), &by)?;
            tx.delete(Key::PrefixList(id.clone()));
            deleted.push(id);
        }
        Ok(deleted)
    }
}

fn unused(kind: Kind, id: &str, by: &BTreeSet<GroupId>) -> Result<(), Refusal> {
    if by.is_empty() {
        return Ok(());
    }
    let by = by.iter().map(|group| format!("rules of group {group}")).collect();
    Err(Refusal::InUse { kind, id: id.to_owned(), by })
}

impl Operation for CreatePortList {
    type Output = PortList;

    fn run(&self, tx: &mut Tx) -> Result<PortList, Refusal> {
        let list = PortList {
            id: PortListId::random(),
            region: region(&self.region)?,
            label: label(tx, &self.label)?,
            max_entries: self.max_entries,
            entries: self.entries.clone(),
        };
        check_ports(tx, &list)?;
        tx.put(list.clone());
        Ok(list)
    }
}

fn check_ports(state: &State, list: &PortList) -> Result<(), Refusal> {
    check_port_list(list, state.settings().quotas.entries_per_port_list)
}

/// Checks a list that may have at most `limit` entries.
pub(super) fn check_port_list(list: &PortList, limit: u32) -> Result<(), Refusal> {
    list.entries.iter().try_for_each(|entry| remark(&entry.description))?;
    sizes(list.id.as_str(), list.max_entries, list.entries.len(), limit)?;
    let mut seen = HashSet::new();
    match list.entries.iter().find(|entry| !seen.insert(&entry.ports)) {
        Some(entry) => {
            let (found, allowed) = (entry.ports.to_string(), "each entry once".to_owned());
            Err(Refusal::Invalid { field: Field::PortRangeTwice, found, allowed })
        }
        None => Ok(()),
    }
}

impl Operation for ModifyPortList {
    type Output = PortList;

    fn run(&self, tx: &mut Tx) -> Result<PortList, Refusal> {
        let mut list = PortList::clone(tx.find_port_list(&self.list)?);
        list.label = changed(tx, &list.label, &self.label)?;
        list.max_entries = self.max_entries.unwrap_or(list.max_entries);
        for ports in &self.remove {
            let invalid = |field, allowed: &str| {
                Err(Refusal::Invalid { field, found: ports.to_string(), allowed: allowed.to_owned() })
            };
            if self.add.iter().any(|entry| entry.ports == *ports) {
                return invalid(Field::PortRangeTwice, "ports are added or removed, not both");
            }
            let Some(place) = list.entries.iter().position(|entry| entry.ports == *ports) else {
                return invalid(Field::PortRange, "ports that are in the list");
            };
            list.entries.remove(place);
        }
        let mut added = HashSet::new();
        for entry in &self.add {
            if !added.insert(&entry.ports) {
                let (found, allowed) = (entry.ports.to_string(), "each entry once".to_owned());
                return Err(Refusal::Invalid { field: Field::PortRangeTwice, found, allowed });
            }
            match list.entries.iter_mut().find(|there| there.ports == entry.ports) {
                Some(there) => there.description.clone_from(&entry.description),
                None => list.entries.push(entry.clone()),
            }
        }
        check_ports(tx, &list)?;
        tx.put(list.clone());
        if self.max_entries.is_some() {
            let groups = groups_of(tx.rules_naming_port_list(&list.id).map(AsRef::as_ref));
            recount(tx, &groups)?;
        }
        Ok(list)
    }
}

impl Operation for DeletePortLists {
    type Output = Vec<PortListId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<PortListId>, Refusal> {
        let mut deleted = Vec::with_capacity(self.lists.len());
        for text in &self.lists {
            let id = tx.find_port_list(text)?.id.clone();
            let by = groups_of(tx.rules_naming_port_list(&id).map(AsRef::as_ref));
            unused(Kind::PortList, id.as_str(), &by)?;
            tx.delete(Key::PortList(id.clone()));
            deleted.push(id);
        }
        Ok(deleted)
    }
}
