//! Checks whether a rule may be in a group, and resolves the names in it to ids.
//!
//! It must never decide which packets a rule matches. Called by the operations that add or change rules.

use sg_model::Priority;
use sg_records::{Family, Group, GroupType, NicType, PortEntry, Ports, PrefixEntry, Remote, RuleSpec};

use super::{
    Field, Refusal, State,
    labels::{free_name, rule_description},
    project::service,
    refusal::excerpt,
};

/// Which requirements apply to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Those of the clouds: no rule names its own group; rules of enterprise groups name no group, and no rule names one.
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
    if group.vpc.is_some() && spec.nic_type == NicType::Internet {
        return Err(Refusal::Invalid {
            field: Field::NicType,
            found: spec.nic_type.to_string(),
            allowed: "in a VPC every rule is for intranet".to_owned(),
        });
    }
    free_name(&spec.name)?;
    rule_description(&spec.description)?;
    for ports in [&mut spec.ports, &mut spec.source_ports] {
        if let Ports::List(list) = ports {
            *list = state.find_list::<PortEntry>(list.as_str())?.id.clone();
        }
    }
    fits_together(&spec)?;
    if let Some(local) = &mut spec.local {
        *local = local.trunc();
    }
    families(state, &mut spec)?;
    named_group(state, group, &mut spec, strictness)?;
    Ok(spec)
}

/// Checks that protocol, ports and ICMP message fit together.
fn fits_together(spec: &RuleSpec) -> Result<(), Refusal> {
    let said = |ports: &Ports| match ports {
        Ports::Any => sg_model::Ports::Any,
        Ports::Ranges(_) | Ports::List(_) => sg_model::Ports::Ranges(Vec::new()),
    };
    let Err(reason) = service(spec, said(&spec.ports), said(&spec.source_ports)) else { return Ok(()) };
    let (field, found) = if !spec.ports.is_any() {
        (Field::Ports, spec.ports.to_string())
    } else if !spec.source_ports.is_any() {
        (Field::SourcePorts, spec.source_ports.to_string())
    } else {
        (Field::Icmp, spec.icmp_type.map_or_else(String::new, |kind| kind.to_string()))
    };
    Err(Refusal::Invalid { field, found, allowed: format!("{reason}; the protocol is {}", spec.protocol) })
}

/// Checks that a rule has one address family.
fn families(state: &State, spec: &mut RuleSpec) -> Result<(), Refusal> {
    let protocol = match service(spec, sg_model::Ports::Any, sg_model::Ports::Any) {
        Ok(service) => service.family().map(|family| match family {
            sg_model::Family::V4 => Family::V4,
            sg_model::Family::V6 => Family::V6,
        }),
        Err(_) => None,
    };
    let remote = match &mut spec.remote {
        Remote::Any | Remote::Group(_) => None,
        Remote::Net(net) => {
            *net = net.trunc();
            Some(Family::of(*net))
        }
        Remote::PrefixList(list) => {
            let found = state.find_list::<PrefixEntry>(list.as_str())?;
            *list = found.id.clone();
            found.extra.family
        }
    };
    let local = spec.local.map(Family::of);
    let parts = [("the protocol", protocol), ("the remote", remote), ("the local address", local)];
    let mut known = parts.into_iter().filter_map(|(part, family)| Some((part, family?)));
    if let Some((first, family)) = known.next()
        && let Some((second, _)) = known.find(|(_, other)| *other != family)
    {
        return Err(Refusal::MixedFamilies { first, second });
    }
    if let (Remote::Net(remote), Some(local)) = (&spec.remote, spec.local)
        && *remote == local
        && remote.prefix_len() > 0
    {
        let found = excerpt(&local.to_string());
        let allowed = "another one than the remote: one packet never has both ends there".to_owned();
        return Err(Refusal::Invalid { field: Field::Local, found, allowed });
    }
    Ok(())
}

/// Resolves the group that a rule names, and checks that it may be named.
fn named_group(
    state: &State,
    group: &Group,
    spec: &mut RuleSpec,
    strictness: Strictness,
) -> Result<(), Refusal> {
    let Remote::Group(name) = &mut spec.remote else { return Ok(()) };
    let named = state.find_group_near(name.as_str(), group)?;
    *name = named.id.clone();
    if named.vpc != group.vpc {
        let called = |group: &Group| match group.label.name.as_str() {
            "" => format!("group {}", group.id),
            name => format!("group {} ({name})", group.id),
        };
        return Err(Refusal::OtherVpc {
            what: called(named),
            found: named.vpc.clone(),
            with: called(group),
            wanted: group.vpc.clone(),
        });
    }
    if named.region != group.region {
        return Err(Refusal::OtherNetwork {
            what: format!("group {}", named.id),
            with: format!("group {}", group.id),
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
    if named.id == group.id {
        return Err(Refusal::OwnGroup { group: group.id.clone() });
    }
    for one in [group, named] {
        if one.kind == GroupType::Enterprise {
            return Err(Refusal::EnterpriseReference { group: one.id.clone() });
        }
    }
    Ok(())
}
