//! Checks whether parts form a policy. It must never look beyond the parts.
//!
//! Called by [`Policy::checked`](super::Policy::checked).

use foldhash::{HashSet, HashSetExt as _};

use super::{
    Direction, FamilyName, Group, GroupIndex, Hook, InvalidPolicy, InvalidReason, Ipsec, Named, Nic, Place,
    PolicyParts, Role, Rule, RuleIndex, fit_one_nic,
};

/// The first `most` problems of the parts, in the order of the document.
pub(super) fn problems(parts: &PolicyParts, most: usize) -> Vec<InvalidPolicy> {
    let mut problems = Problems { found: Vec::new(), most };
    let parts = Parts { parts };
    // It ends where there is no room for more.
    let _ = parts.check_groups(&mut problems).and_then(|()| parts.check_nics(&mut problems));
    problems.found
}

/// The problems found so far, up to a maximum.
struct Problems {
    found: Vec<InvalidPolicy>,
    most: usize,
}

/// The maximum number of problems is reached.
struct Full;

impl Problems {
    fn note(&mut self, place: Place, reason: InvalidReason) -> Result<(), Full> {
        self.found.push(InvalidPolicy { place, reason });
        if self.found.len() < self.most { Ok(()) } else { Err(Full) }
    }
}

/// The parts to check.
struct Parts<'p> {
    parts: &'p PolicyParts,
}

impl Parts<'_> {
    fn check_groups(&self, problems: &mut Problems) -> Result<(), Full> {
        let mut names = HashSet::new();
        for (position, group) in self.parts.groups.iter().enumerate() {
            let index = GroupIndex(position);
            let here = Place::Group(index);
            if !names.insert(&group.name) {
                let reason = InvalidReason::Duplicate { what: "group", name: group.name.clone() };
                problems.note(here.clone(), reason)?;
            }
            if group.inner_access && !group.kind.is_open() {
                problems.note(here, InvalidReason::NoInnerAccess { kind: group.kind })?;
            }
            for direction in [Direction::Ingress, Direction::Egress] {
                let mut seen = HashSet::new();
                for (position, rule) in group.rules(direction).iter().enumerate() {
                    let place = Place::Rule(RuleIndex { group: index, direction, position });
                    if !seen.insert(&rule.id) {
                        let reason = InvalidReason::DuplicateRule { id: rule.id.clone() };
                        problems.note(place.clone(), reason)?;
                    }
                    if let Err(reason) = self.check_rule(rule) {
                        problems.note(place, reason)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), InvalidReason> {
        rule.matches.fits()?;
        for named in rule.matches.named() {
            let (exists, what) = match named {
                Named::Group(group) => (group.0 < self.parts.groups.len(), "group"),
                Named::PrefixList(list) => (list.0 < self.parts.prefix_lists.len(), "prefix list"),
                Named::PortList(list) => (list.0 < self.parts.port_lists.len(), "port list"),
            };
            if !exists {
                return Err(InvalidReason::Dangling { what });
            }
        }
        if let Some([(first, first_family), (second, second_family)]) = rule.matches.mixed_families(|_| None)
        {
            let (first, second) = (first.key(), second.key());
            let (first_family, second_family) = (FamilyName(first_family), FamilyName(second_family));
            return Err(InvalidReason::MixedFamilies { first, first_family, second, second_family });
        }
        Ok(())
    }

    fn check_nics(&self, problems: &mut Problems) -> Result<(), Full> {
        let mut devices = HashSet::new();
        for (position, nic) in self.parts.nics.iter().enumerate() {
            let place = || Place::Nic(position);
            if !devices.insert(&nic.device) {
                let reason = InvalidReason::Duplicate { what: "device", name: nic.device.clone() };
                problems.note(place(), reason)?;
            }
            if (nic.role, nic.hook) == (Role::Guest, Hook::Xdp) {
                problems.note(place(), InvalidReason::GuestXdp)?;
            }
            if (nic.role, nic.ipsec_written) == (Role::Guest, Some(Ipsec::Pass)) {
                problems.note(place(), InvalidReason::GuestIpsec)?;
            }
            if (nic.hook, nic.ipsec_written) == (Hook::Xdp, Some(Ipsec::Judge)) {
                problems.note(place(), InvalidReason::XdpIpsec)?;
            }
            if let Err(why) = fit_one_nic(&nic.ethertypes) {
                problems.note(place(), why.into())?;
            }
            self.check_groups_of(nic, position, problems)?;
        }
        Ok(())
    }

    fn check_groups_of(&self, nic: &Nic, position: usize, problems: &mut Problems) -> Result<(), Full> {
        let kind = nic.groups.iter().find_map(|group| self.parts.groups.get(group.0));
        let kind = kind.map(|group| group.kind).unwrap_or_default();
        if !(1..=kind.max_per_nic()).contains(&nic.groups.len()) {
            let reason = InvalidReason::GroupCount { found: nic.groups.len() };
            problems.note(Place::Nic(position), reason)?;
            // Looking for repetitions takes time that grows with the square of their number.
            return Ok(());
        }
        let mut first: Option<&Group> = None;
        for (place, group) in nic.groups.iter().enumerate() {
            let here = || Place::NicGroup(position, place);
            let Some(found) = self.parts.groups.get(group.0) else {
                problems.note(here(), InvalidReason::Dangling { what: "group" })?;
                continue;
            };
            if nic.groups[..place].contains(group) {
                problems.note(here(), InvalidReason::GroupTwice { name: found.name.clone() })?;
            }
            let first = *first.get_or_insert(found);
            if first.kind != found.kind {
                let (first, name) = (first.name.clone(), found.name.clone());
                problems.note(here(), InvalidReason::MixedTypes { first, name })?;
            }
        }
        Ok(())
    }
}
