//! The operation that changes tags of several objects at once, all of them or none.
//!
//! It must never check what a tag may say, nor how many there may be: `labels` does. The ECS API calls it through `Service`.

use std::collections::BTreeMap;

use sg_api_types::LabelChange;
use sg_records::Label;
use sg_store::{Key, Record};

use super::{Kind, Operation, Refusal, Tx, labels::changed};

/// Changes the tags of groups, instances, NICs, lists or VPCs.
#[derive(Clone, Debug, Default)]
pub struct ChangeTags {
    /// The objects, which have all of these keys.
    pub objects: Vec<Key>,
    /// Which of their tags go.
    pub remove: Removed,
    /// The tags that they get; one with the same key is replaced.
    pub set: BTreeMap<String, String>,
}

/// The tags that go.
#[derive(Clone, Debug)]
pub enum Removed {
    /// Those with these keys; with a value, only if they have it.
    These(BTreeMap<String, Option<String>>),
    /// All.
    All,
}

impl Default for Removed {
    fn default() -> Self {
        Self::These(BTreeMap::new())
    }
}

impl Removed {
    fn has(&self, key: &str, value: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => {
                these.get(key).is_some_and(|wanted| wanted.as_ref().is_none_or(|wanted| wanted == value))
            }
        }
    }
}

impl Operation for ChangeTags {
    type Output = ();

    fn run(&self, tx: &mut Tx) -> Result<(), Refusal> {
        for key in &self.objects {
            let record = tx.get(key).ok_or_else(|| missing(key))?;
            let record: Record = match record {
                Record::Vpc(found) => self.of(tx, &*found, |vpc| &mut vpc.label)?.into(),
                Record::Group(found) => self.of(tx, &*found, |group| &mut group.label)?.into(),
                Record::PrefixList(found) => self.of(tx, &*found, |list| &mut list.label)?.into(),
                Record::PortList(found) => self.of(tx, &*found, |list| &mut list.label)?.into(),
                Record::Instance(found) => self.of(tx, &*found, |instance| &mut instance.label)?.into(),
                Record::Nic(found) => self.of(tx, &*found, |nic| &mut nic.label)?.into(),
                // Nothing else has tags.
                _ => return Err(missing(key)),
            };
            if tx.get(key).as_ref() != Some(&record) {
                tx.put(record);
            }
        }
        Ok(())
    }
}

impl ChangeTags {
    /// The object with its new tags.
    fn of<T: Clone>(
        &self,
        tx: &Tx,
        found: &T,
        label_of: impl Fn(&mut T) -> &mut Label,
    ) -> Result<T, Refusal> {
        let mut new = found.clone();
        let label = label_of(&mut new);
        label.tags.retain(|key, value| !self.remove.has(key, value));
        // What only loses tags may have more than the quota allows by now.
        if !self.set.is_empty() {
            let mut tags = label.tags.clone();
            tags.extend(self.set.clone());
            *label = changed(tx, label, &LabelChange { tags: Some(tags), ..LabelChange::default() })?;
        }
        Ok(new)
    }
}

fn missing(key: &Key) -> Refusal {
    let (kind, name) = match key {
        Key::Vpc(id) => (Kind::Vpc, id.to_string()),
        Key::Group(id) => (Kind::Group, id.to_string()),
        Key::Rule(id) => (Kind::Rule, id.to_string()),
        Key::PrefixList(id) => (Kind::PrefixList, id.to_string()),
        Key::PortList(id) => (Kind::PortList, id.to_string()),
        Key::Instance(id) => (Kind::Instance, id.to_string()),
        Key::Nic(id) => (Kind::Nic, id.to_string()),
        Key::AccessKey(id) => (Kind::AccessKey, id.to_string()),
        other => (Kind::Group, other.to_string()),
    };
    Refusal::NotFound { kind, name, hint: None }
}
