//! Checks whether a rule may be in a group, and resolves the names in it to ids.
//!
//! It must never decide which packets a rule matches. Called by the operations that add or change rules.

use sg_model::{MatchField, Misfit, Priority, Resolve};
use sg_records::{
    Group, GroupId, GroupType, Ids, Match, NicType, PortEntry, PortListId, PrefixEntry, PrefixListId, Remote,
    RuleSpec,
};

use super::{
    Field, Refusal, State,
    labels::{free_name, rule_description},
    refusal::excerpt,
};

/// Which requirements apply to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Those of the clouds: no rule names its own group, except of a closed group; rules of enterprise groups name no group, and no
    /// rule names one.
    Cloud,
    /// Those of documents: every rule that a document can express is valid.
    Document,
}

/// The rule with names resolved to ids, if it may be in `group`.
pub(super) fn checked(
    state: &State,
    group: &Group,
    spec: &RuleSpec,
    strictness: Strictness,
) -> Result<RuleSpec, Refusal> {
    let mut spec = spec.clone();
    if Priority::new(spec.priority).is_none() {
        return Err(Refusal::Invalid {
            field: Field::Priority,
            found: spec.priority.to_string(),
            allowed: "1 (first) to 100 (last)".to_owned(),
        });
    }
    if spec.nic_type == NicType::Internet && (group.vpc.is_some() || group.kind == GroupType::Closed) {
        let allowed = match group.kind {
            GroupType::Closed => "in a closed group every rule is for intranet",
            GroupType::Basic | GroupType::Enterprise => "in a VPC every rule is for intranet",
        };
        return Err(Refusal::invalid(Field::NicType, spec.nic_type, allowed));
    }
    free_name(&spec.name)?;
    rule_description(&spec.description)?;
    spec.matches = spec.matches.try_map(&mut ByName { state, group })?;
    fits_together(&spec.matches)?;
    spec.matches = spec.matches.truncated();
    families(state, &spec.matches)?;
    named_group(state, group, &spec, strictness)?;
    Ok(spec)
}

/// Resolves the names in a rule of `group` to ids.
struct ByName<'a> {
    state: &'a State,
    group: &'a Group,
}

impl Resolve<Ids, Ids> for ByName<'_> {
    type Error = Refusal;

    fn group(&mut self, group: &GroupId) -> Result<GroupId, Refusal> {
        Ok(self.state.find_group_near(group.as_str(), self.group)?.id.clone())
    }

    fn prefix_list(&mut self, list: &PrefixListId) -> Result<PrefixListId, Refusal> {
        Ok(self.state.find_list::<PrefixEntry>(list.as_str())?.id.clone())
    }

    fn port_list(&mut self, list: &PortListId) -> Result<PortListId, Refusal> {
        Ok(self.state.find_list::<PortEntry>(list.as_str())?.id.clone())
    }
}

/// Checks that protocol, ports and ICMP message fit together.
fn fits_together(matches: &Match) -> Result<(), Refusal> {
    let Err(misfit) = matches.fits() else { return Ok(()) };
    let (field, found) = match misfit {
        Misfit::Ports if !matches.ports.is_any() => (Field::Ports, matches.ports.to_string()),
        Misfit::Ports => (Field::SourcePorts, matches.source_ports.to_string()),
        Misfit::Message | Misfit::CodeWithoutType => {
            (Field::Icmp, matches.numbers.icmp_type.map_or_else(String::new, |kind| kind.to_string()))
        }
    };
    Err(Refusal::Invalid { field, found, allowed: format!("{misfit}; the protocol is {}", matches.protocol) })
}

/// Checks that a rule has one address family.
fn families(state: &State, matches: &Match) -> Result<(), Refusal> {
    let of_list = |list: &PrefixListId| state.prefix_list(list)?.extra.family.map(Into::into);
    if let Some([first, second]) = matches.mixed_families(of_list) {
        let [first, second] = [first, second].map(|(field, _)| match field {
            MatchField::Local => "the local address",
            MatchField::Remote => "the remote",
            MatchField::Family => "the family",
            // Every other field that has a family has that of the protocol.
            _ => "the protocol",
        });
        return Err(Refusal::MixedFamilies { first, second });
    }
    if let (Remote::Net(remote), Some(local)) = (&matches.remote, matches.local)
        && *remote == local
        && remote.prefix_len() > 0
    {
        let found = excerpt(&local.to_string());
        let allowed = "another one than the remote: one packet never has both ends there".to_owned();
        return Err(Refusal::Invalid { field: Field::Local, found, allowed });
    }
    Ok(())
}

/// Checks that the group that a rule names may be named.
fn named_group(state: &State, group: &Group, spec: &RuleSpec, strictness: Strictness) -> Result<(), Refusal> {
    let Remote::Group(id) = &spec.matches.remote else { return Ok(()) };
    let Some(named) = state.group(id) else { return Ok(()) };
    if named.is_regional() != group.is_regional() {
        let named: &Group = named;
        let (regional, other) = if group.is_regional() { (group, named) } else { (named, group) };
        return Err(Refusal::RegionalReference {
            group: regional.id.clone(),
            other: state.called_group(other).to_string(),
            network: state.network(other.vpc.as_ref()).into(),
        });
    }
    if named.vpc != group.vpc {
        return Err(Refusal::OtherVpc {
            what: state.called_group(named).to_string(),
            found: state.network(named.vpc.as_ref()).into(),
            with: state.called_group(group).to_string(),
            wanted: state.network(group.vpc.as_ref()).into(),
            demand: "a rule names only groups of its own VPC",
        });
    }
    if named.region != group.region {
        return Err(Refusal::OtherNetwork {
            what: state.called_group(named).to_string(),
            with: state.called_group(group).to_string(),
            networks: "regions",
        });
    }
    if spec.nic_type == NicType::Internet {
        return Err(Refusal::Invalid {
            field: Field::NicType,
            found: spec.nic_type.to_string(),
            allowed:
                "a rule that names a group is for intranet: members are known by their private addresses"
                    .to_owned(),
        });
    }
    if strictness == Strictness::Document {
        return Ok(());
    }
    if named.id == group.id && group.kind != GroupType::Closed {
        return Err(Refusal::OwnGroup { group: group.id.clone() });
    }
    for one in [group, named] {
        if one.kind == GroupType::Enterprise {
            return Err(Refusal::EnterpriseReference { group: one.id.clone() });
        }
    }
    Ok(())
}
