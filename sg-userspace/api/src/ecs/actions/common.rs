//! What the actions of several nouns do alike: run an operation, read a region, a group and tags, show tags and times. It must
//! never know a single action.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, Unit};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sg_records::{Group, GroupId, GroupType, Id as _, Label, Vpc, VpcId};
use sg_service::{Idempotent, Operation, State};

use super::refusals::{ErrorContext, fault};
use crate::ecs::{Call, Ecs, Fault, params::Fields};

/// Runs an operation; idempotently, if the call has a token. Of a dry run, only tries it out.
pub(super) async fn submit<O>(
    ecs: &Ecs,
    call: &Call,
    about: ErrorContext,
    operation: O,
) -> Result<O::Output, Fault>
where
    O: Operation + Sync,
    O::Output: Serialize + DeserializeOwned,
{
    let refused = |refusal| fault(&refusal, about);
    if call.dry_run {
        ecs.service.try_out(&operation).map_err(refused)?;
        return Err(Fault::would_succeed());
    }
    match call.fields().text("ClientToken") {
        None => ecs.service.submit_with(call.change.ticket(), operation).await.map_err(refused),
        Some(token) => {
            // A retry is signed anew.
            let signing =
                |name: &str| name.starts_with("Signature") || name == "Timestamp" || name == "AccessKeyId";
            let request: BTreeMap<&str, &str> =
                call.parameters.iter().filter(|(name, _)| !signing(name)).collect();
            let idempotent =
                Idempotent::new(&call.key_id, token, &(&call.action, request), operation).map_err(refused)?;
            ecs.service.submit_with(call.change.ticket(), idempotent).await.map_err(refused)
        }
    }
}

/// The region of a call that must have one.
pub(super) fn region(call: &Call) -> Result<&str, Fault> {
    call.fields().required("RegionId")
}

pub(super) fn group(state: &State, call: &Call) -> Result<Arc<Group>, Fault> {
    let region = region(call)?;
    in_region(state, region, call.fields().required("SecurityGroupId")?).cloned()
}

pub(super) fn in_region<'a>(state: &'a State, region: &str, id: &str) -> Result<&'a Arc<Group>, Fault> {
    let found = state.group(&GroupId::from(id)).filter(|group| group.region == region);
    let message = "The specified SecurityGroupId does not exist.";
    found.ok_or_else(|| Fault::not_found("InvalidSecurityGroupId.NotFound", message))
}

/// `Tag.N.Key` and `Tag.N.Value`.
pub(super) fn tags(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for tag in fields.objects("Tag")? {
        let (key, value) = (tag.required("Key")?, tag.text("Value").unwrap_or_default());
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::bad("Duplicate.TagKey", "The Tag.N.Key contain duplicate key."));
        }
    }
    Ok(tags)
}

/// Tags in the form of responses.
pub(super) fn tags_shown(label: &Label) -> Value {
    let tags: Vec<Value> =
        label.tags.iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect();
    json!({ "Tag": tags })
}

/// `2026-11-21T04:00:00Z`.
pub(super) fn time(when: Timestamp) -> String {
    when.round(Unit::Second).unwrap_or(when).to_string()
}

/// The zone of everything: there are none.
pub(super) const ZONE: &str = "";

const VSWITCH_PREFIX: &str = "vsw-";

/// The vSwitch of everything in a VPC, whose id has the letters of the VPC's. Blank: the classic network.
pub(super) fn vswitch(vpc: Option<&VpcId>) -> String {
    let letters = vpc.and_then(|vpc| vpc.as_str().strip_prefix(VpcId::PREFIX));
    letters.map(|letters| format!("{VSWITCH_PREFIX}{letters}")).unwrap_or_default()
}

/// The VPC of a vSwitch, in this region.
pub(super) fn vpc_of_vswitch<'a>(state: &'a State, region: &str, id: &str) -> Result<&'a Arc<Vpc>, Fault> {
    let letters = id.strip_prefix(VSWITCH_PREFIX);
    let vpc = letters.and_then(|letters| state.vpc(&VpcId::from(format!("{}{letters}", VpcId::PREFIX))));
    let missing = || Fault::not_found("InvalidVSwitchId.NotFound", "The specified VSwitch does not exist.");
    vpc.filter(|vpc| vpc.region == region).ok_or_else(missing)
}

/// Blank: the classic network.
pub(super) fn vpc_shown(vpc: Option<&VpcId>) -> &str {
    vpc.map_or("", VpcId::as_str)
}

/// Whether a group is of the classic network, where NICs face two networks. A closed group without a VPC is of its region.
pub(super) fn is_classic(group: &Group) -> bool {
    group.vpc.is_none() && group.kind != GroupType::Closed
}
