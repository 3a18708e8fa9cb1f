//! Operations that add rules, by the service and by the model: to a group, and with a new group.

use sg_records::{
    Action, Direction, GroupId, GroupType, OnlyFamily, PrefixListId, Protocol, Remote, RuleId, RuleSpec,
};

use super::{
    Both, Outcome, REFERENCES,
    expected::{MGroup, PlacedRule, group_name, net, vpc},
    operations::{MKind, MRemote, MRule, MService},
    tag,
};
use crate::{
    AddRules, Authorize, Authorized, CreateGroup, DirectedRule, Duplicates, GroupTemplate, NewLabel, Refusal,
    Sameness,
    tests::{tcp, with},
};

pub(super) fn spec(rule: &MRule) -> RuleSpec {
    let remote = match rule.remote {
        MRemote::Any => Remote::Any,
        MRemote::EveryV4 => "0.0.0.0/0".parse().unwrap(),
        MRemote::Net(number) => Remote::Net(net(number)),
        MRemote::Group(group) => Remote::Group(GroupId::from(group_name(group))),
        MRemote::List(list) => Remote::PrefixList(PrefixListId::from(format!("l{list}"))),
    };
    let spec = match rule.service {
        MService::All => RuleSpec::accept(Protocol::All),
        MService::Icmp => RuleSpec::accept(Protocol::Number(1)),
        MService::Tcp(port) => tcp(port, "any"),
    };
    let action = if rule.drop { Action::Drop } else { Action::Accept };
    with(RuleSpec { action, priority: rule.priority, ..spec }, |matches| {
        (matches.remote, matches.family) = (remote, rule.family);
    })
}

/// The rules of a template, written from the documentation, in their order.
fn template(group: usize, kind: GroupType) -> Vec<(bool, MRule)> {
    let rule = |ingress, service, family, remote| {
        (ingress, MRule { drop: false, priority: 100, service, family, remote })
    };
    let both = |ingress, remote: MRemote| {
        [OnlyFamily::Ipv4, OnlyFamily::Ipv6]
            .map(|family| rule(ingress, MService::All, Some(family), remote.clone()))
    };
    if kind == GroupType::Closed {
        return [both(true, MRemote::Group(group)), both(false, MRemote::Any)].concat();
    }
    let services = [80, 443, 22, 3389].map(MService::Tcp).into_iter().chain([MService::Icmp]);
    let open = services.map(|service| rule(true, service, None, MRemote::EveryV4));
    let out = (kind == GroupType::Enterprise).then(|| rule(false, MService::All, None, MRemote::Any));
    open.chain(out).collect()
}

/// What tells rules apart: a family of an IPv4 prefix or list says nothing.
pub(super) fn identity(same: Sameness, ingress: bool, rule: &MRule) -> (bool, MRule) {
    let mut rule = rule.clone();
    if matches!(rule.remote, MRemote::Net(_)) {
        rule.family = None;
    }
    if (&rule.remote, rule.family) == (&MRemote::Any, Some(OnlyFamily::Ipv4)) {
        (rule.remote, rule.family) = (MRemote::EveryV4, None);
    }
    if same == Sameness::Packets {
        (rule.drop, rule.priority) = (false, 1);
    }
    (ingress, rule)
}

impl Both {
    pub(super) fn create_group(
        &mut self,
        group: usize,
        MKind { kind, regional }: MKind,
        standard: bool,
    ) -> Result<(), String> {
        if self.model.groups[group].is_some() {
            return Ok(()); // Another test covers two groups of one name.
        }
        let create = CreateGroup {
            label: NewLabel { name: group_name(group), ..NewLabel::default() },
            vpc: (!regional).then(|| Self::vpc_name(group)),
            kind,
            template: if standard { GroupTemplate::Standard } else { GroupTemplate::None },
            ..CreateGroup::default()
        };
        let made = self.world.run(&create).map_err(|refusal| refusal.to_string())?;
        self.model.groups[group] =
            Some(MGroup { kind, regional, inner: kind == GroupType::Basic, members: Vec::new() });
        let mut there: Vec<_> = self.world.tx.rules_of(&made.id).collect();
        there.sort_by_key(|rule| rule.serial);
        let wanted = if standard { template(group, kind) } else { Vec::new() };
        let said = there.iter().map(|rule| (rule.direction == Direction::Ingress, rule.spec.clone()));
        let own = Remote::Group(made.id.clone());
        let expected = wanted.iter().map(|(ingress, rule)| {
            let of_itself = rule.remote == MRemote::Group(group);
            let spec = with(spec(rule), |matches| {
                if of_itself {
                    matches.remote = own.clone();
                }
            });
            (*ingress, spec)
        });
        if !said.eq(expected) {
            return Err(format!("{kind}: {there:?}, expected {wanted:?}"));
        }
        let ids: Vec<RuleId> = there.iter().map(|rule| rule.id.clone()).collect();
        let rules = ids.into_iter().zip(wanted);
        self.model.rules.extend(rules.map(|(id, (ingress, rule))| PlacedRule { id, group, ingress, rule }));
        Ok(())
    }

