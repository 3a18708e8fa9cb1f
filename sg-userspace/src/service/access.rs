//! Operations on access keys and settings.

use jiff::Timestamp;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Field, Kind, Operation, Refusal, Tx, labels::remark};
use crate::{
    model::MAX_GROUPS_PER_NIC,
    store::{AccessKey, Key, KeyId, Limits, Settings},
};

const SECRET_LENGTH: usize = 40;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Make a key that signs requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateKey {
    /// For people.
    pub description: String,
}

/// A key as it is shown once, when it is made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// What signatures are made with. Nothing shows it again.
    pub secret: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Operation for CreateKey {
    type Output = NewKey;

    fn run(&self, tx: &mut Tx) -> Result<NewKey, Refusal> {
        let mut rng = rand::rng();
        let letters = (0..SECRET_LENGTH).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
        let (id, secret): (_, String) = (KeyId::random(), letters.collect());
        let description = self.description.clone();
        remark(&description)?;
        tx.put(AccessKey { id: id.clone(), secret: secret.clone(), description, created: tx.now() });
        Ok(NewKey { id, secret })
    }
}

/// A key as it is shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// For people.
    pub description: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

impl From<&AccessKey> for KeyView {
    fn from(key: &AccessKey) -> Self {
        Self { id: key.id.clone(), description: key.description.clone(), created: key.created }
    }
}

/// Delete a key: what it signs is refused from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteKey {
    /// Its id.
    pub key: String,
}

impl Operation for DeleteKey {
    type Output = KeyId;

    fn run(&self, tx: &mut Tx) -> Result<KeyId, Refusal> {
        let id = KeyId::from(self.key.as_str());
        if tx.key(&id).is_none() {
            return Err(Refusal::NotFound { kind: Kind::AccessKey, name: self.key.clone(), hint: None });
        }
        tx.delete(Key::AccessKey(id.clone()));
        Ok(id)
    }
}

/// Checks that the quotas are values that can be set.
pub(super) fn check_limits(limits: &Limits) -> Result<(), Refusal> {
    let found = limits.groups_per_nic;
    if !(1..=MAX_GROUPS_PER_NIC as u32).contains(&found) {
        let allowed = format!("1 to {MAX_GROUPS_PER_NIC} groups on a NIC");
        return Err(Refusal::Invalid { field: Field::Limit, found: found.to_string(), allowed });
    }
    Ok(())
}

/// Checks that [`CreateKey`] could have made the key.
pub(super) fn check_key(key: &AccessKey) -> Result<(), Refusal> {
    if key.secret.len() != SECRET_LENGTH || !key.secret.bytes().all(|byte| LETTERS.contains(&byte)) {
        let allowed = format!("{SECRET_LENGTH} letters and digits");
        // A message must not contain the secret itself.
        return Err(Refusal::Missing { field: Field::Stored("secret"), allowed });
    }
    remark(&key.description)
}

/// Change limits; what is left out stays. What is there already may be over a new limit: it stays, and grows no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyLimits {
    /// See [`Limits`].
    pub groups_per_nic: Option<u32>,
    /// See [`Limits`].
    pub rules_per_nic: Option<u32>,
    /// See [`Limits`].
    pub members_per_basic_group: Option<u32>,
    /// See [`Limits`].
    pub members_per_enterprise_group: Option<u32>,
    /// See [`Limits`].
    pub group_references_per_group: Option<u32>,
    /// See [`Limits`].
    pub groups_per_region: Option<u32>,
    /// See [`Limits`].
    pub entries_per_prefix_list: Option<u32>,
    /// See [`Limits`].
    pub entries_per_port_list: Option<u32>,
    /// See [`Limits`].
    pub rules_per_import: Option<u32>,
    /// See [`Limits`].
    pub rules_per_operation: Option<u32>,
    /// See [`Limits`].
    pub tags: Option<u32>,
}

impl Operation for ModifyLimits {
    type Output = Limits;

    fn run(&self, tx: &mut Tx) -> Result<Limits, Refusal> {
        let before = &tx.settings().limits;
        let limits = Limits {
            groups_per_nic: self.groups_per_nic.unwrap_or(before.groups_per_nic),
            rules_per_nic: self.rules_per_nic.unwrap_or(before.rules_per_nic),
            members_per_basic_group: self.members_per_basic_group.unwrap_or(before.members_per_basic_group),
            members_per_enterprise_group: self
                .members_per_enterprise_group
                .unwrap_or(before.members_per_enterprise_group),
            group_references_per_group: self
                .group_references_per_group
                .unwrap_or(before.group_references_per_group),
            groups_per_region: self.groups_per_region.unwrap_or(before.groups_per_region),
            entries_per_prefix_list: self.entries_per_prefix_list.unwrap_or(before.entries_per_prefix_list),
            entries_per_port_list: self.entries_per_port_list.unwrap_or(before.entries_per_port_list),
            rules_per_import: self.rules_per_import.unwrap_or(before.rules_per_import),
            rules_per_operation: self.rules_per_operation.unwrap_or(before.rules_per_operation),
            tags: self.tags.unwrap_or(before.tags),
        };
        check_limits(&limits)?;
        let settings = Settings { limits: limits.clone(), ..tx.settings().clone() };
        tx.put(settings);
        Ok(limits)
    }
}
