//! The operations of the Huawei Cloud API, in its versions: how each is sent, and what the model says becomes of it.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    alibaba::{entries, first_tags, has_twice, there},
    both::{Both, of_huawei},
    objects::{Group, Ids, Kind, List, MOST_GROUPS, Named, Rule, Why},
    operations::{ENTRIES, Huawei, Version, Wanted},
    specs::{Action, Family, Ports, Remote, Same, Spec},
};

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum About {
    Group,
    Rule,
    AddressGroup,
    Port,
}

/// The documented refusals of a reason.
fn refusals(version: Version, about: About, why: &[Why]) -> Vec<(u16, &'static str)> {
    why.iter().flat_map(|why| of(version, about, *why)).copied().collect()
}

const fn of(version: Version, about: About, why: Why) -> &'static [(u16, &'static str)] {
    match (version, about, why) {
        // Of a port, v1 knows only malformed requests.
        (Version::V1, About::Port, Why::TooMany) => &[(400, "VPC.2500"), (409, "VPC.2500")],
        (Version::V1, About::Port, _) => &[(400, "VPC.2500")],
        (Version::V3, _, Why::Unknown | Why::UnknownRemote) => &[(404, "VPC.9904")],
        (Version::V3, About::AddressGroup, Why::InUse) => &[(409, "VPC.9907")],
        (Version::V3, About::AddressGroup, Why::Full) => &[(409, "VPC.9905")],
        (Version::V3, About::AddressGroup, _) => &[(400, "VPC.9901")],
        (Version::V3, _, Why::Exists | Why::InUse) => &[(409, "VPC.9902")],
        (Version::V3, _, Why::TooMany) => &[(409, "VPC.9905")],
        (Version::V3, _, _) => &[(400, "VPC.9902")],
        (Version::V1, _, Why::Unknown | Why::UnknownRemote) => &[(404, "VPC.0603")],
        (Version::V1, _, Why::Exists) => &[(409, "VPC.0602")],
        (Version::V1, _, Why::InUse) => &[(409, "VPC.0606")],
        (Version::V1, _, _) => &[(400, "VPC.0601")],
        (Version::V2, _, Why::Unknown) => &[(404, "SecurityGroupNotFound")],
        (Version::V2, _, Why::UnknownRemote) => &[(404, "SecurityGroupNotFound"), (404, "HTTPNotFound")],
        (Version::V2, _, Why::Exists) => &[(409, "SecurityGroupRuleExists")],
        (Version::V2, _, Why::InUse) => &[(409, "SecurityGroupInUse")],
        (Version::V2, _, Why::TooMany) => &[(409, "OverQuota")],
        // Neutron has a type for each; one that every client knows is enough.
        (Version::V2, _, _) => &[(400, "*")],
    }
}

/// The code of a refusal, in the form of the version.
pub(super) fn code(version: Version, body: &Value) -> String {
    let text = match version {
        Version::V3 => &body["error_code"],
        Version::V1 => &body["code"],
        Version::V2 => &body["NeutronError"]["type"],
    };
    text.as_str().unwrap_or_default().to_owned()
}

impl Both {
    /// Sends a request, and returns the body of the response if it was done.
    fn ask(
        &self,
        (version, about): (Version, About),
        method: Method,
        target: &str,
        body: &Value,
        why: &[Why],
    ) -> Result<Option<Value>, String> {
        let is_dry_run = body["dry_run"] == true;
        let success: &[u16] = match (&method, version) {
            _ if is_dry_run => &[202],
            // The documents have either.
            (&Method::POST, Version::V1) => &[200, 201],
            (&Method::POST, _) => &[201],
            (&Method::DELETE, _) => &[204],
            _ => &[200],
        };
        let before = self.faces.export();
        let reply = self.faces.huawei(method, target, body);
        if !reply.headers.contains_key("x-request-id") {
            return Err(format!("{reply:?} has no X-Request-Id"));
        }
        let code = code(version, &reply.body);
        let is_done = self.judge(&reply, &code, success, &refusals(version, about, why), &before)?;
        if is_dry_run && self.faces.export() != before {
            return Err(format!("{reply:?} changed something"));
        }
        Ok((is_done && !is_dry_run).then_some(reply.body))
    }

