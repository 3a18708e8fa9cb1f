//! What each API must show of the model: lists whose pages together are everything, once and in order; filters; and each object.

mod rules;

use serde_json::{Value, json};

use crate::tests::{
    both::Both,
    faces::Reply,
    objects::{Group, List, Rule},
    operations::Version,
    specs::{Action, Family, Remote},
};

/// Every field of `wanted` is in `found`, with the same value.
fn agrees(what: &str, found: &Value, wanted: &Value) -> Result<(), String> {
    let differs = || Err(format!("{what} is {found}, expected {wanted}"));
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().try_for_each(|(name, wanted)| {
            agrees(&format!("{what}.{name}"), found.get(name).unwrap_or(&Value::Null), wanted)
        }),
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => found
            .iter()
            .zip(wanted)
            .enumerate()
            .try_for_each(|(at, (found, wanted))| agrees(&format!("{what}[{at}]"), found, wanted)),
        _ if found == wanted => Ok(()),
        _ => differs(),
    }
}

/// Sorted by the field that is an id.
fn sorted(mut all: Vec<Value>, id: &str) -> Value {
    all.sort_by(|one, other| one[id].as_str().cmp(&other[id].as_str()));
    all.into()
}

impl Both {
    /// Compares a part of what is shown, another one at each turn.
    pub(super) fn compare_shown(&self) -> Result<(), String> {
        match self.turn % 6 {
            0 => self.groups_of_alibaba(),
            1 => self.groups_of_huawei(Version::V3),
            2 => self.groups_of_huawei([Version::V1, Version::V2][self.turn / 6 % 2]),
            3 => self.lists(),
            4 => self.rules_of_huawei(),
            _ => self.ports(),
        }?;
        match self.model.groups.keys().nth(self.turn % self.model.groups.len()) {
            Some(group) => self.one_group(*group),
            None => Ok(()),
        }
    }

    /// Compares all that is shown.
    pub(super) fn compare_all(&self) -> Result<(), String> {
        self.groups_of_alibaba()?;
        [Version::V3, Version::V1, Version::V2]
            .into_iter()
            .try_for_each(|version| self.groups_of_huawei(version))?;
        self.lists()?;
        self.rules_of_huawei()?;
        self.ports()?;
        self.model.groups.keys().try_for_each(|group| self.one_group(*group))
    }

    /// All pages of a list of Alibaba's API, by numbers or by tokens.
    fn pages(
        &self,
        act: &str,
        outer: &str,
        inner: &str,
        more: &[(&str, &str)],
    ) -> Result<Vec<Value>, String> {
        let (mut all, mut token, mut number) = (Vec::new(), String::new(), 1_usize);
        let by_token = self.turn.is_multiple_of(2);
        loop {
            let number_text = number.to_string();
            let mut parameters = more.to_vec();
            if by_token {
                parameters.push(("MaxResults", "2"));
                parameters.push(("NextToken", &token));
                parameters.retain(|(_, value)| !value.is_empty());
            } else {
                parameters.extend([("PageSize", "2"), ("PageNumber", &number_text)]);
            }
            let reply: Reply = self.faces.ecs(act, &parameters);
            let page = reply.body[outer][inner].as_array().ok_or_else(|| format!("{reply:?}"))?.clone();
            let total = reply.body["TotalCount"].as_u64().ok_or_else(|| format!("{reply:?}"))?;
            let is_last = page.is_empty();
            all.extend(page);
            reply.body["NextToken"].as_str().unwrap_or_default().clone_into(&mut token);
            number += 1;
            if (by_token && token.is_empty()) || (!by_token && is_last) {
                return if total == all.len() as u64 {
                    Ok(all)
                } else {
                    Err(format!("{act}: {total} of {all:?}"))
                };
            }
        }
    }

    /// All pages of a list of Huawei's API, in the way of the version.
    fn parts(&self, version: Version, what: &str, query: &str) -> Result<Vec<Value>, String> {
        let name = what.replace('-', "_");
        let (mut all, mut marker): (Vec<Value>, String) = (Vec::new(), String::new());
        loop {
            let target = format!("{}?limit=2&marker={marker}{query}", version.path(what));
            let shown = self.faces.show(&target);
            let part = shown[&name].as_array().ok_or_else(|| format!("{target}: {shown}"))?.clone();
            let id = |one: Option<&Value>| one.map_or(Value::Null, |one| one["id"].clone());
            let (first, last) = (id(part.first()), id(part.last()));
            let count = part.len();
            all.extend(part);
            let goes_on = match version {
                Version::V3 => {
                    let info = &shown["page_info"];
                    let wanted = (count, first);
                    let found = (
                        usize::try_from(info["current_count"].as_u64().unwrap_or(99)).unwrap_or(99),
                        info["previous_marker"].clone(),
                    );
                    if found != wanted {
                        return Err(format!("{target}: {info}, expected {wanted:?}"));
                    }
                    let next = info.get("next_marker");
                    if next.is_some_and(|next| *next != last) {
                        return Err(format!("{target}: {info}"));
                    }
                    next.is_some()
                }
                // Until a part is empty.
                Version::V1 => count > 0,
                Version::V2 => {
                    let links = shown[format!("{name}_links")].as_array().cloned().unwrap_or_default();
                    let next = links.iter().find(|link| link["rel"] == "next");
                    let says = |link: &Value| {
                        link["href"]
                            .as_str()
                            .is_some_and(|href| href.contains(last.as_str().unwrap_or("none")))
                    };
                    if next.is_some_and(|next| !says(next)) {
                        return Err(format!("{target}: {links:?}"));
                    }
                    next.is_some()
                }
            };
            if !goes_on {
                return Ok(all);
            }
            last.as_str().unwrap_or_default().clone_into(&mut marker);
        }
    }

