//! Operations that change which groups a NIC holds, their order, and the members of a group on other hosts.
//!
//! This file never changes the rules of a group. Every API calls it through `Service`; `nics` and `apply` call its checks.

use std::net::IpAddr;

use sg_api_types::{ChangeMembers, Join, Leave, Move, MoveGroup, Moved, SetGroups};
use sg_records::{Group, GroupId, GroupType, Member, Nic, NicType, Order};
use sg_store::Key;

use super::{
    Field, Operation, Refusal, State, Tx, order_of,
    quota::{self, Weights},
};

/// Checks whether a NIC may hold its groups. `before` are the groups that it already held, which gain no member.
pub(super) fn check_groups(tx: &Tx, nic: &Nic, before: &[GroupId]) -> Result<(), Refusal> {
    check_each(tx, nic, before, &mut Weights::new())
}

/// The same, of one of many NICs: `weights` caches the groups that were already counted.
pub(super) fn check_each(
    tx: &Tx,
    nic: &Nic,
    before: &[GroupId],
    weights: &mut Weights,
) -> Result<(), Refusal> {
    fit_together(tx, nic, |kind| u64::from(quota::groups_per_nic(&tx.settings().quotas, kind).1))?;
    // An older state may have such NICs. Their groups can still be taken away and moved.
    if !mixes(tx, before) {
        in_one_order(tx, nic)?;
    }
    for id in nic.groups.iter().filter(|id| !before.contains(id)) {
        quota::members_of_group(tx, tx.find_group(id.as_str())?)?;
    }
    quota::rules_of_nic(tx, nic, weights)
}

/// Whether groups of a region and of a VPC are among these.
fn mixes(state: &State, groups: &[GroupId]) -> bool {
    let mut regional = groups.iter().filter_map(|id| state.group(id)).map(|group| group.is_regional());
    regional.next().is_some_and(|first| regional.any(|other| other != first))
}

/// Checks that a group of the region does not change how the groups of the VPC combine: with one, a NIC has the order `sequence`, and
/// under `merged` a rule that was behind could come first.
pub(super) fn in_one_order(state: &State, nic: &Nic) -> Result<(), Refusal> {
    let Some(vpc) = nic.vpc.as_ref().and_then(|vpc| state.vpc(vpc)) else { return Ok(()) };
    if vpc.order == Order::Sequence || !mixes(state, &nic.groups) {
        return Ok(());
    }
    let allowed = format!(
        "{} would hold groups of this VPC and closed groups without a VPC, which are evaluated in order: set the order of VPC {} to \
         sequence first, or use groups of one of both",
        state.called_nic(nic),
        vpc.id
    );
    Err(Refusal::invalid(Field::Vpc, &vpc.label.name, allowed))
}

/// Checks that the groups of a NIC exist, are at most as many as are allowed of their type, are in its network, and are of one type.
pub(super) fn fit_together(
    state: &State,
    nic: &Nic,
    allowed: impl FnOnce(GroupType) -> u64,
) -> Result<(), Refusal> {
    if nic.groups.is_empty() {
        let allowed = "a NIC holds at least one group".to_owned();
        return Err(Refusal::Missing { field: Field::Groups, allowed });
    }
    let kind = nic.groups.iter().find_map(|id| state.group(id)).map(|group| group.kind).unwrap_or_default();
    let (needed, allowed) = (nic.groups.len() as u64, allowed(kind).min(kind.max_per_nic() as u64));
    quota::groups_per_nic(&state.settings().quotas, kind).0.check(state.called_nic(nic), needed, allowed)?;
    let mut first: Option<&Group> = None;
    for (place, id) in nic.groups.iter().enumerate() {
        let group: &Group = state.find_group(id.as_str())?;
        if nic.groups[..place].contains(id) {
            return Err(Refusal::invalid(Field::Groups, id, "each group once"));
        }
        same_network(state, group, nic)?;
        if let Some(first) = first
            && first.kind != group.kind
        {
            return Err(Refusal::MixedTypes { group: id.clone(), other: first.id.clone() });
        }
        first = first.or(Some(group));
    }
    Ok(())
}

fn same_network(state: &State, group: &Group, nic: &Nic) -> Result<(), Refusal> {
    if group.region == nic.region && (group.vpc == nic.vpc || group.is_regional()) {
        if group.kind == GroupType::Closed && nic.nic_type == NicType::Internet {
            let allowed = "intranet for a NIC that holds closed groups: their rules are for no other network";
            return Err(Refusal::invalid(Field::NicType, nic.nic_type, allowed));
        }
        return Ok(());
    }
    let (what, with) = (state.called_group(group).to_string(), state.called_nic(nic).to_string());
    if group.region != nic.region {
        return Err(Refusal::OtherNetwork { what, with, networks: "regions" });
    }
    if group.vpc.is_some() != nic.vpc.is_some() {
        return Err(Refusal::OtherNetwork { what, with, networks: "network types" });
    }
    Err(Refusal::OtherVpc {
        what,
        found: state.network(group.vpc.as_ref()).into(),
        with,
        wanted: state.network(nic.vpc.as_ref()).into(),
        demand: "a NIC holds only groups of its own VPC",
    })
}

/// Replaces the groups of a NIC, if it may hold the new ones.
fn hold(tx: &mut Tx, nic: &Nic, groups: Vec<GroupId>) -> Result<Nic, Refusal> {
    let before = nic.groups.clone();
    let nic = tx.dated(Nic { groups, ..nic.clone() });
    if nic.groups != before {
        tx.put(nic.clone());
        check_groups(tx, &nic, &before)?;
    }
    Ok(nic)
}

