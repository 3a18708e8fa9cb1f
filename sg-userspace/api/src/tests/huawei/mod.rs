//! The operations of the Huawei Cloud API, in its versions: how each is sent, and what the model says becomes of it.

mod lists;
mod ports;
mod rules;

use axum::http::Method;
use serde_json::{Value, json};

use crate::tests::{
    alibaba::first_tags,
    both::Both,
    objects::{Group, Ids, Kind, MOST_GROUPS, Named, Rule, Why},
    operations::{Huawei, Version},
    specs::{Action, Family, Ports, Remote, Spec},
};

pub(super) use rules::{action, multiport};

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
}
