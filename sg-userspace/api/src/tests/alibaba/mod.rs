//! The operations of Alibaba Cloud ECS: how each is sent, and what the model says becomes of it.

#![expect(clippy::too_many_lines, reason = "one table of operations, each in a few lines")]

mod rules;

use std::collections::BTreeMap;

use crate::tests::{
    both::Both,
    faces::{Reply, borrowed, numbered},
    objects::{Group, Ids, Kind, List, MOST_GROUPS, Named, PortList, Why},
    operations::{Alibaba, ENTRIES, PORTS},
};

pub(super) use rules::protocol;
use rules::revoking;

/// The documented refusals of a reason, where a NIC joins a group, leaves one, or gets other ones.
const fn of_membership(why: Why) -> &'static [(u16, &'static str)] {
    match why {
        Why::Unknown => &[(404, "InvalidSecurityGroupId.NotFound")],
        Why::Last => &[(403, "InvalidOperation.AtLeastInOneGroup")],
        Why::Mixed => {
            &[(400, "InvalidOperation.MultiGroupType"), (403, "EnterpriseGroupLimited.MutliGroupType")]
        }
        Why::TooMany => &[(403, "InstanceSecurityGroupLimitExceeded")],
        Why::Twice => &[(404, "InvalidParameter.SecurityGroupIdRepeated")],
        Why::OtherNetwork => &[(403, "InvalidOperation.VpcMismatch"), (403, "InvalidSecurityGroupId.NotVpc")],
        Why::TwoOrders => &[(400, "InvalidParameter")],
        Why::AlreadyMember => &[(403, "InvalidInstanceId.AlreadyExists")],
        Why::NotMember => &[(400, "InvalidSecurityGroupAssociation.NotFound")],
        _ => &[],
    }
}

/// The documented refusals of a reason, of groups and lists.
const fn of_object(why: Why) -> &'static [(u16, &'static str)] {
    match why {
        Why::InUse => &[
            (403, "DependencyViolation"),
            (400, "NotAllowed.AssociationExist"),
            (400, "InvalidOperation.Conflict"),
        ],
        Why::Unknown => &[(404, "InvalidSecurityGroupId.NotFound"), (404, "InvalidPrefixListId.NotFound")],
        Why::NoInnerAccess => &[(404, "InvalidParameter.InnerAccessPolicy")],
        Why::EntryTwice => &[(400, "InvalidParameter.CidrDuplicated")],
        Why::NoEntry => &[(400, "InvalidParameter.CidrMalformed")],
        Why::Full => &[(400, "LimitExceed.MaxEntries")],
        _ => &[],
    }
}

fn key(number: u8) -> String {
    format!("key{number}")
}

fn value(number: u8) -> String {
    format!("value {number}")
}

/// A tag that a group begins with.
pub(super) fn first_tags(tag: Option<u8>) -> BTreeMap<String, String> {
    tag.into_iter().map(|tag| (key(tag), value(tag))).collect()
}

pub(super) fn entries(v6: bool, picks: &[usize]) -> Vec<String> {
    picks.iter().map(|at| ENTRIES[usize::from(v6)][*at].to_owned()).collect()
}

/// Whether a value is in a list twice.
pub(super) fn has_twice<T: PartialEq>(all: &[T]) -> bool {
    (1..all.len()).any(|at| all[..at].contains(&all[at]))
}

/// `22/80`.
pub(super) fn range((first, last): (u16, u16)) -> String {
    format!("{first}/{last}")
}

impl Both {
    fn say(
        &self,
        action: &str,
        parameters: &[(String, String)],
        why: &[(u16, &str)],
    ) -> Result<bool, String> {
        let before = self.faces.export();
        let reply: Reply = self.faces.ecs(action, &borrowed(parameters));
        let code = reply.body["Code"].as_str().unwrap_or_default().to_owned();
        self.judge(&reply, &code, &[200], why, &before)
    }

