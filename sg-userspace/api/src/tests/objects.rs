//! The model: groups, rules, lists and NICs as plain maps, by numbers that are used once. Names and descriptions say the number, so
//! that each API finds an object by itself. It must never know how an API writes something.

use std::{collections::BTreeMap, net::IpAddr};

use super::specs::{Remote, Spec};

/// The networks: two VPCs, and none. In VPCs the order is merged.
pub(super) const NETWORKS: usize = 3;
/// No more groups are made than so many.
pub(super) const MOST_GROUPS: usize = 10;
/// Groups that one NIC may hold at most.
pub(super) const GROUPS_PER_NIC: usize = 3;

/// The id of an object in each API.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ids {
    pub(super) id: String,
    pub(super) uuid: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Basic,
    Enterprise,
    Closed,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) ids: Ids,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) kind: Kind,
    /// The VPC by its number. A closed group without one belongs to its region.
    pub(super) vpc: Option<usize>,
    pub(super) inner: bool,
    pub(super) tags: BTreeMap<String, String>,
}

impl Group {
    pub(super) fn is_regional(&self) -> bool {
        self.kind == Kind::Closed && self.vpc.is_none()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) ids: Ids,
    /// No other rule has it, but for those that a group begins with.
    pub(super) description: String,
    pub(super) group: u32,
    pub(super) spec: Spec,
}

/// A prefix list, which is an address group.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) ids: Ids,
    pub(super) name: String,
    pub(super) v6: bool,
    pub(super) max: usize,
    /// As they were written.
    pub(super) entries: Vec<String>,
}

/// A port list: one API has them.
#[derive(Clone, Debug)]
pub(super) struct PortList {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ranges: Vec<(u16, u16)>,
}

#[derive(Clone, Debug)]
pub(super) struct Nic {
    pub(super) ids: Ids,
    pub(super) vpc: usize,
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
    /// In order.
    pub(super) groups: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) groups: BTreeMap<u32, Group>,
    /// In the order in which they were written.
    pub(super) rules: Vec<Rule>,
    pub(super) lists: BTreeMap<u32, List>,
    pub(super) port_lists: BTreeMap<u32, PortList>,
    pub(super) nics: Vec<Nic>,
    pub(super) vpcs: Vec<Ids>,
    /// Groups that are gone.
    pub(super) gone: Vec<Ids>,
    next: u32,
}

/// The ids of an object that never was.
pub(super) fn never(prefix: &str) -> Ids {
    Ids { id: format!("{prefix}22222222222222222"), uuid: "11111111-1111-4111-8111-111111111111".to_owned() }
}

/// An object that an operation names.
#[derive(Clone, Debug)]
pub(super) enum Named {
    There(u32),
    /// It is gone, or never was.
    Gone(Ids),
}

impl Model {
    pub(super) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A group: mostly one that there is.
    pub(super) fn group(&self, pick: u16) -> Named {
        let at = usize::from(pick);
        if at % 19 == 7 || self.groups.is_empty() {
            let gone = at.checked_rem(self.gone.len()).map(|at| self.gone[at].clone());
            return Named::Gone(gone.unwrap_or_else(|| never("sg-")));
        }
        Named::There(*self.groups.keys().nth(at % self.groups.len()).unwrap())
    }

    /// A group for a NIC: mostly one that it may hold beside the others.
    pub(super) fn group_for(&self, nic: usize, pick: u16) -> Named {
        let (nic, at) = (&self.nics[nic], usize::from(pick));
        let kind = self.groups[&nic.groups[0]].kind;
        let fits = |group: &&Group| {
            (group.is_regional() || group.vpc == Some(nic.vpc)) && (at % 3 == 0 || group.kind == kind)
        };
        self.one_of(pick, |_, group| at % 7 != 0 && fits(&group))
    }

    /// A group that a NIC holds, mostly.
    pub(super) fn held(&self, nic: usize, pick: u16) -> Named {
        self.one_of(pick, |number, _| !pick.is_multiple_of(5) && self.nics[nic].groups.contains(&number))
    }

