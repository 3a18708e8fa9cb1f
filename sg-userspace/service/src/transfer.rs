//! Export and import of a group's rules as a JSON or CSV file, in which a rule is a row.
//!
//! Fields have the names of the clouds' APIs, and `IcmpType`, `IcmpCode`, `Enabled` and `Name` in addition, which only sgd has.
//! The native API calls it.

mod file;
mod import;

use std::collections::HashSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sg_records::{
    Action, Direction, Family, GroupId, Id as _, Match, NicType, PortListId, Ports, PrefixListId, Protocol,
    Remote, Rule, RuleSpec, net, port_range, shortest,
};
use utoipa::ToSchema;

pub use file::{RuleFile, export_rules};
pub use import::ImportRules;

/// A rule as a row of a file. Every field is a text; empty means that it is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuleRow {
    direction: String,
    policy: String,
    priority: String,
    ip_protocol: String,
    port_range: String,
    source_port_range: String,
    source_cidr_ip: String,
    ipv6_source_cidr_ip: String,
    source_group_id: String,
    source_prefix_list_id: String,
    dest_cidr_ip: String,
    ipv6_dest_cidr_ip: String,
    dest_group_id: String,
    dest_prefix_list_id: String,
    port_range_list_id: String,
    nic_type: String,
    icmp_type: String,
    icmp_code: String,
    enabled: String,
    name: String,
    description: String,
}

