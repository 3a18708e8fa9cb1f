//! A snapshot of all records, with the indices that queries and checks need.
//!
//! Its maps share structure, so copies are cheap: every operation works on a copy that is dropped if it is refused, and readers
//! keep theirs as long as they need. Only `Tx` changes a state.

use std::{net::IpAddr, sync::Arc};

use imbl::{OrdMap, OrdSet};
use sg_model::Named;
use sg_records::{
    AccessKey, AccessKeyId, Demands, DocumentName, Group, GroupId, Instance, InstanceId, Member, Nic, NicId,
    PortList, PortListId, PrefixList, PrefixListId, Rule, RuleId, Settings, Token, Uuid, Vpc, VpcId,
    project_id, uuid_of,
};
use sg_store::{Key, Record};

#[derive(Clone, Debug, Default)]
pub struct State {
    vpcs: OrdMap<VpcId, Arc<Vpc>>,
    groups: OrdMap<GroupId, Arc<Group>>,
    rules: OrdMap<RuleId, Arc<Rule>>,
    prefix_lists: OrdMap<PrefixListId, Arc<PrefixList>>,
    port_lists: OrdMap<PortListId, Arc<PortList>>,
    instances: OrdMap<InstanceId, Arc<Instance>>,
    nics: OrdMap<NicId, Arc<Nic>>,
    access_keys: OrdMap<AccessKeyId, Arc<AccessKey>>,
    tokens: OrdMap<String, Arc<Token>>,
    demands: OrdMap<DocumentName, Arc<Demands>>,
    members: OrdMap<GroupId, OrdMap<IpAddr, Arc<Member>>>,
    settings: Arc<Settings>,
    rules_of_group: OrdMap<GroupId, OrdMap<u64, Arc<Rule>>>,
    nics_of_group: OrdMap<GroupId, OrdSet<NicId>>,
    nics_of_instance: OrdMap<InstanceId, OrdSet<NicId>>,
    groups_of_vpc: OrdMap<VpcId, OrdSet<GroupId>>,
    nics_of_vpc: OrdMap<VpcId, OrdSet<NicId>>,
    /// Rules by the group or list that they name.
    naming: OrdMap<Key, OrdSet<RuleId>>,
    devices: OrdMap<String, NicId>,
    /// NICs and instances by their UUIDs, which are hashes.
    nic_uuids: OrdMap<Uuid, NicId>,
    instance_uuids: OrdMap<Uuid, InstanceId>,
    /// Regions by the projects that stand for them, and how many records are in each.
    projects: OrdMap<String, Arc<str>>,
    regions: OrdMap<Arc<str>, usize>,
    tokens_by_age: OrdSet<(jiff::Timestamp, String)>,
}