    /// A group that a rule of another one may name, mostly.
    pub(super) fn group_beside(&self, group: u32, pick: u16) -> Named {
        let Some(owner) = self.groups.get(&group) else { return self.group(pick) };
        self.one_of(pick, |number, other| {
            let alike = (other.vpc, other.is_regional()) == (owner.vpc, owner.is_regional());
            !pick.is_multiple_of(5) && alike && other.kind != Kind::Enterprise && number != group
        })
    }

    /// One of the groups that are suitable; any if none is.
    fn one_of(&self, pick: u16, is_suitable: impl Fn(u32, &Group) -> bool) -> Named {
        let suitable = self.groups.iter().filter(|(number, group)| is_suitable(**number, group));
        let suitable: Vec<u32> = suitable.map(|(number, _)| *number).collect();
        let at = usize::from(pick).checked_rem(suitable.len());
        at.map_or_else(|| self.group(pick), |at| Named::There(suitable[at]))
    }

    pub(super) fn group_ids(&self, named: &Named) -> Ids {
        match named {
            Named::There(group) => self.groups[group].ids.clone(),
            Named::Gone(ids) => ids.clone(),
        }
    }

    pub(super) fn rules_of(&self, group: u32) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.group == group)
    }

    /// Whether a NIC holds a group.
    pub(super) fn is_held(&self, group: u32) -> bool {
        self.nics.iter().any(|nic| nic.groups.contains(&group))
    }

    /// Whether a rule of another group names a group.
    pub(super) fn is_referenced(&self, group: u32) -> bool {
        self.rules.iter().any(|rule| rule.group != group && rule.spec.remote == Remote::Group(group))
    }

    pub(super) fn delete_group(&mut self, group: u32) {
        self.rules.retain(|rule| rule.group != group);
        let gone = self.groups.remove(&group).unwrap();
        self.gone.push(gone.ids);
    }

    /// The groups whose rules name a list.
    pub(super) fn naming(&self, list: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .rules
            .iter()
            .filter(|rule| rule.spec.remote == Remote::List(list))
            .map(|rule| rule.group)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a port list is named by a rule.
    pub(super) fn names_ports(&self, list: u32) -> bool {
        self.rules.iter().any(|rule| rule.spec.ports == super::specs::Ports::List(list))
    }

    /// Why a NIC may not hold these groups, all of which there are.
    pub(super) fn cannot_hold(&self, nic: usize, groups: &[u32]) -> Vec<Why> {
        let mut why = Vec::new();
        let kinds: Vec<Kind> = groups.iter().map(|group| self.groups[group].kind).collect();
        if groups.is_empty() {
            why.push(Why::Last);
        }
        if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            why.push(Why::Mixed);
        }
        if groups.len() > GROUPS_PER_NIC {
            why.push(Why::TooMany);
        }
        if (1..groups.len()).any(|at| groups[..at].contains(&groups[at])) {
            why.push(Why::Twice);
        }
        let fits = |group: &u32| {
            let group = &self.groups[group];
            group.is_regional() || group.vpc == Some(self.nics[nic].vpc)
        };
        if !groups.iter().all(fits) {
            why.push(Why::OtherNetwork);
        }
        let regional = groups.iter().filter(|group| self.groups[*group].is_regional()).count();
        if (1..groups.len()).contains(&regional) {
            why.push(Why::TwoOrders);
        }
        why
    }
}

/// Why an operation must be refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// The group or list of the request is not there.
    Unknown,
    /// A group or list that a rule names is not there.
    UnknownRemote,
    Last,
    Mixed,
    TooMany,
    Twice,
    OtherNetwork,
    /// Groups of a region beside those of a VPC, whose order is merged.
    TwoOrders,
    AlreadyMember,
    NotMember,
    Place,
    /// A NIC holds it, or a rule of another object names it.
    InUse,
    /// A rule names its own group.
    Own,
    /// A rule of an enterprise group names a group, or one names such a group.
    Enterprise,
    /// A rule of a region's group names another one, or the other way round.
    Regional,
    /// Two fields of a rule are of different families.
    Families,
    /// There is such a rule.
    Exists,
    /// An entry of a list is there twice.
    EntryTwice,
    /// An entry to remove is not in the list.
    NoEntry,
    /// More entries than the list may have.
    Full,
    /// An entry of another family.
    EntryFamily,
    /// A group that has no inner access.
    NoInnerAccess,
}
