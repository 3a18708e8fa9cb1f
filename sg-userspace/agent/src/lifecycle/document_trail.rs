//! Documents in the audit trail and in the history: each that is read, whose it is, what it changes by name, and its outcome. It must
//! never wait for the disk: the trail and the history have threads of their own. Comparing two documents by name costs about as much as reading one, once what they say
//! is in force. Called by `run` and `session`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use sg_audit::{Api, Change, Changes, Entry, OBJECTS, Object, Outcome, Trail, Who};
use sg_model::{DeviceFacts, Group, GroupIndex, Names, Nic, Policy, PolicyParts, Rule};

use super::document_history::DocumentHistory;
use crate::{
    error::{AgentError, RefusalCause},
    state::Cause,
};

/// Who wrote a document, and why it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) path: &'a Path,
    /// The UID of its owner; none if it could not be opened.
    pub(crate) owner: Option<u32>,
    pub(crate) cause: Cause,
}

/// Writes that a document was refused; nothing was changed.
pub(crate) fn refused(trail: &Trail, reading: Reading<'_>, error: &AgentError) {
    let code = match error.refusal_cause() {
        RefusalCause::Guard => "guarded",
        _ if error.concerns_policy() => "invalid_document",
        _ => "refused",
    };
    let mut entry = entry(reading);
    (entry.code, entry.message) = (Some(code.to_owned()), Some(error.to_string()));
    trail.write_soon(entry);
}

/// Writes what a document changed, and keeps its `text`. `delayed`: it is not in force as a whole yet.
pub(crate) fn applied(
    (trail, history): (&Trail, Option<&DocumentHistory>),
    reading: Reading<'_>,
    text: &[u8],
    before: Option<&Policy>,
    after: &Policy,
    delayed: Option<&AgentError>,
) {
    if trail.path().is_none() && history.is_none() {
        // Nobody wants to know, so nothing is compared.
        return;
    }
    let mut entry = entry(reading);
    entry.outcome = Outcome::Done;
    if let Some(error) = delayed {
        entry.outcome = Outcome::NotInForce;
        (entry.code, entry.message) = (Some("not_yet_in_force".to_owned()), Some(error.to_string()));
    }
    // What the process before this one enforced is not known.
    let changes = before.map(|before| changes(before.parts(), after.parts())).unwrap_or_default();
    entry.change = history.and_then(|history| history.add(text, &entry, &changes));
    (entry.objects, entry.more_objects) = (changes.objects, changes.more);
    trail.write_soon(entry);
}

/// Writes that a change was taken back, its id, if it is known; and keeps the text that is in force again, if it is.
pub(crate) fn reverted(
    (trail, history): (&Trail, Option<&DocumentHistory>),
    api: Api,
    text: Option<&[u8]>,
    id: Option<u32>,
    cause: &str,
) {
    let mut entry = Entry::new(api, "revert_change", Who::default(), "agent");
    entry.outcome = Outcome::Done;
    entry.target = id.map(|id| id.to_string());
    entry.message = Some(format!("not confirmed: {cause}"));
    entry.change =
        text.zip(history).and_then(|(text, history)| history.add(text, &entry, &Changes::default()));
    trail.write_soon(entry);
}

fn entry(reading: Reading<'_>) -> Entry {
    let Reading { path, owner, cause } = reading;
    let operation = match cause {
        Cause::Start => "start_document",
        Cause::Signal => "reload_document",
        Cause::Policy | Cause::Devices | Cause::Retry => "load_document",
    };
    Entry::new(Api::Document, operation, Who::file(path.display().to_string(), owner), "file")
}

/// What differs between two documents, by name.
fn changes(before: &PolicyParts, after: &PolicyParts) -> Changes {
    let mut all = Vec::new();
    compare(&mut all, "prefix_list", &named(&before.prefix_lists), &named(&after.prefix_lists));
    compare(&mut all, "port_list", &named(&before.port_lists), &named(&after.port_lists));
    compare(&mut all, "group", &groups(before), &groups(after));
    // Of a group that is new or gone, the rules are, too.
    let names =
        |parts: &PolicyParts| parts.groups.iter().map(|group| group.name.clone()).collect::<BTreeSet<_>>();
    let both: BTreeSet<String> = names(before).intersection(&names(after)).cloned().collect();
    compare(&mut all, "rule", &rules(before, &both), &rules(after, &both));
    compare(&mut all, "nic", &nics(before), &nics(after));
    let more = all.len().saturating_sub(OBJECTS) as u64;
    all.truncate(OBJECTS);
    Changes { objects: all, more }
}