fn targets(tx: &Tx, texts: &[String]) -> Result<Vec<Nic>, Refusal> {
    if texts.is_empty() {
        return Err(Refusal::NothingToChange);
    }
    texts.iter().map(|text| Ok(Nic::clone(tx.find_target(text)?))).collect()
}

fn groups(tx: &Tx, texts: &[String]) -> Result<Vec<GroupId>, Refusal> {
    if texts.is_empty() {
        return Err(Refusal::NothingToChange);
    }
    texts.iter().map(|text| Ok(tx.find_group(text)?.id.clone())).collect()
}

impl Operation for Join {
    type Output = Vec<Nic>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<Nic>, Refusal> {
        let new = groups(tx, &self.groups)?;
        let mut changed = Vec::new();
        for nic in targets(tx, &self.targets)? {
            if let Some(group) = new.iter().find(|group| nic.groups.contains(group)) {
                return Err(Refusal::AlreadyMember { nic: nic.id, group: group.clone() });
            }
            let place = self.place.unwrap_or(nic.groups.len());
            if place > nic.groups.len() {
                let allowed = format!("0 (first) to {} (last)", nic.groups.len());
                return Err(Refusal::invalid(Field::Place, place, allowed));
            }
            let mut all = nic.groups.clone();
            all.splice(place..place, new.iter().cloned());
            changed.push(hold(tx, &nic, all)?);
        }
        Ok(changed)
    }
}

impl Operation for Leave {
    type Output = Vec<Nic>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<Nic>, Refusal> {
        let old = groups(tx, &self.groups)?;
        let mut changed = Vec::new();
        for nic in targets(tx, &self.targets)? {
            if let Some(group) = old.iter().find(|group| !nic.groups.contains(group)) {
                return Err(Refusal::NotMember { nic: nic.id, group: group.clone() });
            }
            let left: Vec<GroupId> =
                nic.groups.iter().filter(|group| !old.contains(group)).cloned().collect();
            if let (true, Some(group)) = (left.is_empty(), nic.groups.last()) {
                return Err(Refusal::LastGroup { nic: nic.id.clone(), group: group.clone() });
            }
            changed.push(hold(tx, &nic, left)?);
        }
        Ok(changed)
    }
}

impl Operation for SetGroups {
    type Output = Nic;

    fn run(&self, tx: &mut Tx) -> Result<Nic, Refusal> {
        let nic = Nic::clone(tx.find_target(&self.target)?);
        let ids: Result<Vec<GroupId>, Refusal> =
            self.groups.iter().map(|text| Ok(tx.find_group(text)?.id.clone())).collect();
        let nic_with = tx.dated(Nic { groups: ids?, ..nic.clone() });
        tx.put(nic_with.clone());
        check_groups(tx, &nic_with, &nic.groups)?;
        Ok(nic_with)
    }
}

impl Operation for MoveGroup {
    type Output = Moved;

    fn run(&self, tx: &mut Tx) -> Result<Moved, Refusal> {
        let nic = Nic::clone(tx.find_target(&self.target)?);
        let group = tx.find_group(&self.group)?.id.clone();
        let Some(from) = nic.groups.iter().position(|held| *held == group) else {
            return Err(Refusal::NotMember { nic: nic.id, group });
        };
        let last = nic.groups.len() - 1;
        let to = match self.to {
            Move::Up => from.saturating_sub(1),
            Move::Down => (from + 1).min(last),
            Move::To(place) if place <= last => place,
            Move::To(place) => {
                let allowed = format!("0 (first) to {last} (last)");
                return Err(Refusal::invalid(Field::Place, place, allowed));
            }
        };
        let mut groups = nic.groups.clone();
        let moved = groups.remove(from);
        groups.insert(to, moved);
        let nic = hold(tx, &nic, groups)?;
        Ok(Moved { order: order_of(tx, &nic), nic })
    }
}

/// Checks whether an address can be a member.
pub(super) fn member_address(address: IpAddr) -> Result<(), Refusal> {
    if address.is_unspecified() || address.is_multicast() {
        return Err(Refusal::invalid(Field::Address, address, "the address of a NIC"));
    }
    Ok(())
}

/// Checks that it is known which NICs reach an address that is a member of a group: those in the group's VPC.
pub(super) fn knows_vpc(group: &Group) -> Result<(), Refusal> {
    if group.is_regional() {
        return Err(Refusal::RegionalMember { group: group.id.clone() });
    }
    Ok(())
}

impl Operation for ChangeMembers {
    /// The number of members on other hosts that the group has afterwards.
    type Output = usize;

    fn run(&self, tx: &mut Tx) -> Result<usize, Refusal> {
        let group = Group::clone(tx.find_group(&self.group)?);
        if self.add.is_empty() && self.remove.is_empty() {
            return Err(Refusal::NothingToChange);
        }
        for &address in &self.remove {
            if tx.member(&group.id, address).is_none() {
                return Err(Refusal::NoMemberAddress { address, group: group.id });
            }
            tx.delete(Key::Member((group.id.clone(), address)));
        }
        for &address in &self.add {
            member_address(address)?;
            knows_vpc(&group)?;
            if tx.member(&group.id, address).is_none() {
                tx.put(Member { group: group.id.clone(), address, owner: None });
            }
        }
        quota::members_of_group(tx, &group)?;
        Ok(tx.members_of(&group.id).count())
    }
}
