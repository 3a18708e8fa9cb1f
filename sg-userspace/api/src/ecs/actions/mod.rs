//! The actions: one file a noun, each with its own table. An action reads the parameters that it declares, runs one operation of
//! the domain and formats the result; it must never have quotas or refusals of its own.

mod action;
mod attachment;
mod common;
mod diagnostics;
mod filters;
mod groups;
mod instances;
mod interfaces;
mod lists;
mod machines;
mod membership;
mod pagination;
mod parameter;
mod permission;
mod refusals;
mod resources;
mod rules;
mod tags;
mod vpcs;

pub use action::Action;
#[cfg(test)]
pub(in crate::ecs) use pagination::token;
pub use parameter::{EVERY, Effect, Parameter};

/// A noun, as a heading, and its actions.
pub type Noun = (&'static str, &'static [Action]);

/// All actions, in the order of the documentation.
pub const NOUNS: [Noun; 13] = [
    ("Groups", groups::ACTIONS),
    ("Rules", rules::ACTIONS),
    ("Groups of instances and NICs", membership::ACTIONS),
    ("Prefix lists", lists::PREFIX_LISTS),
    ("Port lists", lists::PORT_LISTS),
    ("Regions and VPCs", resources::ACTIONS),
    ("Instances", instances::ACTIONS),
    ("NICs", interfaces::ACTIONS),
    ("Registering NICs", attachment::ACTIONS),
    ("What else is asked of instances", machines::ACTIONS),
    ("VPCs and vSwitches", vpcs::ACTIONS),
    ("Tags and resource groups", tags::ACTIONS),
    ("Reports", diagnostics::ACTIONS),
];

/// The action of this name.
pub(super) fn action(name: &str) -> Option<&'static Action> {
    NOUNS.iter().flat_map(|(_, actions)| *actions).find(|action| action.name == name)
}
