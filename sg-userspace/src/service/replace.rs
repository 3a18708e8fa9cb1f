//! Everything there is, replaced by what an export holds. Where the export has no secrets, the keys that are there stay.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Field, Kind, Operation, Refusal, State, Tx, device_of, policy_for};
use crate::{
    model::DeviceFacts,
    store::{Key, Record, transfer},
};

/// Replace everything by an export.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplaceState {
    /// The export.
    pub text: String,
}

/// How much there is afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replaced {
    /// Records that went.
    pub removed: usize,
    /// Records that are new or others than before.
    pub put: usize,
}

impl Operation for ReplaceState {
    type Output = Replaced;

    fn run(&self, tx: &mut Tx) -> Result<Replaced, Refusal> {
        let imported = transfer::import(self.text.as_bytes()).map_err(|error| Refusal::Invalid {
            field: Field::File,
            found: "state".to_owned(),
            allowed: error.to_string(),
        })?;
        let secret = |record: &Record| matches!(record, Record::AccessKey(_) | Record::Token(_));
        let wanted = State::new(imported.records.iter().cloned());
        let gone: Vec<Key> = tx
            .records()
            .filter(|record| (imported.secrets || !secret(record)) && wanted.get(&record.key()).is_none())
            .map(|record| record.key())
            .filter(|key| *key != Key::Settings(()))
            .collect();
        let new: Vec<Record> = imported
            .records
            .into_iter()
            .filter(|record| tx.get(&record.key()).as_ref() != Some(record))
            .collect();
        let replaced = Replaced { removed: gone.len(), put: new.len() };
        for key in gone {
            tx.delete(key);
        }
        for record in new {
            tx.put(record);
        }
        whole(tx)?;
        Ok(replaced)
    }
}

/// Whether everything that is named is there. A file may have been edited.
fn whole(state: &State) -> Result<(), Refusal> {
    let missing = |kind, name: &str| Err(Refusal::NotFound { kind, name: name.to_owned(), hint: None });
    for rule in state.rules().values() {
        if state.group(&rule.group).is_none() {
            return missing(Kind::Group, rule.group.as_str());
        }
    }
    for group in state.groups().values() {
        if let Some(vpc) = group.vpc.as_ref().filter(|vpc| state.vpc(vpc).is_none()) {
            return missing(Kind::Vpc, vpc.as_str());
        }
    }
    for nic in state.nics().values() {
        if let Some(instance) = nic.instance.as_ref().filter(|id| state.instance(id).is_none()) {
            return missing(Kind::Instance, instance.as_str());
        }
        if let Some(vpc) = nic.vpc.as_ref().filter(|vpc| state.vpc(vpc).is_none()) {
            return missing(Kind::Vpc, vpc.as_str());
        }
        if let Some(group) = nic.groups.iter().find(|group| state.group(group).is_none()) {
            return missing(Kind::Group, group.as_str());
        }
        let taken = nic.device.as_ref().and_then(|device| state.nic_of_device(device));
        if let Some(other) = taken.filter(|other| other.id != nic.id) {
            return Err(Refusal::DeviceTaken { device: device_of(nic), nic: other.id.clone() });
        }
    }
    // The NICs of this host are judged by the model when the policy is made; one of another host stands for the rest.
    if let Some(nic) = state.nics().values().find(|nic| nic.device.is_none()) {
        policy_for(state, nic, |_| DeviceFacts::default())
            .map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
    }
    Ok(())
}