    pub(super) fn alibaba(&mut self, op: &Alibaba) -> Result<(), String> {
        let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        match op {
            Alibaba::CreateGroup { network, enterprise, tag } => {
                if self.model.groups.len() >= MOST_GROUPS {
                    return Ok(());
                }
                let number = self.model.number();
                let name = format!("g{number}");
                let vpc = (*network < self.model.vpcs.len()).then_some(*network);
                let is_enterprise = *enterprise && vpc.is_some();
                let mut all = pairs(&[("SecurityGroupName", &name)]);
                if let Some(vpc) = vpc {
                    all.extend(pairs(&[("VpcId", &self.model.vpcs[vpc].id)]));
                }
                if is_enterprise {
                    all.extend(pairs(&[("SecurityGroupType", "enterprise")]));
                }
                let tags = first_tags(*tag);
                for (key, value) in &tags {
                    all.extend(pairs(&[("Tag.1.Key", key), ("Tag.1.Value", value)]));
                }
                self.say("CreateSecurityGroup", &all, &[])?;
                let kind = if is_enterprise { Kind::Enterprise } else { Kind::Basic };
                let inner = !is_enterprise;
                let description = String::new();
                let group = Group { ids: Ids::default(), name, description, kind, vpc, inner, tags };
                self.model.groups.insert(number, group);
                self.learn_group(number)
            }
            Alibaba::ModifyGroup(pick) => {
                let named = self.model.group(*pick);
                let number = self.model.number();
                let (name, description) = (format!("g{number}"), format!("of {number}"));
                let id = self.model.group_ids(&named).id;
                let all = pairs(&[
                    ("SecurityGroupId", &id),
                    ("SecurityGroupName", &name),
                    ("Description", &description),
                ]);
                let why = unknown(&named);
                if self.say("ModifySecurityGroupAttribute", &all, &refusals(&why, of_object))?
                    && let Named::There(group) = named
                {
                    let group = self.model.groups.get_mut(&group).unwrap();
                    (group.name, group.description) = (name, description);
                }
                Ok(())
            }
            Alibaba::Policy { group, accept } => {
                let named = self.model.group(*group);
                let mut why = unknown(&named);
                if let Named::There(group) = &named
                    && self.model.groups[group].kind != Kind::Basic
                    && *accept
                {
                    why.push(Why::NoInnerAccess);
                }
                let policy = if *accept { "Accept" } else { "drop" };
                let all = pairs(&[
                    ("SecurityGroupId", &self.model.group_ids(&named).id),
                    ("InnerAccessPolicy", policy),
                ]);
                if self.say("ModifySecurityGroupPolicy", &all, &refusals(&why, of_object))?
                    && let Named::There(group) = named
                {
                    self.model.groups.get_mut(&group).unwrap().inner = *accept;
                }
                Ok(())
            }
            Alibaba::DeleteGroup(pick) => {
                let named = self.model.group(*pick);
                let all = pairs(&[("SecurityGroupId", &self.model.group_ids(&named).id)]);
                let Named::There(group) = named else {
                    return self
                        .say("DeleteSecurityGroup", &all, &[(404, "InvalidSecurityGroup.NotFound")])
                        .map(drop);
                };
                let in_use = self.model.is_held(group) || self.model.is_referenced(group);
                let why: Vec<Why> = in_use.then_some(Why::InUse).into_iter().collect();
                if self.say("DeleteSecurityGroup", &all, &refusals(&why, of_object))? {
                    self.model.delete_group(group);
                }
                Ok(())
            }
            Alibaba::Authorize { group, rule } => self.authorize(*group, rule),
            Alibaba::Priority { rule, priority } => self.prioritise(*rule, *priority),
            Alibaba::Revoke(pick) => {
                let Some(at) = usize::from(*pick).checked_rem(self.model.rules.len()) else { return Ok(()) };
                let rule = &self.model.rules[at];
                let all = pairs(&[
                    ("SecurityGroupId", &self.group_id(rule.group).id),
                    ("SecurityGroupRuleId.1", &rule.ids.id),
                ]);
                self.say(revoking(&rule.spec), &all, &[])?;
                self.model.rules.remove(at);
                Ok(())
            }
            Alibaba::RevokeMatching(pick) => self.revoke_matching(*pick),
            Alibaba::CreateList { v6, max, entries: picks } => {
                let number = self.model.number();
                let (name, entries) = (format!("l{number}"), entries(*v6, picks));
                let family = if *v6 { "IPv6" } else { "IPv4" };
                let mut all = pairs(&[
                    ("PrefixListName", &name),
                    ("AddressFamily", family),
                    ("MaxEntries", &max.to_string()),
                ]);
                all.extend(of_entries("Entry", &entries));
                let mut why = Vec::new();
                if has_twice(&entries) {
                    why.push(Why::EntryTwice);
                }
                if entries.len() > *max {
                    why.push(Why::Full);
                }
                if self.say("CreatePrefixList", &all, &refusals(&why, of_object))? {
                    let list = List { ids: Ids::default(), name, v6: *v6, max: *max, entries };
                    self.model.lists.insert(number, list);
                    self.learn_list(number)?;
                }
                Ok(())
            }
            Alibaba::ModifyList { list, add, remove } => self.modify_list(*list, add, remove),
            Alibaba::DeleteList(pick) => {
                let list = self.list(*pick);
                let all = pairs(&[("PrefixListId", &self.list_id(list).id)]);
                let mut why: Vec<Why> = (list == 0).then_some(Why::Unknown).into_iter().collect();
                if !self.model.naming(list).is_empty() {
                    why.push(Why::InUse);
                }
                if self.say("DeletePrefixList", &all, &refusals(&why, of_object))? {
                    self.model.lists.remove(&list);
                }
                Ok(())
            }
            Alibaba::CreatePorts(picks) => {
                let number = self.model.number();
                let name = format!("p{number}");
                let mut ranges: Vec<(u16, u16)> = picks.iter().map(|at| PORTS[*at][0]).collect();
                ranges.sort_unstable();
                ranges.dedup();
                let mut all = pairs(&[("PortRangeListName", &name), ("MaxEntries", "5")]);
                for (at, one) in ranges.iter().enumerate() {
                    all.push((format!("Entry.{}.PortRange", at + 1), range(*one)));
                }
                let reply = self.faces.ecs("CreatePortRangeList", &borrowed(&all));
                let id = reply.body["PortRangeListId"].as_str().ok_or_else(|| format!("{reply:?}"))?;
                self.model.port_lists.insert(number, PortList { id: id.to_owned(), name, ranges });
                Ok(())
            }
            Alibaba::DeletePorts(pick) => {
                let lists = &self.model.port_lists;
                let Some(at) = usize::from(*pick).checked_rem(lists.len()) else { return Ok(()) };
                let (number, list) = lists.iter().nth(at).map(|(number, list)| (*number, list)).unwrap();
                let why: Vec<Why> =
                    self.model.names_ports(number).then_some(Why::InUse).into_iter().collect();
                let all = pairs(&[("PortRangeListId", &list.id)]);
                if self.say("DeletePortRangeList", &all, &refusals(&why, of_object))? {
                    self.model.port_lists.remove(&number);
                }
                Ok(())
            }
            Alibaba::Join { nic, group } => self.join_or_leave(*nic, *group, true),
            Alibaba::Leave { nic, group } => self.join_or_leave(*nic, *group, false),
            Alibaba::Replace { nic, groups } => {
                let named: Vec<Named> = groups.iter().map(|pick| self.model.group_for(*nic, *pick)).collect();
                let ids: Vec<String> = named.iter().map(|named| self.model.group_ids(named).id).collect();
                let mut all = pairs(&[("NetworkInterfaceId", &self.model.nics[*nic].ids.id)]);
                all.extend(numbered("SecurityGroupId", &ids));
                let there = there(&named);
                let why = match &there {
                    None => vec![Why::Unknown],
                    Some(there) => self.model.cannot_hold(*nic, there),
                };
                if self.say("ModifyNetworkInterfaceAttribute", &all, &refusals(&why, of_membership))? {
                    self.model.nics[*nic].groups = there.unwrap_or_default();
                }
                Ok(())
            }
            Alibaba::Tag { group, key: number, value: written } => {
                let Named::There(group) = self.model.group(*group) else { return Ok(()) };
                let (key, value) = (key(*number), value(*written));
                let all = pairs(&[
                    ("ResourceType", "securitygroup"),
                    ("ResourceId.1", &self.group_id(group).id),
                    ("Tag.1.Key", &key),
                    ("Tag.1.Value", &value),
                ]);
                self.say("TagResources", &all, &[])?;
                self.model.groups.get_mut(&group).unwrap().tags.insert(key, value);
                Ok(())
            }
            Alibaba::Untag { group, key: number } => {
                let Named::There(group) = self.model.group(*group) else { return Ok(()) };
                let all = pairs(&[
                    ("ResourceType", "securitygroup"),
                    ("ResourceId.1", &self.group_id(group).id),
                    ("TagKey.1", &key(*number)),
                ]);
                self.say("UntagResources", &all, &[])?;
                self.model.groups.get_mut(&group).unwrap().tags.remove(&key(*number));
                Ok(())
            }
        }
    }