/// What is the same for all kinds of records that have a map of their own.
macro_rules! kinds {
    ($($(#[$doc:meta])* $one:ident $all:ident ($id:ident: $key:ty) -> $kind:ident;)*) => {
        impl State {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $one(&self, id: &$key) -> Option<&Arc<$kind>> {
                    self.$all.get(id)
                }

                /// All records of this kind, by id.
                #[must_use]
                pub const fn $all(&self) -> &OrdMap<$key, Arc<$kind>> {
                    &self.$all
                }
            )*

            pub fn records(&self) -> impl Iterator<Item = Record> {
                std::iter::once(Record::Settings(Arc::clone(&self.settings)))
                    $(.chain(self.$all.values().cloned().map(Record::$kind)))*
                    .chain(self.members.values().flat_map(OrdMap::values).cloned().map(Record::Member))
            }

            #[must_use]
            pub fn get(&self, key: &Key) -> Option<Record> {
                Some(match key {
                    $(Key::$kind(id) => Record::$kind(self.$all.get(id)?.clone()),)*
                    Key::Member((group, address)) => Record::Member(self.member(group, *address)?.clone()),
                    Key::Settings(()) => Record::Settings(Arc::clone(&self.settings)),
                })
            }

            /// Inserts a record, or replaces the one with its key.
            pub(super) fn put(&mut self, record: Record) {
                self.delete(&record.key());
                self.index(&record, true);
                match record {
                    $(Record::$kind(one) => drop(self.$all.insert(one.$id.clone(), one)),)*
                    Record::Member(member) => {
                        self.members.entry(member.group.clone()).or_default().insert(member.address, member);
                    }
                    Record::Settings(settings) => self.settings = settings,
                }
            }

            /// Removes the record with this key.
            pub(super) fn delete(&mut self, key: &Key) {
                let Some(record) = self.get(key) else { return };
                self.index(&record, false);
                match key {
                    $(Key::$kind(id) => drop(self.$all.remove(id)),)*
                    Key::Member((group, address)) => {
                        if let Some(members) = self.members.get_mut(group) {
                            members.remove(address);
                        }
                    }
                    Key::Settings(()) => self.settings = Arc::default(),
                }
            }
        }
    };
}
kinds! {
    vpc vpcs(id: VpcId) -> Vpc;
    group groups(id: GroupId) -> Group;
    rule rules(id: RuleId) -> Rule;
    prefix_list prefix_lists(id: PrefixListId) -> PrefixList;
    port_list port_lists(id: PortListId) -> PortList;
    instance instances(id: InstanceId) -> Instance;
    nic nics(id: NicId) -> Nic;
    access_key access_keys(id: AccessKeyId) -> AccessKey;
    /// The kept response to the operation with this token.
    token tokens(token: String) -> Token;
    /// What the document with this name demands of every change.
    demands_of demands(document: DocumentName) -> Demands;
}

impl State {
    /// Creates the state of these records.
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = Record>) -> Self {
        let mut state = Self::default();
        for record in records {
            state.put(record);
        }
        state
    }

    /// The settings of the whole store.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rules of a group, in both directions, in the order of their creation.
    pub fn rules_of(&self, group: &GroupId) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules_of_group.get(group).into_iter().flat_map(OrdMap::values)
    }

    /// The NICs that hold a group.
    pub fn nics_of(&self, group: &GroupId) -> impl Iterator<Item = &Arc<Nic>> {
        let ids = self.nics_of_group.get(group).into_iter().flatten();
        ids.filter_map(|id| self.nics.get(id))
    }

    /// The members of a group on other hosts.
    pub fn members_of(&self, group: &GroupId) -> impl Iterator<Item = &Arc<Member>> {
        self.members.get(group).into_iter().flat_map(OrdMap::values)
    }

    /// The member of a group on another host that has this address.
    #[must_use]
    pub fn member(&self, group: &GroupId, address: IpAddr) -> Option<&Arc<Member>> {
        self.members.get(group)?.get(&address)
    }

    pub fn nics_of_instance(&self, instance: &InstanceId) -> impl Iterator<Item = &Arc<Nic>> {
        let ids = self.nics_of_instance.get(instance).into_iter().flatten();
        ids.filter_map(|id| self.nics.get(id))
    }

    pub fn groups_of_vpc(&self, vpc: &VpcId) -> impl Iterator<Item = &Arc<Group>> {
        let ids = self.groups_of_vpc.get(vpc).into_iter().flatten();
        ids.filter_map(|id| self.groups.get(id))
    }

    pub fn nics_of_vpc(&self, vpc: &VpcId) -> impl Iterator<Item = &Arc<Nic>> {
        let ids = self.nics_of_vpc.get(vpc).into_iter().flatten();
        ids.filter_map(|id| self.nics.get(id))
    }

    /// The rules that name a group or list, which is given by its id.
    pub fn rules_naming(&self, id: &(impl Clone + Into<Key>)) -> impl Iterator<Item = &Arc<Rule>> {
        let ids = self.naming.get(&id.clone().into());
        ids.into_iter().flatten().filter_map(|id| self.rules.get(id))
    }

    /// The NIC of this device of this host.
    #[must_use]
    pub fn nic_of_device(&self, device: &str) -> Option<&Arc<Nic>> {
        self.nics.get(self.devices.get(device)?)
    }

    /// The NICs of this host, by device.
    pub fn local_nics(&self) -> impl Iterator<Item = &Arc<Nic>> {
        self.devices.values().filter_map(|id| self.nics.get(id))
    }

    /// The NIC with this UUID.
    #[must_use]
    pub fn nic_by_uuid(&self, uuid: Uuid) -> Option<&Arc<Nic>> {
        self.nics.get(self.nic_uuids.get(&uuid)?)
    }

    /// The instance with this UUID.
    #[must_use]
    pub fn instance_by_uuid(&self, uuid: Uuid) -> Option<&Arc<Instance>> {
        self.instances.get(self.instance_uuids.get(&uuid)?)
    }

    /// The region for which a project stands, if a record is in it.
    #[must_use]
    pub fn region_of_project(&self, project: &str) -> Option<&str> {
        self.projects.get(project).map(|region| &**region)
    }

    /// The regions that records are in.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.regions.keys().map(|region| &**region)
    }

    /// The kept responses, oldest first.
    pub fn tokens_by_age(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens_by_age.iter().filter_map(|(_, token)| self.tokens.get(token))
    }

    /// Counts a record of a region, or no longer.
    fn count(&mut self, region: &str, there: bool) {
        match self.regions.get_mut(region) {
            Some(records) if there => *records += 1,
            Some(records) if *records > 1 => *records -= 1,
            Some(_) => {
                self.regions.remove(region);
                self.projects.remove(&project_id(region));
            }
            None if there => {
                let name: Arc<str> = region.into();
                self.projects.insert(project_id(region), Arc::clone(&name));
                self.regions.insert(name, 1);
            }
            None => {}
        }
    }

    /// Adds a record to the indices, or removes it.
    fn index(&mut self, record: &Record, there: bool) {
        if let Some(region) = region_of(record) {
            self.count(region, there);
        }
        match record {
            Record::Group(group) => {
                if let Some(vpc) = &group.vpc {
                    set(&mut self.groups_of_vpc, vpc, &group.id, there);
                }
            }
            Record::Rule(rule) => {
                let rules = self.rules_of_group.entry(rule.group.clone()).or_default();
                if there {
                    rules.insert(rule.serial, Arc::clone(rule));
                } else if rules.get(&rule.serial).is_some_and(|there| there.id == rule.id) {
                    // If another rule has taken its serial meanwhile, that one keeps it.
                    rules.remove(&rule.serial);
                }
                for named in named_by(rule) {
                    set(&mut self.naming, &named, &rule.id, there);
                }
            }
            Record::Nic(nic) => {
                mark(&mut self.nic_uuids, uuid_of(&nic.id), &nic.id, there);
                for group in &nic.groups {
                    set(&mut self.nics_of_group, group, &nic.id, there);
                }
                if let Some(instance) = &nic.instance {
                    set(&mut self.nics_of_instance, instance, &nic.id, there);
                }
                if let Some(vpc) = &nic.vpc {
                    set(&mut self.nics_of_vpc, vpc, &nic.id, there);
                }
                if let Some(device) = &nic.device {
                    if there {
                        self.devices.insert(device.clone(), nic.id.clone());
                    } else if self.devices.get(device) == Some(&nic.id) {
                        self.devices.remove(device);
                    }
                }
            }
            Record::Instance(instance) => {
                mark(&mut self.instance_uuids, uuid_of(&instance.id), &instance.id, there);
            }
            Record::Token(token) => {
                let entry = (token.created, token.token.clone());
                if there {
                    self.tokens_by_age.insert(entry);
                } else {
                    self.tokens_by_age.remove(&entry);
                }
            }
            Record::Vpc(_)
            | Record::Member(_)
            | Record::PrefixList(_)
            | Record::PortList(_)
            | Record::AccessKey(_)
            | Record::Demands(_)
            | Record::Settings(_) => {}
        }
    }
}

