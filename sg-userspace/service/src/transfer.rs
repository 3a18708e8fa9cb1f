//! Export and import of a group's rules as a JSON or CSV file, in which a rule is a row.
//!
//! Fields have the names of the clouds' APIs, and those of numbers in headers (`IcmpType`, `Dscp`), `Family`, `Enabled` and `Name` in
//! addition, which only sgd has. The native API calls it.

mod column;
mod file;
mod import;

use ipnet::IpNet;
use sg_model::HeaderNumbers;
use sg_records::{
    Action, Direction, Family, GroupId, Id as _, Match, NicType, OnlyFamily, PortListId, Ports, PrefixListId,
    Protocol, Remote, Rule, RuleSpec, net, port_range, shortest,
};

use column::Column;
pub use column::RuleRow;
pub use file::{RuleFile, export_rules};
pub use import::ImportRules;

impl RuleRow {
    /// The row of a rule.
    fn of(rule: &Rule) -> Self {
        let Rule { id: _, group: _, direction, serial: _, created: _, updated: _, spec } = rule;
        let RuleSpec { action, priority, matches, nic_type, enabled, name, description } = spec;
        let Match { protocol, ports, source_ports, numbers, family, remote, local } = matches;
        let mut row = Self::default();
        row[Column::Direction] = direction.to_string();
        row[Column::Policy] = action.to_string();
        row[Column::Priority] = priority.to_string();
        row[Column::IpProtocol] = protocol.to_string().to_uppercase();
        match ports.list() {
            Some(list) => row[Column::PortRangeListId] = list.to_string(),
            None => row[Column::PortRange] = ports_text(ports),
        }
        row[Column::SourcePortRange] = ports_text(source_ports);
        row[Column::NicType] = nic_type.to_string();
        for (field, number) in numbers.by_field() {
            row[Column::Number(field)] = number.map_or_else(String::new, |number| number.to_string());
        }
        if let Some(family) = family {
            row[Column::Family] = family.to_string();
        }
        if !enabled {
            "false".clone_into(&mut row[Column::Enabled]);
        }
        row[Column::Name].clone_from(name);
        row[Column::Description].clone_from(description);
        let remote_is_source = *direction == Direction::Ingress;
        match remote {
            Remote::Any => {
                let [v4, v6, ..] = Column::of_end(remote_is_source);
                "0.0.0.0/0".clone_into(&mut row[v4]);
                "::/0".clone_into(&mut row[v6]);
            }
            Remote::Net(net) => row.put_net(remote_is_source, *net),
            Remote::Group(group) => row[Column::of_end(remote_is_source)[2]] = group.to_string(),
            Remote::PrefixList(list) => row[Column::of_end(remote_is_source)[3]] = list.to_string(),
        }
        if let Some(local) = local {
            row.put_net(!remote_is_source, *local);
        }
        row
    }

    fn put_net(&mut self, source: bool, net: IpNet) {
        let [v4, v6, ..] = Column::of_end(source);
        self[if Family::of(net) == Family::V4 { v4 } else { v6 }] = shortest(net);
    }

