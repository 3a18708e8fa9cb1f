//! What an operation changed, as the audit trail has it: each object once, by kind, id and name, with its fields before and after;
//! and as the history has it: what undoes it.
//!
//! No secret gets out of here: an access key is shown as the API shows it, and kept responses are left out. Called for each
//! operation that was done.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sg_api_types::AccessKeyView;
use sg_audit::{Changes, OBJECTS, Object};
use sg_records::{Label, Settings};
use sg_store::{Change, Record};

use super::{
    history::is_policy,
    tx::{Mark, Tx},
};

/// The objects that changed since `mark`, and what makes the policy what it was.
pub(super) fn changes(mark: &Mark, tx: &Tx) -> (Changes, Vec<Change>) {
    let (mut recorded, mut undo) = (Changes::default(), Vec::new());
    let mut seen = BTreeSet::new();
    let changes = tx.changes_since(mark).iter();
    let keys = changes.map(|change| match change {
        Change::Put(record) => record.key(),
        Change::Delete(key) => key.clone(),
    });
    for key in keys.filter(|key| seen.insert(key.clone())) {
        let (before, after) = (mark.state.get(&key), tx.get(&key));
        if !differ(before.as_ref(), after.as_ref()) {
            continue;
        }
        if is_policy(&key) {
            undo.push(before.clone().map_or_else(|| Change::Delete(key.clone()), Change::Put));
        }
        if recorded.objects.len() < OBJECTS {
            recorded.objects.extend(object(before.as_ref(), after.as_ref()));
        } else {
            recorded.more += 1;
        }
    }
    (recorded, undo)
}

/// Whether an object changed in something that may be shown.
fn differ(before: Option<&Record>, after: Option<&Record>) -> bool {
    match (before, after) {
        (Some(Record::Token(_)), _) | (_, Some(Record::Token(_))) => false,
        // Each new rule moves the serial number.
        (Some(Record::Settings(before)), Some(Record::Settings(after))) => before.quotas != after.quotas,
        (before, after) => before != after,
    }
}

/// An object before and after; `None` if it is nobody's affair.
fn object(before: Option<&Record>, after: Option<&Record>) -> Option<Object> {
    let newest = after.or(before)?;
    let Shown { kind, id, name, always } = shown(newest)?;
    let fields = [before, after].map(|record| {
        let mut fields = record.and_then(fields)?;
        // The entry says when.
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("updated");
        }
        Some(fields)
    });
    Some(Object::new(kind, id, name, fields, always))
}

struct Shown {
    kind: &'static str,
    id: String,
    name: String,
    /// Fields that say where the object belongs.
    always: &'static [&'static str],
}

/// `None`: it is not shown.
fn shown(record: &Record) -> Option<Shown> {
    let of = |kind, id: &dyn ToString, name: &str, always| {
        Some(Shown { kind, id: id.to_string(), name: name.to_owned(), always })
    };
    let labelled = |kind, id: &dyn ToString, label: &Label| of(kind, id, &label.name, &[]);
    match record {
        Record::Vpc(vpc) => labelled("vpc", &vpc.id, &vpc.label),
        Record::Group(group) => labelled("group", &group.id, &group.label),
        Record::Rule(rule) => of("rule", &rule.id, &rule.spec.name, &["group", "direction"]),
        Record::Member(member) => {
            of("member", &format!("{} {}", member.group, member.address), "", &["group"])
        }
        Record::PrefixList(list) => labelled("prefix_list", &list.id, &list.label),
        Record::PortList(list) => labelled("port_list", &list.id, &list.label),
        Record::Instance(instance) => labelled("instance", &instance.id, &instance.label),
        Record::Nic(nic) => {
            let name = if nic.label.name.is_empty() {
                nic.device.as_deref().unwrap_or_default()
            } else {
                &nic.label.name
            };
            of("nic", &nic.id, name, &["device"])
        }
        Record::AccessKey(key) => of("access_key", &key.id, "", &[]),
        Record::Demands(demands) => of("demands", &demands.document, "", &[]),
        Record::Settings(_) => of("quotas", &"quotas", "", &[]),
        Record::Token(_) => None,
    }
}

/// The fields of a record that may be shown.
fn fields(record: &Record) -> Option<Value> {
    fn json(record: &impl Serialize) -> Option<Value> {
        serde_json::to_value(record).ok()
    }
    match record {
        Record::Vpc(vpc) => json(vpc),
        Record::Group(group) => json(group),
        Record::Rule(rule) => json(rule),
        Record::Member(member) => json(member),
        Record::PrefixList(list) => json(list),
        Record::PortList(list) => json(list),
        Record::Instance(instance) => json(instance),
        Record::Nic(nic) => json(nic),
        Record::AccessKey(key) => json(&AccessKeyView::from(&**key)),
        Record::Demands(demands) => json(demands),
        Record::Settings(settings) => {
            let Settings { quotas, serial: _ } = &**settings;
            json(quotas)
        }
        Record::Token(_) => None,
    }
}
