//! A rule as each API shows it.

use serde_json::{Value, json};

use crate::tests::{
    alibaba::{protocol, range},
    both::Both,
    huawei::{action, multiport},
    objects::Rule,
    operations::Version,
    specs::{Action, Family, Ports, Remote},
};

impl Both {
    pub(super) fn rule_of_alibaba(&self, rule: &Rule) -> Value {
        let spec = &rule.spec;
        let (remote, local) = if spec.ingress { ("Source", "Dest") } else { ("Dest", "Source") };
        let mut shown = json!({
            "SecurityGroupRuleId": rule.ids.id,
            "Direction": if spec.ingress { "ingress" } else { "egress" },
            "IpProtocol": protocol(spec.protocol),
            "PortRange": match &spec.ports {
                Ports::Any => "-1/-1".to_owned(),
                Ports::Ranges(ranges) => ranges.iter().map(|one| range(*one)).collect::<Vec<_>>().join(","),
                Ports::List(_) => String::new(),
            },
            "PortRangeListId": match &spec.ports {
                Ports::List(list) => self.model.port_lists[list].id.as_str(),
                Ports::Any | Ports::Ranges(_) => "",
            },
            "PortRangeListName": match &spec.ports {
                Ports::List(list) => self.model.port_lists[list].name.as_str(),
                Ports::Any | Ports::Ranges(_) => "",
            },
            "SourcePortRange": spec.source_ports.map(range).unwrap_or_default(),
            "Policy": match spec.action {
                Action::Accept => "Accept",
                Action::Drop => "Drop",
                Action::Reject => "Reject",
            },
            "Priority": spec.priority.to_string(),
            "Description": rule.description,
        });
        for end in ["Source", "Dest"] {
            for name in [
                format!("{end}CidrIp"),
                format!("Ipv6{end}CidrIp"),
                format!("{end}GroupId"),
                format!("{end}PrefixListId"),
            ] {
                shown[name] = "".into();
            }
        }
        let mut say = |name: String, text: &str| shown[name] = text.into();
        let cidr = |end: &str, family: Family| match family {
            Family::V4 => format!("{end}CidrIp"),
            Family::V6 => format!("Ipv6{end}CidrIp"),
        };
        match &spec.remote {
            Remote::Any => {
                for (family, all) in [(Family::V4, "0.0.0.0/0"), (Family::V6, "::/0")] {
                    if spec.family.is_none_or(|only| only == family) {
                        say(cidr(remote, family), all);
                    }
                }
            }
            Remote::Net(net) => say(cidr(remote, Family::of(net)), &shortest(net)),
            Remote::Group(group) => say(format!("{remote}GroupId"), &self.group_id(*group).id),
            Remote::List(list) => say(format!("{remote}PrefixListId"), &self.list_id(*list).id),
        }
        if let Some(net) = &spec.local {
            say(cidr(local, Family::of(net)), &shortest(net));
        }
        shown
    }

    pub(super) fn rule_of_huawei(&self, version: Version, rule: &Rule) -> Value {
        let spec = &rule.spec;
        let family = spec.only(&self.model);
        let (mut prefix, mut group, mut list) = (Value::Null, Value::Null, Value::Null);
        match &spec.remote {
            Remote::Any => {}
            Remote::Net(net) => prefix = net.to_string().into(),
            Remote::Group(named) => group = self.group_id(*named).uuid.into(),
            Remote::List(named) => list = self.list_id(*named).uuid.into(),
        }
        let mut shown = json!({
            "id": rule.ids.uuid,
            "security_group_id": self.group_id(rule.group).uuid,
            "direction": if spec.ingress { "ingress" } else { "egress" },
            "ethertype": family.map(|family| if family == Family::V4 { "IPv4" } else { "IPv6" }),
            "protocol": match spec.protocol {
                None => Value::Null,
                Some(1) => "icmp".into(),
                Some(6) => "tcp".into(),
                Some(17) => "udp".into(),
                Some(58) => "icmpv6".into(),
                Some(number) => number.to_string().into(),
            },
            "remote_ip_prefix": prefix,
            "remote_group_id": group,
            "remote_address_group_id": list,
            "description": rule.description,
        });
        if version == Version::V3 {
            shown["action"] = action(spec.action).into();
            shown["priority"] = spec.priority.into();
            shown["enabled"] = spec.enabled.into();
            shown["multiport"] = match &spec.ports {
                Ports::Any => Value::Null,
                Ports::Ranges(ranges) => multiport(ranges).into(),
                Ports::List(list) => multiport(&self.model.port_lists[list].ranges).into(),
            };
        } else {
            let (min, max) = match (&spec.ports, spec.icmp) {
                (Ports::Ranges(ranges), _) if ranges.len() == 1 => (json!(ranges[0].0), json!(ranges[0].1)),
                (_, Some((kind, code))) => (json!(kind), json!(code)),
                _ => (Value::Null, Value::Null),
            };
            (shown["port_range_min"], shown["port_range_max"]) = (min, max);
        }
        shown
    }
}

/// A prefix as Alibaba's API shows it: one of full length is an address.
fn shortest(net: &ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}
