//! Copies a group, in the same VPC or to another.
//!
//! Rules that cannot exist in the copy are left out and reported, never changed silently. The native API calls it through
//! `Service`.

use sg_api_types::{CloneGroup, Cloned, CreateGroup, GroupTemplate, LeftOut};
use sg_model::Named;
use sg_records::{Direction, Group, NicType, Remote, Rule, RuleSpec};

use super::{
    Field, Operation, Refusal, Tx,
    quota::more_rules,
    rule_check::{Strictness, checked},
    rules::put_rules,
};

impl Operation for CloneGroup {
    type Output = Cloned;

    fn run(&self, tx: &mut Tx) -> Result<Cloned, Refusal> {
        let original = Group::clone(tx.find_group(&self.group)?);
        let same_region = self.region.as_ref().is_none_or(|region| *region == original.region);
        if let (true, Some(vpc)) = (self.classic, &self.vpc) {
            return Err(Refusal::OtherNetwork {
                what: format!("VPC {vpc}"),
                with: "the classic network".to_owned(),
                networks: "network types",
            });
        }
        // A VPC does not reach into another region, and a copy leaves its VPC only if the request says so.
        if !same_region && !self.classic && self.vpc.is_none() && original.vpc.is_some() {
            let allowed =
                "a copy in another region needs a VPC there (`vpc`), or becomes a classic group (`classic`)"
                    .to_owned();
            return Err(Refusal::Missing { field: Field::Vpc, allowed });
        }
        let kept = || original.vpc.as_ref().filter(|_| same_region).map(ToString::to_string);
        let vpc = if self.classic { None } else { self.vpc.clone().or_else(kept) };
        let mut label = self.label.clone();
        if self.tags && label.tags.is_empty() {
            label.tags.clone_from(&original.label.tags);
        }
        let here = || if vpc.is_none() { original.region.clone() } else { String::new() };
        let copy = CreateGroup {
            label,
            region: self.region.clone().unwrap_or_else(here),
            vpc: vpc.clone(),
            kind: original.kind,
            inner_access: Some(original.inner_access),
            template: GroupTemplate::None,
        };
        let group = copy.run(tx)?;
        let (mut rules, mut left_out) = (0, Vec::new());
        if self.rules {
            let originals: Vec<Rule> = tx.rules_of(&original.id).map(|rule| Rule::clone(rule)).collect();
            for direction in Direction::ALL {
                let mut specs = Vec::new();
                for rule in originals.iter().filter(|rule| rule.direction == direction) {
                    match carried(tx, &original, &group, &rule.spec) {
                        Ok(spec) => specs.push(spec),
                        Err(reason) => left_out.push(LeftOut { rule: rule.id.clone(), reason }),
                    }
                }
                rules += put_rules(tx, &group.id, direction, specs).len();
            }
        }
        more_rules(tx, &group.id)?;
        Ok(Cloned { group, rules, left_out })
    }
}

/// The rule in the form that it has in the copy.
///
/// # Errors
/// Why it cannot exist there.
fn carried(tx: &Tx, from: &Group, to: &Group, spec: &RuleSpec) -> Result<RuleSpec, String> {
    let mut spec = spec.clone();
    let in_region = |region: Option<&String>| region == Some(&to.region);
    for named in spec.matches.named() {
        match named {
            Named::PrefixList(list) if !in_region(tx.prefix_list(list).map(|list| &list.region)) => {
                return Err(format!("prefix list {list} is in another region"));
            }
            Named::PortList(list) if !in_region(tx.port_list(list).map(|list| &list.region)) => {
                return Err(format!("port list {list} is in another region"));
            }
            Named::Group(group) if *group != from.id && (from.region != to.region || from.vpc != to.vpc) => {
                return Err(format!("group {group} is in another region or network"));
            }
            Named::PrefixList(_) | Named::PortList(_) | Named::Group(_) => {}
        }
    }
    if let Remote::Group(named) = &mut spec.matches.remote
        && *named == from.id
    {
        // A rule that names its own group names the copy there.
        *named = to.id.clone();
    }
    if to.vpc.is_some() && spec.nic_type == NicType::Internet {
        return Err("it is for NICs that face the internet, which a VPC does not have".to_owned());
    }
    if to.vpc.is_none()
        && !to.is_regional()
        && spec.matches.named().any(|named| !matches!(named, Named::Group(_)))
    {
        return Err("rules of the classic network name no lists".to_owned());
    }
    checked(tx, to, &spec, Strictness::Document).map_err(|refusal| refusal.to_string())
}
