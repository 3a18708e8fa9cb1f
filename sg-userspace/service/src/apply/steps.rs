//! Compares a document with the objects that it owns, and applies the difference step by step, in an order in which no reference
//! dangles.
//!
//! It must never change objects of other owners. Called by `apply` for one document at a time.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use sg_api_types::{Changed, Happens};
use sg_model::{GroupIndex, PolicyParts, Precedence, Prefixes};
use sg_records::{
    Group, GroupId, Id as _, Member, Nic, NicId, NicType, Order, PortEntry, PortSet, PrefixEntry, Vpc, VpcId,
};
use sg_store::Key;

use super::{
    plan::{Plan, differs, sets},
    rules,
};
use crate::{Kind, Refusal, labels::free_name, membership::check_each, quota, referencing};

impl Plan<'_> {
    /// Applies all of `parts`.
    pub(super) fn make(&mut self, parts: &PolicyParts) -> Result<(), Refusal> {
        let lists = parts.prefix_lists.iter().map(|list| &list.0);
        let lists = lists.chain(parts.port_lists.iter().map(|list| &list.0));
        for name in lists.chain(parts.groups.iter().map(|group| &group.name)) {
            free_name(name)?;
        }
        let vpc = self.vpc(parts);
        let closed = quota::closed_of_region(self.tx, &vpc.region);
        self.prefix_lists = self.lists::<PrefixEntry, _, _>(&parts.prefix_lists, Prefixes::entries);
        self.port_lists = self.lists::<PortEntry, _, _>(&parts.port_lists, |ranges| {
            ranges.iter().map(|range| PortSet::range(*range))
        });
        for group in &parts.groups {
            let id = self.group(&vpc, group);
            self.groups.push(id);
        }
        for place in 0..parts.groups.len() {
            self.members(place, parts.members.get(&GroupIndex(place)).map_or(&[], Vec::as_slice));
        }
        for (place, group) in parts.groups.iter().enumerate() {
            let id = self.groups[place].clone();
            rules::make(self, &id, group)?;
        }
        let nics =
            parts.nics.iter().map(|nic| self.nic(&vpc, nic)).collect::<Result<BTreeSet<NicId>, _>>()?;
        self.remove(&nics)?;
        quota::more_closed(self.tx, &vpc.region, closed)?;
        self.check()
    }

    fn vpc(&mut self, parts: &PolicyParts) -> Vpc {
        let order = match parts.nics.first().map(|nic| nic.precedence) {
            Some(Precedence::Merged) => Order::Merged,
            Some(Precedence::Sequence) | None => Order::Sequence,
        };
        let established = parts.nics.first().map(|nic| nic.established).unwrap_or_default();
        let mid_stream = parts.nics.first().map(|nic| nic.mid_stream).unwrap_or_default();
        let takeover = parts.nics.first().map(|nic| nic.takeover).unwrap_or_default();
        let default = parts.nics.first().map(|nic| nic.default).unwrap_or_default();
        let there = self.tx.vpcs().values().find(|vpc| self.owns(&vpc.label)).map(|vpc| Vpc::clone(vpc));
        let name = self.owner;
        match there {
            None => {
                let label = self.label(name, "");
                let (id, region) = (VpcId::random(), self.region.clone());
                let cidr = None;
                let vpc = Vpc { id, region, label, cidr, order, established, mid_stream, takeover, default };
                self.tx.put(vpc.clone());
                self.note(Happens::Add, Kind::Vpc, vpc.id.as_str(), name, Vec::new());
                vpc
            }
            Some(vpc) => {
                let mut detail = differs("order", &vpc.order, &order);
                detail.extend(differs("established", &vpc.established, &established));
                detail.extend(differs("mid_stream", &vpc.mid_stream, &mid_stream));
                detail.extend(differs("takeover", &vpc.takeover, &takeover));
                detail.extend(differs("default", &vpc.default, &default));
                let vpc = Vpc { order, established, mid_stream, takeover, default, ..vpc };
                if !detail.is_empty() {
                    self.tx.put(vpc.clone());
                    self.note(Happens::Change, Kind::Vpc, vpc.id.as_str(), name, detail);
                }
                self.region.clone_from(&vpc.region);
                vpc
            }
        }
    }

    fn group(&mut self, vpc: &Vpc, wanted: &sg_model::Group) -> GroupId {
        let kind = wanted.kind;
        let description = wanted.description.clone().unwrap_or_default();
        let there = self
            .tx
            .groups()
            .values()
            .find(|group| self.owns(&group.label) && group.label.name == wanted.name);
        let there = there.map(|group| Group::clone(group));
        let name = &wanted.name;
        match there {
            None => {
                let group = Group {
                    id: GroupId::random(),
                    region: vpc.region.clone(),
                    vpc: Some(vpc.id.clone()),
                    label: self.label(name, &description),
                    kind,
                    inner_access: wanted.inner_access,
                    default: false,
                };
                self.tx.put(group.clone());
                self.note(Happens::Add, Kind::Group, group.id.as_str(), name, Vec::new());
                group.id
            }
            Some(mut group) => {
                let mut detail = differs("type", &group.kind, &kind);
                detail.extend(differs("inner_access", &group.inner_access, &wanted.inner_access));
                detail.extend(differs("description", &group.label.description, &description));
                if !detail.is_empty() {
                    (group.kind, group.inner_access) = (kind, wanted.inner_access);
                    group.label.description = description;
                    self.tx.put(group.clone());
                    self.note(Happens::Change, Kind::Group, group.id.as_str(), name, detail);
                }
                group.id
            }
        }
    }

    fn members(&mut self, place: usize, wanted: &[IpAddr]) {
        let id = self.groups[place].clone();
        let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
        let owned = self.tx.members_of(&id).filter(|member| member.owner.as_deref() == Some(self.owner));
        let owned: BTreeSet<IpAddr> = owned.map(|member| member.address).collect();
        let new: Vec<IpAddr> =
            wanted.iter().filter(|address| self.tx.member(&id, **address).is_none()).copied().collect();
        let old: Vec<IpAddr> = owned.difference(&wanted).copied().collect();
        if new.is_empty() && old.is_empty() {
            return;
        }
        let texts = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect();
        let detail = sets(&texts(&old), &texts(&new));
        for address in old {
            self.tx.delete(Key::Member((id.clone(), address)));
        }
        for address in new {
            self.tx.put(Member { group: id.clone(), address, owner: Some(self.owner.to_owned()) });
        }
        let name = self.tx.group(&id).map(|group| group.label.name.clone()).unwrap_or_default();
        self.changes.push(Changed {
            action: Happens::Change,
            kind: "members".to_owned(),
            id: id.to_string(),
            name,
            detail,
        });
    }

    fn nic(&mut self, vpc: &Vpc, wanted: &sg_model::Nic) -> Result<NicId, Refusal> {
        let device = &wanted.device;
        let there = self.tx.nic_of_device(device).map(|nic| Nic::clone(nic));
        if let Some(nic) = there.as_ref().filter(|nic| !self.owns(&nic.label)) {
            return Err(Refusal::DeviceTaken { device: device.clone(), nic: nic.id.clone() });
        }
        let was = there.as_ref();
        let nic = Nic {
            id: was.map_or_else(NicId::random, |nic| nic.id.clone()),
            region: was.map_or_else(|| vpc.region.clone(), |nic| nic.region.clone()),
            vpc: was.map_or_else(|| Some(vpc.id.clone()), |nic| nic.vpc.clone()),
            label: was.map_or_else(|| self.label("", ""), |nic| nic.label.clone()),
            instance: was.and_then(|nic| nic.instance.clone()),
            primary: was.is_some_and(|nic| nic.primary),
            device: Some(device.clone()),
            role: wanted.role,
            addresses: if wanted.addresses_from_device { Vec::new() } else { wanted.addresses.clone() },
            anti_spoofing: wanted.anti_spoofing_written,
            accept_own_source: wanted.accept_own_source,
            dhcp_servers: wanted.dhcp_servers.clone(),
            senders: wanted.senders.clone(),
            hook: wanted.hook,
            ipsec: wanted.ipsec_written,
            ethertypes: wanted.ethertypes.clone(),
            nic_type: was.map_or(NicType::Intranet, |nic| nic.nic_type),
            groups: wanted.groups.iter().map(|group| self.groups[group.0].clone()).collect(),
        };
        let (action, detail) = match was {
            None => (Happens::Add, vec![format!("groups: {}", self.named(&nic.groups))]),
            Some(was) => (Happens::Change, self.changes_of(was, &nic)),
        };
        if !detail.is_empty() {
            self.tx.put(nic.clone());
            self.note(action, Kind::Nic, nic.id.as_str(), device, detail);
        }
        Ok(nic.id)
    }

    /// Describes how the settings and groups of a NIC change; empty if they do not.
    fn changes_of(&self, was: &Nic, nic: &Nic) -> Vec<String> {
        let (senders, others) = (&nic.senders, &was.senders);
        let mut detail = differs("role", &was.role, &nic.role);
        detail.extend(differs("addresses", &was.addresses, &nic.addresses));
        detail.extend(differs("anti_spoofing", &was.anti_spoofing, &nic.anti_spoofing));
        detail.extend(differs("accept_own_source", &was.accept_own_source, &nic.accept_own_source));
        detail.extend(differs("dhcp_servers", &was.dhcp_servers, &nic.dhcp_servers));
        detail.extend(differs("mac", &others.mac, &senders.mac));
        let (before, after) = (&others.allowed_address_pairs, &senders.allowed_address_pairs);
        detail.extend(differs("allowed_address_pairs", before, after));
        detail.extend(differs("hook", &was.hook, &nic.hook));
        detail.extend(differs("ipsec", &was.ipsec, &nic.ipsec));
        detail.extend(differs("ethertypes", &was.ethertypes, &nic.ethertypes));
        if was.groups != nic.groups {
            detail.push(format!("groups: {} → {}", self.named(&was.groups), self.named(&nic.groups)));
        }
        detail
    }

    fn named(&self, groups: &[GroupId]) -> String {
        let name =
            |id: &GroupId| self.tx.group(id).map_or_else(|| id.to_string(), |group| group.label.name.clone());
        groups.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Deletes objects that the document no longer has, users before what they use.
    fn remove(&mut self, nics: &BTreeSet<NicId>) -> Result<(), Refusal> {
        let gone = |nic: &&Arc<Nic>| self.owns(&nic.label) && !nics.contains(&nic.id);
        let gone: Vec<Arc<Nic>> = self.tx.nics().values().filter(gone).cloned().collect();
        for nic in gone {
            self.tx.delete(Key::Nic(nic.id.clone()));
            let name = nic.device.clone().unwrap_or_default();
            self.note(Happens::Remove, Kind::Nic, nic.id.as_str(), &name, Vec::new());
        }
        let gone = |group: &&Arc<Group>| self.owns(&group.label) && !self.groups.contains(&group.id);
        let gone: Vec<Arc<Group>> = self.tx.groups().values().filter(gone).cloned().collect();
        for group in &gone {
            self.remove_group(group, &gone)?;
        }
        self.remove_lists::<PrefixEntry>(&self.prefix_lists.clone())?;
        self.remove_lists::<PortEntry>(&self.port_lists.clone())
    }

    fn remove_group(&mut self, group: &Group, gone: &[Arc<Group>]) -> Result<(), Refusal> {
        let id = &group.id;
        let members: Vec<Member> = self.tx.members_of(id).map(|member| Member::clone(member)).collect();
        let foreign = members.iter().filter(|member| member.owner.as_deref() != Some(self.owner));
        let foreign = foreign.map(|member| member.address.to_string());
        let holders = self.tx.nics_of(id).map(|nic| nic.id.to_string());
        let left: Vec<String> = holders.chain(foreign).collect();
        if !left.is_empty() {
            return Err(Refusal::HasMembers { group: id.clone(), members: left });
        }
        let by = referencing(self.tx, id).filter(|by| gone.iter().all(|group| group.id != *by));
        let by: BTreeSet<String> = by.map(|by| by.to_string()).collect();
        if !by.is_empty() {
            return Err(Refusal::Referenced { group: id.clone(), by: by.into_iter().collect() });
        }
        let rules: Vec<Key> = self.tx.rules_of(id).map(|rule| Key::Rule(rule.id.clone())).collect();
        let detail = vec![format!("with {} rules and {} members", rules.len(), members.len())];
        for rule in rules {
            self.tx.delete(rule);
        }
        for member in members {
            self.tx.delete(Key::Member((member.group, member.address)));
        }
        self.tx.delete(Key::Group(id.clone()));
        self.note(Happens::Remove, Kind::Group, id.as_str(), &group.label.name, detail);
        Ok(())
    }

    /// Checks the quotas, which apply to documents, too.
    fn check(&self) -> Result<(), Refusal> {
        let nics: HashMap<NicId, Nic> = self
            .groups
            .iter()
            .flat_map(|group| self.tx.nics_of(group))
            .map(|nic| (nic.id.clone(), Nic::clone(nic)))
            .collect();
        let mut weights = quota::Weights::new();
        nics.values().try_for_each(|nic| check_each(self.tx, nic, &[], &mut weights))
    }
}
