//! Checks that operations could have produced a set of records: each record passes the checks of the operation that creates its
//! kind, together with the others. An import is checked before it is accepted, and an export before it is sent, because a file
//! that cannot be imported is no backup.
//!
//! Quotas are not checked: lowering a quota leaves existing objects in place, and such a state must be importable, too. Called by
//! `replace` and by the API that exports. It must never change anything.

use std::collections::{HashMap, HashSet};

use sg_records::{
    AccessKey, EntryList, Group, GroupType, Id, Instance, InstanceId, Label, Member, Nic, NicId, Rule,
    RuleId, Settings, Vpc, VpcId,
};
use sg_store::Record;

use super::{
    Field, Kind, Refusal, State, StoredEntry,
    access::{check_key, check_quotas},
    demands::check_demands,
    groups,
    idempotency::check_token,
    labels::{Wording, check_stored as check_label, region},
    lists::check_list,
    membership::{fit_together, knows_vpc, member_address},
    nics::check_parts,
    refusal::excerpt,
    rule_check::{Strictness, checked},
    twins::Names,
    vpcs::range,
};

/// Checks that operations could have produced a state.
///
/// # Errors
/// The first record that they could not have produced, and why.
pub fn check_stored(state: &State) -> Result<(), Refusal> {
    let mut check = Check::of(state);
    state.records().try_for_each(|record| check.record(None, &record))
}

/// Checks that operations could have produced `records`, which are all records of `state`. Each is given with its line.
///
/// # Errors
/// The first record that they could not have produced: its line, and why.
pub(super) fn check_imported(state: &State, records: &[(u64, Record)]) -> Result<(), Refusal> {
    let mut check = Check::of(state);
    records.iter().try_for_each(|(line, record)| check.record(Some(*line), record))
}

/// Objects seen so far, of the kinds that may exist only once.
struct Check<'a> {
    state: &'a State,
    names: Names<'a>,
    serials: HashMap<u64, RuleId>,
    devices: HashMap<String, NicId>,
    /// Regions and VPCs whose default group of a type was seen.
    defaults: HashSet<(GroupType, String, Option<VpcId>)>,
    /// Instances whose primary NIC was seen.
    primaries: HashSet<InstanceId>,
    /// Documents whose VPC was seen.
    documents: HashSet<String>,
}

impl<'a> Check<'a> {
    fn of(state: &'a State) -> Self {
        Self {
            state,
            names: Names::of(state),
            serials: HashMap::new(),
            devices: HashMap::new(),
            defaults: HashSet::new(),
            primaries: HashSet::new(),
            documents: HashSet::new(),
        }
    }

    fn record(&mut self, line: Option<u64>, record: &Record) -> Result<(), Refusal> {
        let checked = match record {
            Record::Vpc(vpc) => self.vpc(vpc),
            Record::Group(group) => self.group(group),
            Record::Rule(rule) => self.rule(rule),
            Record::Member(member) => self.member(member),
            Record::PrefixList(list) => self::list(self.state, list),
            Record::PortList(list) => self::list(self.state, list),
            Record::Instance(instance) => self.instance(instance),
            Record::Nic(nic) => self.nic(nic),
            Record::AccessKey(key) => access_key(key),
            Record::Token(token) => check_token(token),
            Record::Demands(demands) => check_demands(demands),
            Record::Settings(settings) => check_settings(settings),
        };
        checked.and_then(|()| self.names.check(record)).map_err(|reason| Refusal::Record {
            line,
            record: printable(&record.key().to_string()),
            reason: Box::new(reason),
        })
    }

    fn vpc(&mut self, vpc: &Vpc) -> Result<(), Refusal> {
        id(&vpc.id)?;
        named_region(&vpc.region)?;
        check_label(&vpc.label, Wording::Alibaba)?;
        range(vpc)?;
        match &vpc.label.owner {
            Some(owner) if !self.documents.insert(owner.clone()) => {
                invalid("owner", owner, "a document has one VPC, and there is another one of it")
            }
            _ => Ok(()),
        }
    }

    /// Checks that an object in a VPC is in the VPC's region, and that an object owned by a document is in the document's VPC.
    fn place(&self, region: &str, vpc: Option<&VpcId>, label: Option<&Label>) -> Result<(), Refusal> {
        named_region(region)?;
        let vpc = match vpc {
            None => None,
            Some(id) => Some(self.state.vpc(id).ok_or_else(|| missing(Kind::Vpc, id.as_str()))?),
        };
        if let Some(vpc) = vpc.filter(|vpc| vpc.region != region) {
            return Err(Refusal::OtherNetwork {
                what: "it".to_owned(),
                with: format!("VPC {}", vpc.id),
                networks: "regions",
            });
        }
        match label.and_then(|label| label.owner.as_ref()) {
            Some(owner) if vpc.is_none_or(|vpc| vpc.label.owner.as_ref() != Some(owner)) => {
                invalid("owner", owner, "what a document owns is in the VPC of the document")
            }
            _ => Ok(()),
        }
    }