impl RuleRow {
    /// The names of all fields.
    fn names() -> HashSet<String> {
        match serde_json::to_value(Self::default()) {
            Ok(serde_json::Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => HashSet::new(),
        }
    }

    /// The row of a rule.
    fn of(rule: &Rule) -> Self {
        let Rule { id: _, group: _, direction, serial: _, created: _, spec } = rule;
        let RuleSpec { action, priority, matches, nic_type, enabled, name, description } = spec;
        let Match { protocol, ports, source_ports, icmp_type, icmp_code, remote, local } = matches;
        let text = |number: &Option<u8>| number.map_or_else(String::new, |number| number.to_string());
        let mut row = Self {
            direction: direction.to_string(),
            policy: action.to_string(),
            priority: priority.to_string(),
            ip_protocol: protocol.to_string().to_uppercase(),
            port_range: if ports.list().is_some() { String::new() } else { ports_text(ports) },
            source_port_range: ports_text(source_ports),
            port_range_list_id: ports.list().map_or_else(String::new, ToString::to_string),
            nic_type: nic_type.to_string(),
            icmp_type: text(icmp_type),
            icmp_code: text(icmp_code),
            enabled: if *enabled { "" } else { "false" }.to_owned(),
            name: name.clone(),
            description: description.clone(),
            ..Self::default()
        };
        let remote_is_source = *direction == Direction::Ingress;
        match remote {
            Remote::Any => {
                let [v4, v6, ..] = row.end(remote_is_source);
                "0.0.0.0/0".clone_into(v4);
                "::/0".clone_into(v6);
            }
            Remote::Net(net) => row.put_net(remote_is_source, *net),
            Remote::Group(group) => *row.end(remote_is_source)[2] = group.to_string(),
            Remote::PrefixList(list) => *row.end(remote_is_source)[3] = list.to_string(),
        }
        if let Some(local) = local {
            row.put_net(!remote_is_source, *local);
        }
        row
    }

    /// The fields of one end: IPv4, IPv6, group, prefix list.
    fn end(&mut self, source: bool) -> [&mut String; 4] {
        if source {
            [
                &mut self.source_cidr_ip,
                &mut self.ipv6_source_cidr_ip,
                &mut self.source_group_id,
                &mut self.source_prefix_list_id,
            ]
        } else {
            [
                &mut self.dest_cidr_ip,
                &mut self.ipv6_dest_cidr_ip,
                &mut self.dest_group_id,
                &mut self.dest_prefix_list_id,
            ]
        }
    }

    fn put_net(&mut self, source: bool, net: IpNet) {
        let [v4, v6, ..] = self.end(source);
        let field = if Family::of(net) == Family::V4 { v4 } else { v6 };
        *field = shortest(net);
    }

    /// The row without blanks around its fields. Names and descriptions are left unchanged.
    fn trimmed(&self) -> Self {
        let mut row = self.clone();
        let Self {
            direction,
            policy,
            priority,
            ip_protocol,
            port_range,
            source_port_range,
            source_cidr_ip,
            ipv6_source_cidr_ip,
            source_group_id,
            source_prefix_list_id,
            dest_cidr_ip,
            ipv6_dest_cidr_ip,
            dest_group_id,
            dest_prefix_list_id,
            port_range_list_id,
            nic_type,
            icmp_type,
            icmp_code,
            enabled,
            name: _,
            description: _,
        } = &mut row;
        for field in [
            direction,
            policy,
            priority,
            ip_protocol,
            port_range,
            source_port_range,
            source_cidr_ip,
            ipv6_source_cidr_ip,
            source_group_id,
            source_prefix_list_id,
            dest_cidr_ip,
            ipv6_dest_cidr_ip,
            dest_group_id,
            dest_prefix_list_id,
            port_range_list_id,
            nic_type,
            icmp_type,
            icmp_code,
            enabled,
        ] {
            if field.trim().len() < field.len() {
                *field = field.trim().to_owned();
            }
        }
        row
    }

    /// Parses the rule of a row.
    fn read(&self) -> Result<(Direction, RuleSpec), String> {
        let mut row = self.trimmed();
        let direction = match row.direction.to_ascii_lowercase().as_str() {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            _ => return Err(format!("Direction {:?}: ingress or egress", row.direction)),
        };
        let protocol: Protocol = row.ip_protocol.parse().map_err(|error| format!("IpProtocol: {error}"))?;
        let number = |name: &str, text: &str| -> Result<Option<u8>, String> {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|_| format!("{name} {text:?}: a number from 0 to 255"))
        };
        let ports = match row.port_range_list_id.as_str() {
            "" => ports_of("PortRange", &row.port_range)?,
            list => Ports::List(PortListId::from(list)),
        };
        let remote_is_source = direction == Direction::Ingress;
        let remote = remote_of(row.end(remote_is_source).map(|text| text.clone()))?;
        let [v4, v6, group, list] = row.end(!remote_is_source).map(|text| text.clone());
        if let Some(named) = [group, list].into_iter().find(|text| !text.is_empty()) {
            // Without it, the rule would be about every address of the NIC.
            return Err(format!("{named:?} at the NIC's own end: only an address or prefix may be there"));
        }
        let local = [v4, v6].into_iter().find(|text| !text.is_empty());
        let local =
            local.map(|text| net(&text).ok_or_else(|| format!("{text:?} is no prefix"))).transpose()?;
        let spec = RuleSpec {
            action: match row.policy.to_ascii_lowercase().as_str() {
                "" | "accept" => Action::Accept,
                "drop" => Action::Drop,
                "reject" => Action::Reject,
                _ => return Err(format!("Policy {:?}: accept, drop or reject", row.policy)),
            },
            priority: number("Priority", &row.priority)?.unwrap_or(1),
            matches: Match {
                protocol,
                ports,
                source_ports: ports_of("SourcePortRange", &row.source_port_range)?,
                icmp_type: number("IcmpType", &row.icmp_type)?,
                icmp_code: number("IcmpCode", &row.icmp_code)?,
                remote,
                local,
            },
            nic_type: match row.nic_type.to_ascii_lowercase().as_str() {
                "" | "intranet" => NicType::Intranet,
                "internet" => NicType::Internet,
                _ => return Err(format!("NicType {:?}: internet or intranet", row.nic_type)),
            },
            enabled: match row.enabled.to_ascii_lowercase().as_str() {
                "" | "true" => true,
                "false" => false,
                _ => return Err(format!("Enabled {:?}: true or false", row.enabled)),
            },
            name: row.name.clone(),
            description: row.description.clone(),
        };
        Ok((direction, spec))
    }
}