    pub(super) fn authorize(
        &mut self,
        group: usize,
        rules: &[(bool, MRule)],
        duplicates: Duplicates,
        same: Sameness,
    ) -> Outcome {
        let directed = |(ingress, rule): &(bool, MRule)| DirectedRule {
            direction: Some(if *ingress { Direction::Ingress } else { Direction::Egress }),
            spec: spec(rule),
        };
        let request = Authorize {
            group: group_name(group),
            direction: None,
            rules: rules.iter().map(directed).collect(),
            duplicates,
            same,
        };
        let said = self.world.run(&AddRules(request));
        if self.model.groups[group].is_none() {
            return (said.map(drop), vec!["not_found"]);
        }
        let mut why: Vec<&str> = rules.iter().flat_map(|(_, rule)| self.cannot_be(group, rule)).collect();
        let before = self.model.rules.len();
        // By place in the request: the rule of the model that it is, and whether it is new.
        let mut found: Vec<(usize, bool)> = Vec::new();
        for (place, (ingress, rule)) in rules.iter().enumerate() {
            let own = identity(same, *ingress, rule);
            let is_same = |placed: &PlacedRule| {
                placed.group == group && identity(same, placed.ingress, &placed.rule) == own
            };
            let mut earlier =
                rules[..place].iter().filter(|(ingress, rule)| identity(same, *ingress, rule) == own);
            let hinders =
                |(_, other): &(bool, MRule)| duplicates != Duplicates::Ignore || other.drop != rule.drop;
            if earlier.any(hinders) {
                why.push("repeated");
            }
            let there = self.model.rules[..before].iter().filter(|placed| is_same(placed));
            if duplicates == Duplicates::Ignore && there.clone().any(|placed| placed.rule.drop != rule.drop) {
                why.push("duplicate_rule");
            }
            // Of several that are the same, any may be named.
            if let Some(at) = self.model.rules.iter().position(is_same) {
                if at < before && duplicates == Duplicates::Refuse {
                    why.push("duplicate_rule");
                }
                found.push((at, false));
            } else {
                found.push((self.model.rules.len(), true));
                let id = RuleId::from("none");
                self.model.rules.push(PlacedRule { id, group, ingress: *ingress, rule: rule.clone() });
            }
        }
        if self.model.too_many_rules() {
            why.push("rules_per_nic");
        }
        let naming =
            |placed: &&PlacedRule| placed.group == group && matches!(placed.rule.remote, MRemote::Group(_));
        let is_closed =
            self.model.groups[group].as_ref().is_some_and(|group| group.kind == GroupType::Closed);
        if !is_closed && self.model.rules.iter().filter(naming).count() > REFERENCES {
            why.push("group_references_per_group");
        }
        match said {
            Ok(authorized) if why.is_empty() => {
                self.take(&authorized, &found, same);
                (Ok(()), why)
            }
            said => {
                self.model.rules.truncate(before);
                (said.map(drop), why)
            }
        }
    }

    /// Takes the ids of new rules over, and holds the response to what the model says.
    fn take(&mut self, said: &[Authorized], found: &[(usize, bool)], same: Sameness) {
        assert_eq!(said.len(), found.len());
        for (Authorized { rule, is_new }, (at, wanted)) in said.iter().zip(found) {
            assert_eq!(is_new, wanted, "{rule:?}");
            if *is_new {
                self.model.rules[*at].id = rule.id.clone();
            }
            let of_id = self.model.rules.iter().find(|placed| placed.id == rule.id).unwrap();
            let own = &self.model.rules[*at];
            assert_eq!(
                identity(same, of_id.ingress, &of_id.rule),
                identity(same, own.ingress, &own.rule),
                "{rule:?}"
            );
        }
    }

    /// Why a group cannot have a rule.
    fn cannot_be(&self, group: usize, rule: &MRule) -> Vec<&'static str> {
        let model = &self.model;
        let mut why = Vec::new();
        let owner = model.groups[group].as_ref().unwrap();
        match rule.remote {
            MRemote::Group(named) if named == group && owner.kind == GroupType::Closed => {}
            MRemote::Group(named) if named == group => why.push("own_group"),
            MRemote::Group(named) => match &model.groups[named] {
                None => why.push("not_found"),
                Some(named) if named.regional != owner.regional => why.push("regional_reference"),
                Some(_) if !owner.regional && vpc(named) != vpc(group) => why.push("other_vpc"),
                Some(named) if [named.kind, owner.kind].contains(&GroupType::Enterprise) => {
                    why.push("enterprise_reference");
                }
                Some(_) => {}
            },
            MRemote::List(list) if model.lists[list].is_none() => why.push("not_found"),
            MRemote::Any | MRemote::EveryV4 | MRemote::Net(_) | MRemote::List(_) => {}
        }
        let is_v4 = matches!(rule.remote, MRemote::EveryV4 | MRemote::Net(_) | MRemote::List(_));
        if is_v4 && rule.family == Some(OnlyFamily::Ipv6) {
            why.push("mixed_families");
        }
        why
    }
}

/// The model's name of a refusal is the one that programs compare.
#[test]
fn refusals_have_the_names_of_their_codes() {
    let refusal = Refusal::DuplicateRule { rule: RuleId::from("sgr-1") };
    assert_eq!(tag(&refusal), refusal.code());
}