    fn modify_list(&mut self, pick: u16, add: &[usize], remove: &[usize]) -> Result<(), String> {
        let number = self.list(pick);
        let mut all = vec![("PrefixListId".to_owned(), self.list_id(number).id)];
        let v6 = self.model.lists.get(&number).is_some_and(|list| list.v6);
        let (add, remove) = (entries(v6, add), entries(v6, remove));
        all.extend(of_entries("AddEntry", &add));
        all.extend(of_entries("RemoveEntry", &remove));
        let mut why = Vec::new();
        let mut after = Vec::new();
        match self.model.lists.get(&number) {
            None => why.push(Why::Unknown),
            Some(list) => {
                after.clone_from(&list.entries);
                if has_twice(&add) || remove.iter().any(|entry| add.contains(entry)) {
                    why.push(Why::EntryTwice);
                }
                if !remove.iter().all(|entry| list.entries.contains(entry)) {
                    why.push(Why::NoEntry);
                }
                after.retain(|entry| !remove.contains(entry));
                let new: Vec<String> = add.into_iter().filter(|entry| !after.contains(entry)).collect();
                after.extend(new);
                if after.len() > list.max {
                    why.push(Why::Full);
                }
            }
        }
        if self.say("ModifyPrefixList", &all, &refusals(&why, of_object))? {
            self.model.lists.get_mut(&number).unwrap().entries = after;
        }
        Ok(())
    }

