//! Operations on access keys, and on quotas.
//!
//! This file generates secrets; a message must never contain one. The native API calls it through `Service`.

use rand::RngExt as _;
use sg_api_types::{CreateAccessKey, DeleteAccessKey, ModifyQuotas, NewAccessKey};
use sg_records::{AccessKey, AccessKeyId, GroupType, Id as _, Quotas, Settings, project_id};
use sg_store::Key;

use super::{
    Field, Kind, Operation, Refusal, Tx,
    labels::{region, remark},
    quota,
};

const SECRET_LENGTH: usize = 40;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Operation for CreateAccessKey {
    type Output = NewAccessKey;

    fn run(&self, tx: &mut Tx) -> Result<NewAccessKey, Refusal> {
        let mut rng = rand::rng();
        let letters = (0..SECRET_LENGTH).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
        let (id, secret): (_, String) = (AccessKeyId::random(), letters.collect());
        let description = self.description.clone();
        remark(&description)?;
        let (role, project_id) = (self.role, project_id(&region(&self.region)?));
        tx.put(AccessKey { id: id.clone(), secret: secret.clone(), role, description, created: tx.now() });
        Ok(NewAccessKey { id, secret, role, project_id })
    }
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

/// Checks that the quotas have allowed values.
pub(super) fn check_quotas(quotas: &Quotas) -> Result<(), Refusal> {
    for kind in GroupType::ALL {
        let (found, most) = (quota::groups_per_nic(quotas, kind).1, kind.max_per_nic());
        if !(1..=most).contains(&(found as usize)) {
            let allowed = format!("1 to {most} groups of this type on a NIC");
            return Err(Refusal::invalid(Field::Quota, found, allowed));
        }
    }
    Ok(())
}

/// Checks that [`CreateAccessKey`] could have created the key.
pub(super) fn check_key(key: &AccessKey) -> Result<(), Refusal> {
    if key.secret.len() != SECRET_LENGTH || !key.secret.bytes().all(|byte| LETTERS.contains(&byte)) {
        let allowed = format!("{SECRET_LENGTH} letters and digits");
        // A message must not contain the secret itself.
        return Err(Refusal::Missing { field: Field::Stored("secret"), allowed });
    }
    remark(&key.description)
}

impl Operation for ModifyQuotas {
    type Output = Quotas;

    fn run(&self, tx: &mut Tx) -> Result<Quotas, Refusal> {
        let before = &tx.settings().quotas;
        let quotas = Quotas {
            groups_per_nic: self.groups_per_nic.unwrap_or(before.groups_per_nic),
            closed_groups_per_nic: self.closed_groups_per_nic.unwrap_or(before.closed_groups_per_nic),
            rules_per_nic: self.rules_per_nic.unwrap_or(before.rules_per_nic),
            members_per_basic_group: self.members_per_basic_group.unwrap_or(before.members_per_basic_group),
            members_per_enterprise_group: self
                .members_per_enterprise_group
                .unwrap_or(before.members_per_enterprise_group),
            group_references_per_group: self
                .group_references_per_group
                .unwrap_or(before.group_references_per_group),
            members_per_closed_group: self
                .members_per_closed_group
                .unwrap_or(before.members_per_closed_group),
            composite_rules_per_nic: self.composite_rules_per_nic.unwrap_or(before.composite_rules_per_nic),
            closed_groups_per_region: self
                .closed_groups_per_region
                .unwrap_or(before.closed_groups_per_region),
            closed_rules_per_region: self.closed_rules_per_region.unwrap_or(before.closed_rules_per_region),
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
