//! Places of the model → nodes of the tree, and errors of the model → the nodes that caused them. `lower` asks which node is meant, and whether an error only follows from
//! another one.

use sg_model::{GroupIndex, InvalidPolicy, InvalidReason, Place};

use super::{node::Node, problem::Problem, read::Failure};

/// Maps an error of the model to the node that caused it.
pub(super) fn blame(root: &Node, invalid: InvalidPolicy) -> Failure<'_> {
    let InvalidPolicy { place, reason } = invalid;
    let node = node_of(root, &place).unwrap_or(root);
    let culprit = match &reason {
        InvalidReason::NoInnerAccess { .. } => node.get("inner_access"),
        InvalidReason::DuplicateRule { .. } => node.get("id"),
        InvalidReason::MixedFamilies { second, .. } => node.get(second),
        InvalidReason::GuestIpsec | InvalidReason::XdpIpsec => node.get("ipsec"),
        InvalidReason::Ethertypes(_) => node.get("ethertypes"),
        InvalidReason::GuestXdp => node.get("hook"),
        InvalidReason::GroupCount { .. } => node.get("groups"),
        InvalidReason::Duplicate { .. } => node.get("device"),
        InvalidReason::Dangling { .. }
        | InvalidReason::Misfit(_)
        | InvalidReason::GroupTwice { .. }
        | InvalidReason::MixedTypes { .. } => None,
    };
    culprit.unwrap_or(node).fails(Problem::Invalid(reason))
}

/// Whether an error of the model may only follow from a failure of reading: a rule or a NIC with one is not what is written, and
/// neither are names that cannot be read.
pub(super) fn follows(root: &Node, invalid: &InvalidPolicy, failures: &[Failure<'_>]) -> bool {
    let place = match invalid.place {
        Place::Group(_) => return matches!(invalid.reason, InvalidReason::Duplicate { .. }),
        Place::NicGroup(nic, _) => Place::Nic(nic),
        Place::Rule(_) | Place::Nic(_) => invalid.place.clone(),
    };
    let nodes: Vec<&Node> = failures.iter().map(|failure| failure.node).collect();
    node_of(root, &place).is_none_or(|node| node.holds_any(&nodes))
}

pub(super) fn node_of<'d>(root: &'d Node, place: &Place) -> Option<&'d Node> {
    let group = |GroupIndex(position): GroupIndex| root.get("groups")?.value_at(position);
    let nic = |position| root.get("nics")?.item(position);
    match *place {
        Place::Group(index) => group(index),
        Place::Rule(rule) => group(rule.group)?.get(rule.direction.name())?.item(rule.position),
        Place::Nic(position) => nic(position),
        Place::NicGroup(position, item) => nic(position)?.get("groups")?.item(item),
    }
}