    fn groups_of_alibaba(&self) -> Result<(), String> {
        let shown = |number: u32, group: &Group| {
            let tags: Vec<Value> =
                group.tags.iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect();
            let names_group = |rule: &&Rule| matches!(rule.spec.remote, Remote::Group(_));
            json!({
                "SecurityGroupId": group.ids.id,
                "SecurityGroupName": group.name,
                "Description": group.description,
                "SecurityGroupType": group.kind.of_alibaba(),
                "VpcId": group.vpc.map_or("", |vpc| self.model.vpcs[vpc].id.as_str()),
                "RuleCount": self.model.rules_of(number).count(),
                "GroupToGroupRuleCount": self.model.rules_of(number).filter(names_group).count(),
                "Tags": { "Tag": tags },
            })
        };
        let all: Vec<Value> = self.model.groups.iter().map(|(number, group)| shown(*number, group)).collect();
        let found = self.pages("DescribeSecurityGroups", "SecurityGroups", "SecurityGroup", &[])?;
        agrees("groups", &found.into(), &sorted(all, "SecurityGroupId"))?;
        let of_vpc: Vec<&Group> = self.model.groups.values().filter(|group| group.vpc == Some(0)).collect();
        let vpc = self.model.vpcs[0].id.as_str();
        let found =
            self.pages("DescribeSecurityGroups", "SecurityGroups", "SecurityGroup", &[("VpcId", vpc)])?;
        if found.len() == of_vpc.len() { Ok(()) } else { Err(format!("groups of {vpc}: {found:?}")) }
    }

    fn groups_of_huawei(&self, version: Version) -> Result<(), String> {
        let shown = |number: u32, group: &Group| {
            let mut shown = json!({
                "id": group.ids.uuid,
                "name": group.name,
                "description": group.description,
            });
            if version == Version::V3 {
                let tags: Vec<Value> =
                    group.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
                shown["tags"] = tags.into();
                shown["security_group_rules"] = Value::Null;
            } else {
                let rules = self
                    .model
                    .rules_of(number)
                    .filter(|rule| is_shown(version, rule))
                    .map(|rule| self.rule_of_huawei(version, rule))
                    .collect();
                shown["security_group_rules"] = rules;
            }
            shown
        };
        let all: Vec<Value> = self.model.groups.iter().map(|(number, group)| shown(*number, group)).collect();
        let found = self.parts(version, "security-groups", "")?;
        agrees("security_groups", &found.into(), &sorted(all, "id"))
    }