fn compare<T: PartialEq>(
    all: &mut Vec<Object>,
    kind: &str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) {
    let mut add = |change, name: &String| {
        let (kind, id) = (kind.to_owned(), name.clone());
        all.push(Object { change, kind, id, name: String::new(), before: None, after: None });
    };
    for (name, old) in before {
        match after.get(name) {
            None => add(Change::Deleted, name),
            Some(new) if new != old => add(Change::Modified, name),
            Some(_) => {}
        }
    }
    after.keys().filter(|name| !before.contains_key(*name)).for_each(|name| add(Change::Created, name));
}

fn named<T>(lists: &[(String, T)]) -> BTreeMap<String, &T> {
    lists.iter().map(|(name, entries)| (name.clone(), entries)).collect()
}

/// Groups without the content of their rules, but with their order.
fn groups(parts: &PolicyParts) -> BTreeMap<String, impl PartialEq + use<'_>> {
    let named = parts.groups.iter().enumerate().map(|(place, group)| {
        let Group { name, kind, inner_access, description, ingress, egress } = group;
        let order = |rules: &[Rule]| rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
        let members = parts.members.get(&GroupIndex(place));
        (name.clone(), (*kind, *inner_access, description, members, order(ingress), order(egress)))
    });
    named.collect()
}

/// Rules of these groups, as `group/direction/id`.
fn rules<'a>(parts: &'a PolicyParts, of: &BTreeSet<String>) -> BTreeMap<String, impl PartialEq + use<'a>> {
    let mut named = BTreeMap::new();
    for group in parts.groups.iter().filter(|group| of.contains(&group.name)) {
        for (direction, rules) in [("ingress", &group.ingress), ("egress", &group.egress)] {
            for rule in rules {
                let Rule { id, enabled, action, priority, matches, description } = rule;
                let matches = matches.map(&mut Names(parts));
                let name = format!("{}/{direction}/{id}", group.name);
                named.insert(name, (*enabled, *action, *priority, matches, description));
            }
        }
    }
    named
}

/// NICs as the document describes them: what the host adds is nobody's change.
fn nics(parts: &PolicyParts) -> BTreeMap<String, impl PartialEq + use<'_>> {
    let name_of = |group: &GroupIndex| parts.groups.get(group.0).map(|group| &group.name);
    let named = parts.nics.iter().map(|nic| {
        let groups: Vec<Option<&String>> = nic.groups.iter().map(name_of).collect();
        let addresses = if nic.addresses_from_device { Vec::new() } else { nic.addresses.clone() };
        let written =
            Nic { addresses, device_facts: DeviceFacts::default(), groups: Vec::new(), ..nic.clone() };
        (nic.device.clone(), (written, groups))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(document: &str) -> Policy {
        sg_document::parse("p.yaml", document.as_bytes()).unwrap().policy
    }

    fn seen(before: &str, after: &str) -> Vec<String> {
        let changes = changes(parts(before).parts(), parts(after).parts());
        changes
            .objects
            .iter()
            .map(|object| format!("{} {} {}", object.change.name(), object.kind, object.id))
            .collect()
    }

    const BEFORE: &str = "
prefix_lists: { office: [192.0.2.0/24] }
groups:
  web: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: { group: ops } }, { id: tls, protocol: tcp, ports: 443 } ] }
  ops: {}
nics: [ { device: eth0, groups: [web] } ]
";

    #[test]
    fn the_same_document_changes_nothing() {
        assert!(seen(BEFORE, BEFORE).is_empty());
    }

    #[test]
    fn an_index_that_moves_is_no_change() {
        assert_eq!(seen(BEFORE, &BEFORE.replace("groups:\n", "groups:\n  a: {}\n")), ["created group a"]);
    }

    #[test]
    fn each_object_is_told_by_its_name() {
        let after = BEFORE.replace("ports: 22", "ports: 23").replace("192.0.2.0/24", "192.0.2.0/25");
        assert_eq!(seen(BEFORE, &after), ["modified prefix_list office", "modified rule web/ingress/ssh"]);
        let after = BEFORE.replace(", { id: tls, protocol: tcp, ports: 443 }", "");
        assert_eq!(seen(BEFORE, &after), ["modified group web", "deleted rule web/ingress/tls"]);
        let after = BEFORE.replace("eth0", "eth1").replace("groups: [web]", "groups: [web, ops]");
        assert_eq!(seen(BEFORE, &after), ["deleted nic eth0", "created nic eth1"]);
        let after = BEFORE.replace("groups: [web]", "groups: [ops]");
        assert_eq!(seen(BEFORE, &after), ["modified nic eth0"]);
    }
}
