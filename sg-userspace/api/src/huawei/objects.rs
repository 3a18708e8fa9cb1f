//! The objects that a request names by their ids: those of the project that it is for. It must never decide what becomes of an
//! object, nor know which operation asks.

use std::sync::Arc;

use sg_records::{Group, Id, Instance, Nic, PrefixList, Rule, Vpc, id_of};
use sg_service::State;

use super::{Call, ids::uuid};

/// The id of a generated kind that a text stands for.
pub(super) fn id<I: Id>(text: &str) -> Option<I> {
    id_of(uuid(text)?)
}

/// The group with this id.
pub(super) fn group<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<Group>> {
    state.group(&id(text)?).filter(|group| group.region == call.project.region)
}

/// The NIC with this id.
pub(super) fn nic<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<Nic>> {
    state.nic_by_uuid(uuid(text)?).filter(|nic| nic.region == call.project.region)
}

/// The instance with this id.
pub(super) fn instance<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<Instance>> {
    state.instance_by_uuid(uuid(text)?).filter(|instance| instance.region == call.project.region)
}

/// The VPC with this id.
pub(super) fn vpc<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<Vpc>> {
    state.vpc(&id(text)?).filter(|vpc| vpc.region == call.project.region)
}

/// The rule with this id.
pub(super) fn rule<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<Rule>> {
    let is_of_project =
        |rule: &&Arc<Rule>| state.group(&rule.group).is_some_and(|group| group.region == call.project.region);
    state.rule(&id(text)?).filter(is_of_project)
}

/// The address group with this id.
pub(super) fn address_group<'a>(state: &'a State, call: &Call, text: &str) -> Option<&'a Arc<PrefixList>> {
    state.prefix_list(&id(text)?).filter(|list| list.region == call.project.region)
}