    fn one_group(&self, number: u32) -> Result<(), String> {
        let group = &self.model.groups[&number];
        let all = self.model.rules_of(number).map(|rule| self.rule_of_alibaba(rule)).collect::<Vec<Value>>();
        let wanted = json!({
            "SecurityGroupName": group.name,
            "InnerAccessPolicy": if group.inner { "Accept" } else { "Drop" },
            "Permissions": { "Permission": all },
        });
        let reply = self.faces.ecs("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &group.ids.id)]);
        agrees(&group.ids.id, &reply.body, &wanted)?;
        for version in [Version::V3, Version::V1, Version::V2] {
            let target = format!("{}/{}", version.path("security-groups"), group.ids.uuid);
            let mut shown = self.faces.show(&target);
            let shown = &mut shown["security_group"];
            let rules = shown["security_group_rules"].as_array().cloned().unwrap_or_default();
            let wanted = self
                .model
                .rules_of(number)
                .filter(|rule| is_shown(version, rule))
                .map(|rule| self.rule_of_huawei(version, rule))
                .collect();
            agrees(&target, &sorted(rules, "id"), &sorted(wanted, "id"))?;
            agrees(&target, shown, &json!({ "name": group.name, "id": group.ids.uuid }))?;
        }
        Ok(())
    }

    fn rules_of_huawei(&self) -> Result<(), String> {
        for version in [Version::V3, Version::V1, Version::V2] {
            let all = self
                .model
                .rules
                .iter()
                .filter(|rule| is_shown(version, rule))
                .map(|rule| self.rule_of_huawei(version, rule))
                .collect();
            let found = self.parts(version, "security-group-rules", "")?;
            agrees("security_group_rules", &found.into(), &sorted(all, "id"))?;
        }
        let group = self.model.groups.keys().nth(self.turn / 6 % self.model.groups.len()).copied();
        let (Some(group), ingress) = (group, self.turn % 4 < 2) else { return Ok(()) };
        let direction = if ingress { "ingress" } else { "egress" };
        let id = self.group_id(group).uuid;
        let query = format!(
            "&security_group_id={id}&direction={direction}&priority=1&priority=100&ethertype=ipv4&action=allow"
        );
        let selected = |rule: &&Rule| {
            rule.spec.ingress == ingress
                && [1, 100].contains(&rule.spec.priority)
                && rule.spec.only(&self.model) == Some(Family::V4)
                && rule.spec.action == Action::Accept
        };
        let wanted = self.model.rules_of(group).filter(selected);
        let wanted = wanted.map(|rule| self.rule_of_huawei(Version::V3, rule)).collect();
        let found = self.parts(Version::V3, "security-group-rules", &query)?;
        agrees(&query, &found.into(), &sorted(wanted, "id"))
    }

    fn lists(&self) -> Result<(), String> {
        let all = |shown: &dyn Fn(u32, &List) -> Value, id: &str| {
            let all = self.model.lists.iter().map(|(number, list)| shown(*number, list)).collect();
            sorted(all, id)
        };
        let of_alibaba = |number: u32, list: &List| {
            json!({
                "PrefixListId": list.ids.id,
                "PrefixListName": list.name,
                "AddressFamily": if list.v6 { "IPv6" } else { "IPv4" },
                "MaxEntries": list.max,
                "AssociationCount": self.model.naming(number).len(),
            })
        };
        let found = self.pages("DescribePrefixLists", "PrefixLists", "PrefixList", &[])?;
        agrees("lists", &found.into(), &all(&of_alibaba, "PrefixListId"))?;
        let of_huawei = |_: u32, list: &List| {
            json!({
                "id": list.ids.uuid,
                "name": list.name,
                "ip_version": if list.v6 { 6 } else { 4 },
                "max_capacity": list.max,
                "ip_set": list.entries,
            })
        };
        let found = self.parts(Version::V3, "address-groups", "")?;
        agrees("address_groups", &found.into(), &all(&of_huawei, "id"))?;
        for (number, list) in &self.model.lists {
            let id = [("PrefixListId", list.ids.id.as_str())];
            let entries: Vec<Value> = list.entries.iter().map(|entry| json!({ "Cidr": entry })).collect();
            let reply = self.faces.ecs("DescribePrefixListAttributes", &id);
            agrees(&list.ids.id, &reply.body, &json!({ "Entries": { "Entry": entries } }))?;
            let by: Vec<Value> = self
                .model
                .naming(*number)
                .iter()
                .map(|group| json!({ "ResourceId": self.group_id(*group).id }))
                .collect();
            let found = self.pages(
                "DescribePrefixListAssociations",
                "PrefixListAssociations",
                "PrefixListAssociation",
                &id,
            )?;
            agrees(&list.ids.id, &found.into(), &sorted(by, "ResourceId"))?;
            let by: Vec<Value> = self
                .model
                .naming(*number)
                .iter()
                .map(|group| json!({ "instance_id": self.group_id(*group).uuid }))
                .collect();
            let target =
                format!("/v3/{{project_id}}/vpc/list-address-groups-dependency?id={}", list.ids.uuid);
            let shown = self.faces.show(&target);
            let found = shown["address_groups"][0]["dependency"].as_array().cloned().unwrap_or_default();
            agrees(&target, &sorted(found, "instance_id"), &sorted(by, "instance_id"))?;
        }
        Ok(())
    }

    fn ports(&self) -> Result<(), String> {
        let of_alibaba = self.model.nics.iter().map(|nic| {
            let groups: Vec<String> = nic.groups.iter().map(|group| self.group_id(*group).id).collect();
            json!({
                "NetworkInterfaceId": nic.ids.id,
                "VpcId": self.model.vpcs[nic.vpc].id,
                "SecurityGroupIds": { "SecurityGroupId": groups },
            })
        });
        let found =
            self.pages("DescribeNetworkInterfaces", "NetworkInterfaceSets", "NetworkInterfaceSet", &[])?;
        agrees("NICs", &found.into(), &sorted(of_alibaba.collect(), "NetworkInterfaceId"))?;
        for version in [Version::V3, Version::V1, Version::V2] {
            let of_huawei = self.model.nics.iter().map(|nic| {
                let groups: Vec<String> = nic.groups.iter().map(|group| self.group_id(*group).uuid).collect();
                json!({ "id": nic.ids.uuid, "security_groups": groups })
            });
            let found = self.parts(version, "ports", "")?;
            agrees("ports", &found.into(), &sorted(of_huawei.collect(), "id"))?;
        }
        for group in self.model.groups.keys() {
            let holding = self.model.nics.iter().filter(|nic| nic.groups.contains(group));
            let holding = sorted(holding.map(|nic| json!({ "id": nic.ids.uuid })).collect(), "id");
            let query = format!("&security_groups={}", self.group_id(*group).uuid);
            agrees(&query, &self.parts(Version::V3, "ports", &query)?.into(), &holding)?;
        }
        Ok(())
    }
}

/// Before v3, there are only rules that accept.
fn is_shown(version: Version, rule: &Rule) -> bool {
    version == Version::V3 || (rule.spec.enabled && rule.spec.action == Action::Accept)
}