    pub(super) fn huawei(&mut self, op: &Huawei) -> Result<(), String> {
        match op {
            Huawei::CreateGroup { version, tag, dry_run } => self.create_group(*version, *tag, *dry_run),
            Huawei::UpdateGroup { version, group } => self.update_group(*version, *group),
            Huawei::DeleteGroup { version, group } => {
                let named = self.model.group(*group);
                let why = match &named {
                    Named::Gone(_) => vec![Why::Unknown],
                    Named::There(group) if self.model.is_held(*group) || self.model.is_referenced(*group) => {
                        vec![Why::InUse]
                    }
                    Named::There(_) => Vec::new(),
                };
                let target =
                    format!("{}/{}", version.path("security-groups"), self.model.group_ids(&named).uuid);
                let done = self.ask((*version, About::Group), Method::DELETE, &target, &Value::Null, &why)?;
                if let (Some(_), Named::There(group)) = (done, named) {
                    self.model.delete_group(group);
                }
                Ok(())
            }
            Huawei::CreateRule { version, group, rule, dry_run } => {
                self.create_rule(*version, *group, rule, *dry_run)
            }
            Huawei::CreateRules { group, rules, ignore } => self.create_rules(*group, rules, *ignore),
            Huawei::DeleteRule { version, rule } => {
                let Some(at) = usize::from(*rule).checked_rem(self.model.rules.len()) else { return Ok(()) };
                let target = version.path("security-group-rules");
                let target = format!("{target}/{}", self.model.rules[at].ids.uuid);
                self.ask((*version, About::Rule), Method::DELETE, &target, &Value::Null, &[])?;
                self.model.rules.remove(at);
                self.ask((*version, About::Rule), Method::DELETE, &target, &Value::Null, &[Why::Unknown])
                    .or_else(|why| if *version == Version::V2 { Ok(None) } else { Err(why) })
                    .map(drop)
            }
            Huawei::CreateList { v6, max, entries, stray } => self.create_list(*v6, *max, entries, *stray),
            Huawei::UpdateList { list, max, entries } => self.update_list(*list, *max, entries.as_deref()),
            Huawei::DeleteList { list, force } => {
                let number = self.list(*list);
                let mut why = Vec::new();
                if number == 0 {
                    why.push(Why::Unknown);
                } else if !*force && !self.model.naming(number).is_empty() {
                    why.push(Why::InUse);
                }
                let target = Version::V3.path("address-groups");
                let force = if *force { "/force" } else { "" };
                let target = format!("{target}/{}{force}", self.list_id(number).uuid);
                let about = (Version::V3, About::AddressGroup);
                if self.ask(about, Method::DELETE, &target, &Value::Null, &why)?.is_some() {
                    self.model.rules.retain(|rule| rule.spec.remote != Remote::List(number));
                    self.model.lists.remove(&number);
                }
                Ok(())
            }
            Huawei::Insert { nic, groups, index } => self.insert(*nic, groups, *index),
            Huawei::Remove { nic, groups } => self.remove(*nic, groups),
            Huawei::Replace { version, nic, groups } => self.replace(*version, *nic, groups),
        }
    }

    pub(super) fn create_group(
        &mut self,
        version: Version,
        tag: Option<u8>,
        dry_run: bool,
    ) -> Result<(), String> {
        if self.model.groups.len() >= MOST_GROUPS {
            return Ok(());
        }
        let number = self.model.number();
        let name = format!("g{number}");
        let mut body = json!({ "security_group": { "name": name } });
        let (mut tags, mut description) = (first_tags(None), String::new());
        if version != Version::V1 {
            description = "of a test".to_owned();
            body["security_group"]["description"] = description.as_str().into();
        }
        if version == Version::V3 {
            tags = first_tags(tag);
            let all: Vec<Value> =
                tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
            body["security_group"]["tags"] = all.into();
            body["dry_run"] = dry_run.into();
        }
        let target = version.path("security-groups");
        let about = (version, About::Group);
        let Some(reply) = self.ask(about, Method::POST, &target, &body, &[])? else { return Ok(()) };
        let group = Group {
            ids: Ids::default(),
            name,
            description,
            kind: Kind::Closed,
            vpc: None,
            inner: false,
            tags,
        };
        self.model.groups.insert(number, group);
        self.learn_group(number)?;
        self.first_rules(number, &reply["security_group"]["security_group_rules"])
    }