    /// Parses the rule of a row.
    fn read(&self) -> Result<(Direction, RuleSpec), String> {
        let row = self.trimmed();
        let wrong = |column: Column, allowed: &str| format!("{column} {:?}: {allowed}", row[column]);
        let word = |column: Column| row[column].to_ascii_lowercase();
        let direction = match word(Column::Direction).as_str() {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            _ => return Err(wrong(Column::Direction, "ingress or egress")),
        };
        let protocol: Protocol =
            row[Column::IpProtocol].parse().map_err(|error| format!("{}: {error}", Column::IpProtocol))?;
        let number = |column: Column, max: u8| match row[column].as_str() {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) if number <= max => Ok(Some(number)),
                _ => Err(wrong(column, &format!("a number from 0 to {max}"))),
            },
        };
        let mut out_of_range = None;
        let numbers = HeaderNumbers::read(|field, _, max| {
            number(Column::Number(field), max).unwrap_or_else(|why| {
                out_of_range.get_or_insert(why);
                None
            })
        });
        if let Some(why) = out_of_range {
            return Err(why);
        }
        let ports = match row[Column::PortRangeListId].as_str() {
            "" => row.ports(Column::PortRange)?,
            list => Ports::List(PortListId::from(list)),
        };
        let remote_is_source = direction == Direction::Ingress;
        let remote = remote_of(Column::of_end(remote_is_source).map(|column| row[column].as_str()))?;
        let [v4, v6, group, list] = Column::of_end(!remote_is_source)
            .map(|column| Some(row[column].as_str()).filter(|text| !text.is_empty()));
        if let Some(named) = group.or(list) {
            // Without it, the rule would be about every address of the NIC.
            return Err(format!("{named:?} at the NIC's own end: only an address or prefix may be there"));
        }
        let local =
            v4.or(v6).map(|text| net(text).ok_or_else(|| format!("{text:?} is no prefix"))).transpose()?;
        let family = match word(Column::Family).as_str() {
            "" => None,
            "ipv4" => Some(OnlyFamily::Ipv4),
            "ipv6" => Some(OnlyFamily::Ipv6),
            _ => return Err(wrong(Column::Family, "ipv4 or ipv6")),
        };
        let spec = RuleSpec {
            action: match word(Column::Policy).as_str() {
                "" | "accept" => Action::Accept,
                "drop" => Action::Drop,
                "reject" => Action::Reject,
                _ => return Err(wrong(Column::Policy, "accept, drop or reject")),
            },
            priority: number(Column::Priority, u8::MAX)?.unwrap_or(1),
            matches: Match {
                protocol,
                ports,
                source_ports: row.ports(Column::SourcePortRange)?,
                numbers,
                family,
                remote,
                local,
            },
            nic_type: match word(Column::NicType).as_str() {
                "" | "intranet" => NicType::Intranet,
                "internet" => NicType::Internet,
                _ => return Err(wrong(Column::NicType, "internet or intranet")),
            },
            enabled: match word(Column::Enabled).as_str() {
                "" | "true" => true,
                "false" => false,
                _ => return Err(wrong(Column::Enabled, "true or false")),
            },
            name: row[Column::Name].clone(),
            description: row[Column::Description].clone(),
        };
        Ok((direction, spec))
    }

    fn ports(&self, column: Column) -> Result<Ports, String> {
        let text = self[column].as_str();
        if text.is_empty() || text == "-1/-1" {
            return Ok(Ports::Any);
        }
        if text.starts_with(PortListId::PREFIX) {
            return Ok(Ports::List(PortListId::from(text)));
        }
        let ranges: Option<Vec<_>> = text.split(',').map(|part| port_range(part, '/')).collect();
        ranges.map(Ports::Ranges).ok_or_else(|| format!("{column} {text:?}: write 22/22, 80/90 or -1/-1"))
    }
}

fn remote_of(fields: [&str; 4]) -> Result<Remote, String> {
    let prefix =
        |text: &str| net(text).map(Remote::Net).ok_or_else(|| format!("{text:?} is no address or prefix"));
    match fields {
        ["0.0.0.0/0", "::/0", ..] => Ok(Remote::Any),
        ["", "", "", ""] => Err("no remote: say a prefix, a group or a prefix list".to_owned()),
        ["", "", "", list] => Ok(Remote::PrefixList(PrefixListId::from(list))),
        ["", "", group, _] => Ok(Remote::Group(GroupId::from(group))),
        [v4, "", ..] => prefix(v4),
        ["", v6, ..] => prefix(v6),
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
        let what = (ports(), ports(), any::<[Option<u8>; HeaderNumbers::COUNT]>(), any::<u8>());
        let local = option::of(select(vec!["10.9.0.0/16", "2001:db8:9::1/128"]));
        let family = option::of(select(OnlyFamily::ALL.to_vec()));
        let texts = (any::<String>(), any::<String>(), any::<bool>(), any::<bool>());
        (who, what, remote, (family, local), texts).prop_map(
            |(
                (direction, action, priority),
                (ports, source_ports, numbers, protocol),
                remote,
                (family, local),
                texts,
            )| {
                let (name, description, enabled, internet) = texts;
                let local = local.map(|text| text.parse().unwrap());
                let protocol = Protocol::Number(protocol);
                let mut numbers = numbers.into_iter();
                let numbers = HeaderNumbers::read(|_, _, max| numbers.next()?.map(|number| number & max));
                let matches = Match { protocol, ports, source_ports, numbers, family, remote, local };
                let nic_type = if internet { NicType::Internet } else { NicType::Intranet };
                let spec = RuleSpec { action, priority, matches, nic_type, enabled, name, description };
                let (id, group) = (sg_records::RuleId::random(), GroupId::from("sg-0"));
                let epoch = jiff::Timestamp::UNIX_EPOCH;
                Rule { id, group, direction, serial: 0, created: epoch, updated: epoch, spec }
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
        fn a_column_is_there_once(place in 0..Column::all().count()) {
            let name = Column::all().nth(place).unwrap().name();
            let refused = RuleFile::from_csv(&format!("{name},{name}\n,\n")).unwrap_err().to_string();
            prop_assert!(refused.contains("each column once"), "{refused}");
            let text = format!(r#"[{{"{name}": "1", "{name}": ""}}]"#);
            prop_assert!(RuleFile::from_json(&text).is_err());
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text: String) {
            let _ = RuleFile::from_json(&text);
            let _ = RuleFile::from_csv(&text);
        }
    }
}