/// The region that a record is in.
fn region_of(record: &Record) -> Option<&str> {
    Some(match record {
        Record::Vpc(vpc) => &vpc.region,
        Record::Group(group) => &group.region,
        Record::Nic(nic) => &nic.region,
        Record::Instance(instance) => &instance.region,
        Record::PrefixList(list) => &list.region,
        Record::PortList(list) => &list.region,
        Record::Rule(_)
        | Record::Member(_)
        | Record::AccessKey(_)
        | Record::Token(_)
        | Record::Demands(_)
        | Record::Settings(_) => return None,
    })
}

/// The group and the lists that a rule names.
fn named_by(rule: &Rule) -> impl Iterator<Item = Key> {
    rule.spec.matches.named().map(|named| match named {
        Named::Group(group) => Key::Group(group.clone()),
        Named::PrefixList(list) => Key::PrefixList(list.clone()),
        Named::PortList(list) => Key::PortList(list.clone()),
    })
}

/// Notes what a UUID stands for, or forgets it.
fn mark<I: Clone>(index: &mut OrdMap<Uuid, I>, uuid: Uuid, id: &I, there: bool) {
    if there {
        index.insert(uuid, id.clone());
    } else {
        index.remove(&uuid);
    }
}

/// Adds `value` under `key`, or removes it.
fn set<K: Ord + Clone, V: Ord + Clone>(index: &mut OrdMap<K, OrdSet<V>>, key: &K, value: &V, there: bool) {
    if there {
        index.entry(key.clone()).or_default().insert(value.clone());
    } else if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
