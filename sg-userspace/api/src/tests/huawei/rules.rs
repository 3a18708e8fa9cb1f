//! The operations on rules of the Huawei Cloud API: how each is sent, and what the model says becomes of it.

use axum::http::Method;
use serde_json::{Value, json};

use super::About;
use crate::tests::{
    both::{Both, of_huawei},
    objects::{Named, Rule, Why},
    operations::{Version, Wanted},
    specs::{Action, Family, Ports, Remote, Same, Spec},
};

impl Both {
    /// What of a rule a version can say.
    pub(super) fn said(version: Version, mut spec: Spec, wanted: &Wanted, default: u8) -> Spec {
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
    pub(super) fn written(&self, version: Version, spec: &Spec, wanted: &Wanted, description: &str) -> Value {
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

    pub(super) fn create_rule(
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
    pub(super) fn why_not(&self, group: u32, spec: &Spec) -> (Vec<Why>, bool) {
        let mut why = spec.misfits(&self.model, group);
        let same = self.same(group, spec, true);
        if why.is_empty() && same == Same::Yes {
            why.push(Why::Exists);
        }
        let is_open = why.is_empty() && same == Same::Open;
        (why, is_open)
    }

    pub(super) fn learn_new(&mut self, group: u32, description: &str, spec: Spec) -> Result<(), String> {
        let ids =
            self.find_rule(group, description)?.ok_or_else(|| format!("{description} was not added"))?;
        let ids = self.unique(ids)?;
        self.model.rules.push(Rule { ids, description: description.to_owned(), group, spec });
        Ok(())
    }

    pub(super) fn create_rules(&mut self, pick: u16, all: &[Wanted], ignore: bool) -> Result<(), String> {
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
            // What does something else is not left out.
            let decides = |spec: &Spec| (spec.action, spec.enabled);
            let is_other = |other: &Spec| {
                other.ingress == spec.ingress
                    && other.same(&spec, &self.model, true) == Same::Yes
                    && decides(other) != decides(&spec)
            };
            let there = self.model.rules.iter().filter(|rule| rule.group == group).map(|rule| &rule.spec);
            let differs = there.chain(new.iter().map(|(_, other)| other)).any(is_other);
            if exists && (!ignore || differs) {
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
}

fn version_batch(group: &str) -> String {
    format!("{}/{group}/security-group-rules/batch-create", Version::V3.path("security-groups"))
}

/// `allow`.
pub(in crate::tests) const fn action(action: Action) -> &'static str {
    match action {
        Action::Accept => "allow",
        Action::Drop => "deny",
        Action::Reject => "reject",
    }
}

/// `22,80-90`.
pub(in crate::tests) fn multiport(ranges: &[(u16, u16)]) -> String {
    let range = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}