    /// The rules that every group begins with: inbound from itself, outbound to everybody, of each family.
    fn first_rules(&mut self, group: u32, made: &Value) -> Result<(), String> {
        let mut wanted: Vec<(bool, Family)> = Vec::new();
        for ingress in [true, false] {
            wanted.extend([(ingress, Family::V4), (ingress, Family::V6)]);
        }
        let id = self.group_id(group).id;
        let reply = self.faces.ecs("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &id)]);
        let there = reply.body["Permissions"]["Permission"].as_array().cloned().unwrap_or_default();
        let made = made.as_array().cloned().unwrap_or_default();
        if made.len() != wanted.len() || there.len() != wanted.len() {
            return Err(format!("a new group has {made:?} and {there:?}, and not four rules"));
        }
        for (made, there) in made.iter().zip(&there) {
            let family = if made["ethertype"] == "IPv4" { Family::V4 } else { Family::V6 };
            let ingress = made["direction"] == "ingress";
            let at = wanted.iter().position(|one| *one == (ingress, family));
            wanted.remove(at.ok_or_else(|| format!("{made} is there twice"))?);
            let spec = Spec {
                ingress,
                action: Action::Accept,
                priority: 100,
                protocol: None,
                family: Some(family),
                ports: Ports::Any,
                source_ports: None,
                icmp: None,
                remote: if ingress { Remote::Group(group) } else { Remote::Any },
                local: None,
                enabled: true,
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let ids = Ids { id: text(&there["SecurityGroupRuleId"]), uuid: text(&made["id"]) };
            let ids = self.unique(ids)?;
            self.model.rules.push(Rule { ids, description: String::new(), group, spec });
        }
        Ok(())
    }

    fn update_group(&mut self, version: Version, pick: u16) -> Result<(), String> {
        // v1 cannot.
        let version = if version == Version::V1 { Version::V3 } else { version };
        let named = self.model.group(pick);
        let number = self.model.number();
        let (name, description) = (format!("g{number}"), format!("of {number}"));
        let why: Vec<Why> = matches!(named, Named::Gone(_)).then_some(Why::Unknown).into_iter().collect();
        let target = format!("{}/{}", version.path("security-groups"), self.model.group_ids(&named).uuid);
        let body = json!({ "security_group": { "name": name, "description": description } });
        let done = self.ask((version, About::Group), Method::PUT, &target, &body, &why)?;
        if let (Some(_), Named::There(group)) = (done, named) {
            let group = self.model.groups.get_mut(&group).unwrap();
            (group.name, group.description) = (name, description);
        }
        Ok(())
    }

    /// What of a rule a version can say.
    fn said(version: Version, mut spec: Spec, wanted: &Wanted, default: u8) -> Spec {
        spec.family = Some(of_huawei(wanted.family));
        spec.priority = wanted.priority.unwrap_or(default);
        spec.source_ports = None;
        spec.local = None;
        if matches!(spec.ports, Ports::List(_)) {
            spec.ports = Ports::Any;
        }
        if version == Version::V3 {
            spec.icmp = None;
            return spec;
        }
        if let Ports::Ranges(ranges) = &mut spec.ports {
            ranges.truncate(1);
        }
        Spec { action: Action::Accept, priority: 100, enabled: true, ..spec }
    }

    /// A rule as a version writes it.
    fn written(&self, version: Version, spec: &Spec, wanted: &Wanted, description: &str) -> Value {
        let mut rule = json!({
            "direction": if spec.ingress { "ingress" } else { "egress" },
            "description": description,
        });
        match wanted.family {
            None => {}
            Some(Family::V4) => rule["ethertype"] = "IPv4".into(),
            Some(Family::V6) => rule["ethertype"] = "ipv6".into(),
        }
        if let Some(number) = spec.protocol {
            rule["protocol"] = match number {
                1 => "icmp".into(),
                6 => "tcp".into(),
                17 => "udp".into(),
                58 => "icmpv6".into(),
                number => number.to_string().into(),
            };
        }
        match &spec.remote {
            Remote::Any => {}
            Remote::Net(net) => rule["remote_ip_prefix"] = net.to_string().into(),
            Remote::Group(group) => rule["remote_group_id"] = self.group_id(*group).uuid.into(),
            Remote::List(list) => rule["remote_address_group_id"] = self.list_id(*list).uuid.into(),
        }
        if version == Version::V3 {
            rule["action"] = action(spec.action).into();
            rule["enabled"] = spec.enabled.into();
            if wanted.priority.is_some() {
                rule["priority"] = spec.priority.into();
            }
            if let Ports::Ranges(ranges) = &spec.ports {
                rule["multiport"] = multiport(ranges).into();
            }
        } else if let Ports::Ranges(ranges) = &spec.ports {
            rule["port_range_min"] = ranges[0].0.into();
            rule["port_range_max"] = ranges[0].1.into();
        } else if let Some((kind, code)) = spec.icmp {
            rule["port_range_min"] = kind.into();
            rule["port_range_max"] = code.into();
        }
        rule
    }

    fn create_rule(
        &mut self,
        version: Version,
        pick: u16,
        wanted: &Wanted,
        dry_run: bool,
    ) -> Result<(), String> {
        let named = self.model.group(pick);
        let group = if let Named::There(group) = named { group } else { 0 };
        let (spec, wanted) = &self.spec(group, wanted);
        let spec = Self::said(version, spec.clone(), wanted, 100);
        let number = self.model.number();
        let description = format!("rule {number}");
        let mut rule = self.written(version, &spec, wanted, &description);
        rule["security_group_id"] = self.model.group_ids(&named).uuid.into();
        let mut body = json!({ "security_group_rule": rule });
        if version == Version::V3 {
            body["dry_run"] = dry_run.into();
        }
        let (why, is_open) = match &named {
            Named::Gone(_) => (vec![Why::Unknown], false),
            Named::There(group) => self.why_not(*group, &spec),
        };
        if is_open {
            return Ok(());
        }
        let target = version.path("security-group-rules");
        if self.ask((version, About::Rule), Method::POST, &target, &body, &why)?.is_none() {
            return Ok(());
        }
        self.learn_new(group, &description, spec)
    }

    /// Why a rule cannot be added; and whether documents leave that open.
    fn why_not(&self, group: u32, spec: &Spec) -> (Vec<Why>, bool) {
        let mut why = spec.misfits(&self.model, group);
        let same = self.same(group, spec, true);
        if why.is_empty() && same == Same::Yes {
            why.push(Why::Exists);
        }
        let is_open = why.is_empty() && same == Same::Open;
        (why, is_open)
    }

    fn learn_new(&mut self, group: u32, description: &str, spec: Spec) -> Result<(), String> {
        let ids =
            self.find_rule(group, description)?.ok_or_else(|| format!("{description} was not added"))?;
        let ids = self.unique(ids)?;
        self.model.rules.push(Rule { ids, description: description.to_owned(), group, spec });
        Ok(())
    }

    fn create_rules(&mut self, pick: u16, all: &[Wanted], ignore: bool) -> Result<(), String> {
        let named = self.model.group(pick);
        let group = if let Named::There(group) = named { group } else { 0 };
        let mut why: Vec<Why> = matches!(named, Named::Gone(_)).then_some(Why::Unknown).into_iter().collect();
        let (mut new, mut rules): (Vec<(String, Spec)>, Vec<Value>) = (Vec::new(), Vec::new());
        for wanted in all {
            let (spec, wanted) = &self.spec(group, wanted);
            let spec = Self::said(Version::V3, spec.clone(), wanted, 1);
            let description = format!("rule {}", self.model.number());
            rules.push(self.written(Version::V3, &spec, wanted, &description));
            if matches!(named, Named::Gone(_)) {
                continue;
            }
            let (because, is_open) = self.why_not(group, &spec);
            let beside = new.iter().filter(|(_, other)| other.ingress == spec.ingress);
            let beside: Vec<Same> = beside.map(|(_, other)| other.same(&spec, &self.model, true)).collect();
            if is_open || beside.contains(&Same::Open) {
                return Ok(());
            }
            let exists = because.contains(&Why::Exists) || beside.contains(&Same::Yes);
            why.extend(because.into_iter().filter(|why| *why != Why::Exists));
            if exists && !ignore {
                why.push(Why::Exists);
            } else if !exists {
                new.push((description, spec));
            }
        }
        let target = version_batch(&self.model.group_ids(&named).uuid);
        let body = json!({ "security_group_rules": rules, "ignore_duplicate": ignore });
        let Some(reply) = self.ask((Version::V3, About::Rule), Method::POST, &target, &body, &why)? else {
            return Ok(());
        };
        let made: Vec<&str> = reply["security_group_rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rule| rule["description"].as_str())
            .collect();
        if made != new.iter().map(|(description, _)| description.as_str()).collect::<Vec<_>>() {
            return Err(format!("{reply}: {new:?} are new"));
        }
        new.into_iter().try_for_each(|(description, spec)| self.learn_new(group, &description, spec))
    }

    fn create_list(
        &mut self,
        v6: bool,
        max: Option<usize>,
        picks: &[usize],
        stray: bool,
    ) -> Result<(), String> {
        let number = self.model.number();
        let (name, mut entries) = (format!("l{number}"), entries(v6, picks));
        let mut why = Vec::new();
        if stray {
            entries.push(ENTRIES[usize::from(!v6)][0].to_owned());
            why.push(Why::EntryFamily);
        }
        let mut list = json!({ "name": name, "ip_version": if v6 { 6 } else { 4 }, "ip_set": entries });
        if let Some(max) = max {
            list["max_capacity"] = max.into();
        }
        // The vendor's default.
        let max = max.unwrap_or(20);
        if has_twice(&entries) {
            why.push(Why::EntryTwice);
        }
        if entries.len() > max {
            why.push(Why::Full);
        }
        let target = Version::V3.path("address-groups");
        let body = json!({ "address_group": list });
        let about = (Version::V3, About::AddressGroup);
        if self.ask(about, Method::POST, &target, &body, &why)?.is_some() {
            self.model.lists.insert(number, List { ids: Ids::default(), name, v6, max, entries });
            self.learn_list(number)?;
        }
        Ok(())
    }

    fn update_list(&mut self, pick: u16, max: Option<usize>, picks: Option<&[usize]>) -> Result<(), String> {
        let number = self.list(pick);
        let number_of_name = self.model.number();
        let name = format!("l{number_of_name}");
        let v6 = self.model.lists.get(&number).is_some_and(|list| list.v6);
        let new = picks.map(|picks| entries(v6, picks));
        let mut list = json!({ "name": name });
        if let Some(max) = max {
            list["max_capacity"] = max.into();
        }
        if let Some(new) = &new {
            // The form with remarks says the same.
            let all: Vec<Value> = new.iter().map(|entry| json!({ "ip": entry })).collect();
            list["ip_extra_set"] = all.into();
        }
        let mut why = Vec::new();
        let mut after = self.model.lists.get(&number).cloned();
        match &mut after {
            None => why.push(Why::Unknown),
            Some(after) => {
                after.name = name;
                after.max = max.unwrap_or(after.max);
                if let Some(new) = new {
                    after.entries = new;
                }
                if has_twice(&after.entries) {
                    why.push(Why::EntryTwice);
                }
                if after.entries.len() > after.max {
                    why.push(Why::Full);
                }
            }
        }
        let target = format!("{}/{}", Version::V3.path("address-groups"), self.list_id(number).uuid);
        let body = json!({ "address_group": list });
        let done = self.ask((Version::V3, About::AddressGroup), Method::PUT, &target, &body, &why)?;
        if let (Some(_), Some(after)) = (done, after) {
            self.model.lists.insert(number, after);
        }
        Ok(())
    }

    /// The groups that a request names, and their ids in it.
    fn named(&self, groups: &[u16], pick: impl Fn(u16) -> Named) -> (Option<Vec<u32>>, Vec<String>) {
        let named: Vec<Named> = groups.iter().map(|group| pick(*group)).collect();
        let ids = named.iter().map(|named| self.model.group_ids(named).uuid).collect();
        (there(&named), ids)
    }

    fn insert(&mut self, nic: usize, groups: &[u16], index: Option<usize>) -> Result<(), String> {
        let (new, ids) = self.named(groups, |pick| self.model.group_for(nic, pick));
        let mut after = self.model.nics[nic].groups.clone();
        let mut body = json!({ "port": { "security_groups": ids } });
        if let Some(index) = index {
            body["port"]["index"] = index.into();
        }
        let mut why = Vec::new();
        match new {
            None => why.push(Why::Unknown),
            Some(new) => {
                if new.iter().any(|group| after.contains(group)) {
                    why.push(Why::AlreadyMember);
                }
                let place = index.unwrap_or(after.len());
                if place > after.len() {
                    why.push(Why::Place);
                } else {
                    after.splice(place..place, new);
                    why.extend(self.model.cannot_hold(nic, &after));
                }
            }
        }
        let target =
            format!("{}/{}/insert-security-groups", Version::V3.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((Version::V3, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = after;
        }
        Ok(())
    }

    fn remove(&mut self, nic: usize, groups: &[u16]) -> Result<(), String> {
        let (old, ids) = self.named(groups, |pick| self.model.held(nic, pick));
        let mut after = self.model.nics[nic].groups.clone();
        let mut why = Vec::new();
        match old {
            None => why.push(Why::Unknown),
            Some(old) => {
                if !old.iter().all(|group| after.contains(group)) {
                    why.push(Why::NotMember);
                }
                after.retain(|group| !old.contains(group));
                if after.is_empty() {
                    why.push(Why::Last);
                }
                if has_twice(&old) && why.is_empty() {
                    // Whether a group that is named twice is removed or the request refused, no document says.
                    return Ok(());
                }
            }
        }
        let body = json!({ "port": { "security_groups": ids } });
        let target =
            format!("{}/{}/remove-security-groups", Version::V3.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((Version::V3, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = after;
        }
        Ok(())
    }

    fn replace(&mut self, version: Version, nic: usize, groups: &[u16]) -> Result<(), String> {
        let (new, ids) = self.named(groups, |pick| self.model.group_for(nic, pick));
        let why = match &new {
            None => vec![Why::Unknown],
            Some(new) => self.model.cannot_hold(nic, new),
        };
        let body = json!({ "port": { "security_groups": ids } });
        let target = format!("{}/{}", version.path("ports"), self.model.nics[nic].ids.uuid);
        if self.ask((version, About::Port), Method::PUT, &target, &body, &why)?.is_some() {
            self.model.nics[nic].groups = new.unwrap_or_default();
        }
        Ok(())
    }
}

fn version_batch(group: &str) -> String {
    format!("{}/{group}/security-group-rules/batch-create", Version::V3.path("security-groups"))
}

/// `allow`.
pub(super) const fn action(action: Action) -> &'static str {
    match action {
        Action::Accept => "allow",
        Action::Drop => "deny",
        Action::Reject => "reject",
    }
}

/// `22,80-90`.
pub(super) fn multiport(ranges: &[(u16, u16)]) -> String {
    let range = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}