    fn join_or_leave(&mut self, nic: usize, group: u16, joins: bool) -> Result<(), String> {
        let named = if joins { self.model.group_for(nic, group) } else { self.model.held(nic, group) };
        let held = self.model.nics[nic].groups.clone();
        let all = [
            ("SecurityGroupId".to_owned(), self.model.group_ids(&named).id),
            ("NetworkInterfaceId".to_owned(), self.model.nics[nic].ids.id.clone()),
        ];
        let (mut why, mut after) = (Vec::new(), held.clone());
        match named {
            Named::Gone(_) => why.push(Why::Unknown),
            Named::There(group) if joins => {
                after.push(group);
                if held.contains(&group) {
                    why.push(Why::AlreadyMember);
                } else {
                    why = self.model.cannot_hold(nic, &after);
                }
            }
            Named::There(group) => {
                after.retain(|other| *other != group);
                if !held.contains(&group) {
                    why.push(Why::NotMember);
                } else if after.is_empty() {
                    why.push(Why::Last);
                }
            }
        }
        let action = if joins { "JoinSecurityGroup" } else { "LeaveSecurityGroup" };
        if self.say(action, &all, &refusals(&why, of_membership))? {
            self.model.nics[nic].groups = after;
        }
        Ok(())
    }
}

fn of_entries(name: &str, entries: &[String]) -> Vec<(String, String)> {
    entries.iter().enumerate().map(|(at, entry)| (format!("{name}.{}.Cidr", at + 1), entry.clone())).collect()
}

fn unknown(named: &Named) -> Vec<Why> {
    matches!(named, Named::Gone(_)).then_some(Why::Unknown).into_iter().collect()
}

/// The groups that are named, if all of them are there.
pub(super) fn there(named: &[Named]) -> Option<Vec<u32>> {
    named.iter().map(|named| if let Named::There(group) = named { Some(*group) } else { None }).collect()
}

pub(super) fn refusals(
    why: &[Why],
    of: impl Fn(Why) -> &'static [(u16, &'static str)],
) -> Vec<(u16, &'static str)> {
    let all: Vec<_> = why.iter().flat_map(|why| of(*why)).copied().collect();
    assert!(why.is_empty() || !all.is_empty(), "{why:?} has no code");
    all
}
