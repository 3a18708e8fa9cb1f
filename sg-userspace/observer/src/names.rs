//! What the numbers in reports mean: which NIC a slot is, and which rule a counter. It follows what is in force, and remembers
//! numbers that are no longer used until they are used again, because reports come a moment later. It must never guess: a number
//! that nobody knows is shown as a number. Called by `translate`.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::FixedState;
use jiff::Timestamp;
use sg_agent::{Catalog, InForceReader, NicRecord};
use sg_model::whole_group;

/// What a store knows of a NIC beyond its device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicLabels {
    /// Its id.
    pub id: String,
    /// The id of its instance.
    pub instance: Option<String>,
    /// The id of its VPC.
    pub vpc: Option<String>,
}

/// Where labels come from.
pub trait WithLabels: Send {
    /// The labels of the NIC of a device, if the store has it.
    fn labels(&self, device: &str) -> Option<NicLabels>;
}

/// No store: a NIC is its device.
#[derive(Clone, Copy, Debug)]
pub struct NoLabels;

impl WithLabels for NoLabels {
    fn labels(&self, _: &str) -> Option<NicLabels> {
        None
    }
}

/// A NIC.
#[derive(Clone, Debug, Default)]
pub(crate) struct NicName {
    pub(crate) nic: String,
    pub(crate) device: String,
    pub(crate) instance: Option<String>,
    pub(crate) vpc: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// A rule, or the traffic between members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleName {
    pub(crate) group: Arc<str>,
    pub(crate) rule: Arc<str>,
}

/// The names.
pub(crate) struct Names {
    in_force: InForceReader,
    labels: Box<dyn WithLabels>,
    nics: HashMap<u16, Arc<NicName>, FixedState>,
    rules: HashMap<u32, RuleName, FixedState>,
    /// The catalog that was read last.
    catalog: Arc<Catalog>,
    /// When the policy came in force.
    applied: Option<Timestamp>,
}

impl Names {
    pub(crate) fn new(in_force: InForceReader, labels: Box<dyn WithLabels>) -> Self {
        let (nics, rules) = (HashMap::default(), HashMap::default());
        let catalog = Arc::clone(&in_force.borrow().catalog);
        let mut names = Self { in_force, labels, nics, rules, catalog: Arc::clone(&catalog), applied: None };
        names.read(&catalog);
        names
    }

    /// Whether something else is in force now.
    pub(crate) fn is_stale(&self) -> bool {
        // An error: the agent has ended. What it had in force stays.
        self.in_force.has_changed().unwrap_or(false)
    }

    /// The NICs in force, by slot, with their devices.
    pub(crate) fn in_use(&self) -> Vec<(u16, String)> {
        let in_force = self.in_force.borrow();
        in_force.catalog.nics.iter().map(|nic| (nic.slot, nic.device.clone())).collect()
    }

    /// Follows what is in force now. Returns what happened, if another policy came in force.
    pub(crate) fn refresh(&mut self) -> Option<String> {
        if !self.is_stale() {
            return None;
        }
        let in_force = Arc::clone(&self.in_force.borrow_and_update());
        self.read(&in_force.catalog);
        let applied = in_force.applied.filter(|applied| Some(applied.at) != self.applied)?;
        self.applied = Some(applied.at);
        let nics = in_force.catalog.nics.len();
        Some(format!("policy applied (cause: {}; NICs: {nics})", applied.cause.name()))
    }

    /// Takes numbers for what they mean in this catalog.
    pub(crate) fn follow(&mut self, catalog: &Arc<Catalog>) {
        if !Arc::ptr_eq(&self.catalog, catalog) {
            self.read(catalog);
        }
    }

    /// Takes numbers for what they mean now.
    pub(crate) fn follow_current(&mut self) {
        let catalog = Arc::clone(&self.in_force.borrow().catalog);
        self.follow(&catalog);
    }

    fn read(&mut self, catalog: &Arc<Catalog>) {
        self.catalog = Arc::clone(catalog);
        let Catalog { nics, numbers, .. } = &**catalog;
        for nic in nics.iter() {
            self.nics.insert(nic.slot, Arc::new(self.nic_name(nic)));
        }
        for group in &numbers.groups {
            let name: Arc<str> = whole_group(&group.name).into();
            let rules = group.ingress.iter().chain(&group.egress);
            for rule in rules {
                let is_same = self
                    .rules
                    .get(&rule.number)
                    .is_some_and(|known| *known.rule == *rule.id && known.group == name);
                if !is_same {
                    let rule_name = RuleName { group: Arc::clone(&name), rule: rule.id.as_str().into() };
                    self.rules.insert(rule.number, rule_name);
                }
            }
            if let Some(number) = group.intra_group {
                let rule = RuleName { group: name, rule: "intra-group".into() };
                self.rules.insert(number, rule);
            }
        }
    }

    fn nic_name(&self, nic: &NicRecord) -> NicName {
        let device = nic.device.clone();
        // Of a NIC that has left the store, what was known of it stays.
        let known = || {
            let known = self.nics.get(&nic.slot).filter(|known| known.device == device)?;
            let NicName { nic: id, instance, vpc, .. } = NicName::clone(known);
            Some(NicLabels { id, instance, vpc })
        };
        let labels = self.labels.labels(&device).or_else(known);
        let NicLabels { id, instance, vpc } =
            labels.unwrap_or_else(|| NicLabels { id: device.clone(), ..NicLabels::default() });
        let groups = nic.groups.iter().map(|group| whole_group(group).to_owned()).collect();
        NicName { nic: id, device, instance, vpc, groups }
    }

    /// The NIC in a slot.
    pub(crate) fn nic(&self, slot: u16) -> Arc<NicName> {
        let unknown = || {
            let nic = format!("slot {slot}");
            Arc::new(NicName { nic, ..NicName::default() })
        };
        self.nics.get(&slot).map_or_else(unknown, Arc::clone)
    }

    /// The rule that a counter belongs to.
    pub(crate) fn rule(&self, number: u32) -> RuleName {
        let unknown = || RuleName { group: "unknown".into(), rule: format!("counter {number}").into() };
        self.rules.get(&number).cloned().unwrap_or_else(unknown)
    }

    /// The slot of a NIC, by its id or its device.
    pub(crate) fn slot(&self, nic: &str) -> Option<u16> {
        let mut all = self.in_use().into_iter();
        all.find(|(slot, device)| device == nic || self.nic(*slot).nic == nic).map(|(slot, _)| slot)
    }
}