    fn group(&mut self, group: &Group) -> Result<(), Refusal> {
        id(&group.id)?;
        check_label(&group.label, Wording::of_group(group.kind))?;
        self.place(&group.region, group.vpc.as_ref(), Some(&group.label))?;
        groups::check(group)?;
        if !group.default {
            return Ok(());
        }
        let may_be = group.kind == GroupType::Basic || group.is_regional();
        if !may_be || group.label.owner.is_some() {
            let allowed = "a basic group, or a closed one without a VPC, that belongs to no document";
            return invalid("default", "true", allowed);
        }
        if !self.defaults.insert((group.kind, group.region.clone(), group.vpc.clone())) {
            return invalid("default", "true", "this VPC or region already has one");
        }
        Ok(())
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), Refusal> {
        id(&rule.id)?;
        let missing = || missing(Kind::Group, rule.group.as_str());
        let group = self.state.group(&rule.group).ok_or_else(missing)?;
        let next = self.state.settings().serial;
        if rule.serial >= next {
            let allowed = format!("less than the next one, {next} (serial of the settings)");
            return invalid("serial", &rule.serial.to_string(), &allowed);
        }
        if let Some(other) = self.serials.insert(rule.serial, rule.id.clone()) {
            return invalid("serial", &rule.serial.to_string(), &format!("rule {other} already has it"));
        }
        // Groups that a document made, and copies of them, may name themselves.
        let spec = checked(self.state, group, &rule.spec, Strictness::Document)?;
        if spec.matches.remote != rule.spec.matches.remote {
            let allowed = format!("an id, not a name, and no host bits: {}", spec.matches.remote);
            return Err(Refusal::invalid(Field::Remote, &rule.spec.matches.remote, allowed));
        }
        if spec != rule.spec {
            return invalid("spec", rule.id.as_str(), "ids, not names, and no host bits");
        }
        Ok(())
    }

    fn member(&self, member: &Member) -> Result<(), Refusal> {
        let missing = || missing(Kind::Group, member.group.as_str());
        let group = self.state.group(&member.group).ok_or_else(missing)?;
        member_address(member.address)?;
        knows_vpc(group)?;
        match &member.owner {
            Some(owner) if group.label.owner.as_ref() != Some(owner) => {
                invalid("owner", owner, "that of the group, or none")
            }
            _ => Ok(()),
        }
    }

    fn instance(&self, instance: &Instance) -> Result<(), Refusal> {
        id(&instance.id)?;
        check_label(&instance.label, Wording::Alibaba)?;
        unowned(&instance.label)?;
        self.place(&instance.region, instance.vpc.as_ref(), None)?;
        let mut nics = self.state.nics_of_instance(&instance.id).peekable();
        if nics.peek().is_some() && !nics.any(|nic| nic.primary) {
            return invalid("primary", "false", "one NIC of an instance is its primary one");
        }
        Ok(())
    }

    fn nic(&mut self, nic: &Nic) -> Result<(), Refusal> {
        id(&nic.id)?;
        check_label(&nic.label, Wording::Alibaba)?;
        self.place(&nic.region, nic.vpc.as_ref(), Some(&nic.label))?;
        check_parts(nic)?;
        // A request may name a group; a record has its id.
        if let Some(id) = nic.groups.iter().find(|id| self.state.group(id).is_none()) {
            return Err(missing(Kind::Group, id.as_str()));
        }
        fit_together(self.state, nic, |kind| kind.max_per_nic() as u64)?;
        if let Some(device) = &nic.device
            && let Some(other) = self.devices.insert(device.clone(), nic.id.clone())
        {
            return Err(Refusal::DeviceTaken { device: device.clone(), nic: other });
        }
        let Some(id) = &nic.instance else {
            return if nic.primary { invalid("primary", "true", "the NIC of an instance") } else { Ok(()) };
        };
        unowned(&nic.label)?;
        let instance = self.state.instance(id).ok_or_else(|| missing(Kind::Instance, id.as_str()))?;
        if (&instance.region, &instance.vpc) != (&nic.region, &nic.vpc) {
            return invalid("instance", id.as_str(), "one in the same region and VPC");
        }
        if nic.primary && !self.primaries.insert(id.clone()) {
            return invalid("primary", "true", "one NIC of an instance is its primary one");
        }
        Ok(())
    }
}

fn list<E: StoredEntry>(state: &State, list: &EntryList<E>) -> Result<(), Refusal> {
    id(&list.id)?;
    named_region(&list.region)?;
    check_label(&list.label, Wording::EitherCloud)?;
    check_list(state, list, u32::MAX)
}

fn access_key(key: &AccessKey) -> Result<(), Refusal> {
    id(&key.id)?;
    check_key(key)
}

fn check_settings(settings: &Settings) -> Result<(), Refusal> {
    check_quotas(&settings.quotas)
}

fn id<I: Id>(id: &I) -> Result<(), Refusal> {
    if I::has_form(id.as_ref()) {
        return Ok(());
    }
    let allowed = match I::PREFIX {
        prefix @ (NicId::PREFIX | InstanceId::PREFIX) => {
            format!("{prefix} and letters, digits, `-`, `_`; 64 characters at most")
        }
        prefix => format!("{prefix} and 17 letters and digits"),
    };
    invalid("id", id.as_ref(), &allowed)
}

fn named_region(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::Missing { field: Field::Region, allowed: "the name of a region".to_owned() });
    }
    region(text).map(drop)
}

/// Checks that no document owns the object. Documents have no instances.
fn unowned(label: &Label) -> Result<(), Refusal> {
    match &label.owner {
        Some(owner) => invalid("owner", owner, "none: no document has instances"),
        None => Ok(()),
    }
}

fn invalid<T>(part: &'static str, found: &str, allowed: &str) -> Result<T, Refusal> {
    Err(Refusal::invalid(Field::Stored(part), found, allowed))
}

fn missing(kind: Kind, name: &str) -> Refusal {
    Refusal::NotFound { kind, name: excerpt(name), hint: None }
}

/// Makes a key printable in a message: ids in a file may be any text.
fn printable(key: &str) -> String {
    excerpt(&key.escape_debug().to_string())
}
