//! Operations on access keys and settings.

use jiff::Timestamp;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Field, Kind, Operation, Refusal, Tx, labels::remark};
use crate::{
    model::MAX_GROUPS_PER_NIC,
    store::{AccessKey, AccessKeyId, Key, Quotas, Settings},
};

const SECRET_LENGTH: usize = 40;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Make a key that signs requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateAccessKey {
    /// For people.
    pub description: String,
}

/// A key as it is shown once, when it is made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewAccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// What signatures are made with. Nothing shows it again.
    pub secret: String,
}

impl std::fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Operation for CreateAccessKey {
    type Output = NewAccessKey;

    fn run(&self, tx: &mut Tx) -> Result<NewAccessKey, Refusal> {
        let mut rng = rand::rng();
        let letters = (0..SECRET_LENGTH).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
        let (id, secret): (_, String) = (AccessKeyId::random(), letters.collect());
        let description = self.description.clone();
        remark(&description)?;
        tx.put(AccessKey { id: id.clone(), secret: secret.clone(), description, created: tx.now() });
        Ok(NewAccessKey { id, secret })
    }
}

/// A key as it is shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKeyView {
    /// Its id.
    pub id: AccessKeyId,
    /// For people.
    pub description: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

impl From<&AccessKey> for AccessKeyView {
    fn from(key: &AccessKey) -> Self {
        Self { id: key.id.clone(), description: key.description.clone(), created: key.created }
    }
}

/// Delete a key: what it signs is refused from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccessKey {
    /// Its id.
    pub key: String,
}

impl Operation for DeleteAccessKey {
    type Output = AccessKeyId;

    fn run(&self, tx: &mut Tx) -> Result<AccessKeyId, Refusal> {
        let id = AccessKeyId::from(self.key.as_str());
        if tx.access_key(&id).is_none() {
            return Err(Refusal::NotFound { kind: Kind::AccessKey, name: self.key.clone(), hint: None });
        }
        tx.delete(Key::AccessKey(id.clone()));
        Ok(id)
    }
}

/// Checks that the quotas are values that can be set.
pub(super) fn check_quotas(quotas: &Quotas) -> Result<(), Refusal> {
    let found = quotas.groups_per_nic;
    if !(1..=MAX_GROUPS_PER_NIC as u32).contains(&found) {
        let allowed = format!("1 to {MAX_GROUPS_PER_NIC} groups on a NIC");
        return Err(Refusal::Invalid { field: Field::Quota, found: found.to_string(), allowed });
    }
    Ok(())
}

/// Checks that [`CreateAccessKey`] could have made the key.
pub(super) fn check_key(key: &AccessKey) -> Result<(), Refusal> {
    if key.secret.len() != SECRET_LENGTH || !key.secret.bytes().all(|byte| LETTERS.contains(&byte)) {
        let allowed = format!("{SECRET_LENGTH} letters and digits");
        // A message must not contain the secret itself.
        return Err(Refusal::Missing { field: Field::Stored("secret"), allowed });
    }
    remark(&key.description)
}

/// Change quotas; what is left out stays. What is there already may be over a new quota: it stays, and grows no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyQuotas {
    /// See [`Quotas`].
    pub groups_per_nic: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_nic: Option<u32>,
    /// See [`Quotas`].
    pub members_per_basic_group: Option<u32>,
    /// See [`Quotas`].
    pub members_per_enterprise_group: Option<u32>,
    /// See [`Quotas`].
    pub group_references_per_group: Option<u32>,
    /// See [`Quotas`].
    pub groups_per_region: Option<u32>,
    /// See [`Quotas`].
    pub entries_per_prefix_list: Option<u32>,
    /// See [`Quotas`].
    pub entries_per_port_list: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_import: Option<u32>,
    /// See [`Quotas`].
    pub rules_per_operation: Option<u32>,
    /// See [`Quotas`].
    pub tags: Option<u32>,
}

impl Operation for ModifyQuotas {
    type Output = Quotas;

    fn run(&self, tx: &mut Tx) -> Result<Quotas, Refusal> {
        let before = &tx.settings().quotas;
        let quotas = Quotas {
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
        check_quotas(&quotas)?;
        let settings = Settings { quotas: quotas.clone(), ..tx.settings().clone() };
        tx.put(settings);
        Ok(quotas)
    }
}
