//! What only the service can do: a closed group in a VPC, and rules that say all that a rule can say. It must never check what is
//! shown.

use serde_json::{Value, json};
use sg_records::{Direction, GroupType, RuleSpec};
use sg_service::{Authorize, CreateGroup, NewLabel};

use super::{
    both::Both,
    objects::{Group, Ids, Kind, MOST_GROUPS, Named},
    operations::Wanted,
    specs::{Action, Family, Ports, Remote, Spec},
};

impl Both {
    pub(super) fn closed_group(&mut self, vpc: usize) -> Result<(), String> {
        if self.model.groups.len() >= MOST_GROUPS {
            return Ok(());
        }
        let number = self.model.number();
        let name = format!("g{number}");
        let create = CreateGroup {
            label: NewLabel { name: name.clone(), ..NewLabel::default() },
            vpc: Some(self.model.vpcs[vpc].id.clone()),
            kind: GroupType::Closed,
            ..CreateGroup::default()
        };
        self.faces.run(create).map_err(|refusal| refusal.to_string())?;
        let group = Group {
            ids: Ids::default(),
            name,
            description: String::new(),
            kind: Kind::Closed,
            vpc: Some(vpc),
            inner: false,
            tags: std::collections::BTreeMap::new(),
        };
        self.model.groups.insert(number, group);
        self.learn_group(number)
    }

    pub(super) fn any_rule(&mut self, group: u16, wanted: &Wanted) -> Result<(), String> {
        let named = self.model.group(group);
        let Named::There(group) = named else { return Ok(()) };
        let (mut spec, wanted) = self.spec(group, wanted);
        spec.family = wanted.family;
        let number = self.model.number();
        let rule: RuleSpec = serde_json::from_value(self.native_form(&spec, number)).unwrap();
        let direction = if spec.ingress { Direction::Ingress } else { Direction::Egress };
        let before = self.faces.export();
        let said =
            self.faces.run(Authorize::of(self.model.groups[&group].ids.id.as_str(), direction, vec![rule]));
        let why = spec.misfits(&self.model, group);
        match said {
            Ok(_) if why.is_empty() => self.learn_rule(group, number, spec),
            Err(_) if !why.is_empty() && self.faces.export() == before => Ok(()),
            said => Err(format!("a rule {spec:?}: {said:?}, expected {why:?}")),
        }
    }

    fn native_form(&self, spec: &Spec, number: u32) -> Value {
        let ranges = |ranges: &[(u16, u16)]| {
            let range = |(first, last): &(u16, u16)| format!("{first}-{last}");
            ranges.iter().map(range).collect::<Vec<_>>().join(",")
        };
        let ports = match &spec.ports {
            Ports::Any => json!("any"),
            Ports::Ranges(all) => json!(ranges(all)),
            Ports::List(list) => json!({ "port_list": self.model.port_lists[list].id }),
        };
        let remote = match &spec.remote {
            Remote::Any => json!("any"),
            Remote::Net(net) => json!(net.to_string()),
            Remote::Group(group) => json!({ "group": self.group_id(*group).id }),
            Remote::List(list) => json!({ "prefix_list": self.list_id(*list).id }),
        };
        let mut rule = json!({
            "action": match spec.action {
                Action::Accept => "accept",
                Action::Drop => "drop",
                Action::Reject => "reject",
            },
            "priority": spec.priority,
            "protocol": spec.protocol.map_or(json!("all"), |number| json!(number.to_string())),
            "ports": ports,
            "remote": remote,
            "enabled": spec.enabled,
            "description": format!("rule {number}"),
        });
        if let Some(range) = spec.source_ports {
            rule["source_ports"] = ranges(&[range]).into();
        }
        if let Some((kind, code)) = spec.icmp {
            rule["icmp_type"] = kind.into();
            rule["icmp_code"] = code.into();
        }
        if let Some(family) = spec.family {
            rule["family"] = (if family == Family::V4 { "ipv4" } else { "ipv6" }).into();
        }
        if let Some(net) = spec.local {
            rule["local"] = net.to_string().into();
        }
        rule
    }
}