fn remote_of([v4, v6, group, list]: [String; 4]) -> Result<Remote, String> {
    let prefix =
        |text: &str| net(text).map(Remote::Net).ok_or_else(|| format!("{text:?} is no address or prefix"));
    match (v4.as_str(), v6.as_str(), group.as_str(), list.as_str()) {
        ("0.0.0.0/0", "::/0", ..) => Ok(Remote::Any),
        ("", "", "", "") => Err("no remote: say a prefix, a group or a prefix list".to_owned()),
        ("", "", "", list) => Ok(Remote::PrefixList(PrefixListId::from(list))),
        ("", "", group, _) => Ok(Remote::Group(GroupId::from(group))),
        (v4, "", ..) => prefix(v4),
        ("", v6, ..) => prefix(v6),
        _ => Err("an IPv4 and an IPv6 prefix in one rule: write two".to_owned()),
    }
}

fn ports_text(ports: &Ports) -> String {
    match ports {
        Ports::Any => "-1/-1".to_owned(),
        Ports::List(list) => list.to_string(),
        Ports::Ranges(ranges) => {
            let ranges = ranges.iter().map(|range| format!("{}/{}", range.first(), range.last()));
            ranges.collect::<Vec<_>>().join(",")
        }
    }
}

fn ports_of(name: &str, text: &str) -> Result<Ports, String> {
    if text.is_empty() || text == "-1/-1" {
        return Ok(Ports::Any);
    }
    if text.starts_with(PortListId::PREFIX) {
        return Ok(Ports::List(PortListId::from(text)));
    }
    let ranges: Option<Vec<_>> = text.split(',').map(|part| port_range(part, '/')).collect();
    ranges.map(Ports::Ranges).ok_or_else(|| format!("{name} {text:?}: write 22/22, 80/90 or -1/-1"))
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;

    fn rule() -> impl Strategy<Value = Rule> {
        let remote = select(vec!["any", "0.0.0.0/0", "::/0", "10.1.0.0/16", "10.1.2.3/32", "2001:db8::/32"])
            .prop_map(|text| text.parse().unwrap());
        let remote = prop_oneof![
            4 => remote,
            1 => Just(Remote::Group(GroupId::from("sg-1"))),
            1 => Just(Remote::PrefixList(PrefixListId::from("pl-1"))),
        ];
        let ports = || {
            prop_oneof![
                2 => Just(Ports::Any),
                2 => select(vec!["22", "80-90", "22,80-90,443", "1-65535"]).prop_map(|text| text.parse().unwrap()),
                1 => Just(Ports::List(PortListId::from("prl-1"))),
            ]
        };
        let who = (
            select(Direction::ALL.to_vec()),
            select(vec![Action::Accept, Action::Drop, Action::Reject]),
            1..=100_u8,
        );
        let what = (ports(), ports(), option::of(any::<u8>()), option::of(any::<u8>()), any::<u8>());
        let local = option::of(select(vec!["10.9.0.0/16", "2001:db8:9::1/128"]));
        let texts = (any::<String>(), any::<String>(), any::<bool>(), any::<bool>());
        (who, what, remote, local, texts).prop_map(
            |(
                (direction, action, priority),
                (ports, source_ports, icmp_type, icmp_code, protocol),
                remote,
                local,
                texts,
            )| {
                let (name, description, enabled, internet) = texts;
                let local = local.map(|text| text.parse().unwrap());
                let protocol = Protocol::Number(protocol);
                let matches = Match { protocol, ports, source_ports, icmp_type, icmp_code, remote, local };
                let nic_type = if internet { NicType::Internet } else { NicType::Intranet };
                let spec = RuleSpec { action, priority, matches, nic_type, enabled, name, description };
                let (id, group) = (sg_records::RuleId::random(), GroupId::from("sg-0"));
                Rule { id, group, direction, serial: 0, created: jiff::Timestamp::UNIX_EPOCH, spec }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(rules in proptest::collection::vec(rule(), 0..8)) {
            let file = RuleFile { permissions: rules.iter().map(RuleRow::of).collect() };
            for again in [RuleFile::from_json(&file.to_json()), RuleFile::from_csv(&file.to_csv())] {
                let read: Result<Vec<_>, String> = again.unwrap().permissions.iter().map(RuleRow::read).collect();
                let said: Vec<_> = rules.iter().map(|rule| (rule.direction, rule.spec.clone())).collect();
                prop_assert_eq!(read.unwrap(), said);
            }
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text: String) {
            let _ = RuleFile::from_json(&text);
            let _ = RuleFile::from_csv(&text);
        }
    }
}
