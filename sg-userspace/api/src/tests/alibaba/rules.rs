//! The operations on rules of Alibaba Cloud ECS: how each is sent, and what the model says becomes of it.

use super::range;
use crate::tests::{
    both::Both,
    objects::{Ids, Kind, Named, Why},
    operations::Wanted,
    specs::{Action, Family, Ports, Remote, Same, Spec},
};

/// The documented refusals of a reason, where a rule is added or changed.
fn of_rule(why: Why, ingress: bool) -> &'static [(u16, &'static str)] {
    match (why, ingress) {
        (Why::Unknown, _) => &[(404, "InvalidSecurityGroupId.NotFound")],
        (Why::UnknownRemote, true) => {
            &[(404, "InvalidSourceGroupId.NotFound"), (404, "InvalidPrefixListId.NotFound")]
        }
        (Why::UnknownRemote, false) => {
            &[(404, "InvalidDestGroupId.NotFound"), (404, "InvalidPrefixListId.NotFound")]
        }
        (Why::Own, true) => &[(403, "InvalidParamter.Conflict")],
        (Why::Own, false) => &[(403, "InvalidSecurityGroup.IsSame")],
        (Why::OtherNetwork, true) => {
            &[(400, "InvalidSourceGroupId.Mismatch"), (403, "InvalidNetworkType.Conflict")]
        }
        (Why::OtherNetwork, false) => {
            &[(400, "InvalidDestGroupId.Mismatch"), (403, "InvalidNetworkType.Conflict")]
        }
        (Why::Regional, _) => &[(400, "InvalidGroupParameter.OperationDenied")],
        (Why::Enterprise, _) => &[
            (400, "InvalidGroupParameter.OperationDenied"),
            (400, "InvalidGroupAuthParameter.OperationDenied"),
        ],
        (Why::Families, _) => &[
            (400, "InvalidParam.Ipv4ProtocolConflictWithIpv6Address"),
            (400, "InvalidParam.Ipv6ProtocolConflictWithIpv4Address"),
            (400, "InvalidParam.PrefixListAddressFamilyMismatch"),
            (400, "InvalidParam.ProtocolAndAddressFamilyMismatch"),
        ],
        (Why::Exists, _) => &[(400, "InvalidOperation.RuleDuplicate")],
        _ => &[],
    }
}

impl Both {
    pub(super) fn authorize(&mut self, group: u16, wanted: &Wanted) -> Result<(), String> {
        let named = self.model.group(group);
        let group = if let Named::There(group) = named { group } else { 0 };
        let (mut spec, wanted) = self.spec(group, wanted);
        spec.icmp = None;
        spec.enabled = true;
        if let Ports::Ranges(ranges) = &mut spec.ports {
            ranges.truncate(1);
        }
        if spec.remote == Remote::Any {
            let all = if wanted.family == Some(Family::V6) { "::/0" } else { "0.0.0.0/0" };
            spec.remote = Remote::Net(all.parse().unwrap());
        }
        let number = self.model.number();
        let mut all = self.permission(group, &spec);
        all.push(("Description".to_owned(), format!("rule {number}")));
        if wanted.priority.is_some() {
            all.push(("Priority".to_owned(), spec.priority.to_string()));
        }
        for (name, _) in &mut all {
            name.insert_str(0, "Permissions.1.");
        }
        all.push(("SecurityGroupId".to_owned(), self.model.group_ids(&named).id));
        let why = match &named {
            Named::Gone(_) => vec![Why::Unknown],
            Named::There(group) => spec.misfits(&self.model, *group),
        };
        let why: Vec<(u16, &str)> = why.iter().flat_map(|why| of_rule(*why, spec.ingress)).copied().collect();
        let action = if spec.ingress { "AuthorizeSecurityGroup" } else { "AuthorizeSecurityGroupEgress" };
        if self.say(action, &all, &why)? { self.learn_rule(group, number, spec) } else { Ok(()) }
    }

    /// The parameters of what a rule matches, and of its action.
    fn permission(&self, group: u32, spec: &Spec) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut say = |name: &str, value: String| all.push((name.to_owned(), value));
        let (remote, local) = if spec.ingress { ("Source", "Dest") } else { ("Dest", "Source") };
        say("IpProtocol", protocol(spec.protocol));
        match &spec.ports {
            Ports::Any => say("PortRange", "-1/-1".to_owned()),
            Ports::Ranges(ranges) => say("PortRange", range(ranges[0])),
            Ports::List(list) => say("PortRangeListId", self.model.port_lists[list].id.clone()),
        }
        if let Some(ports) = spec.source_ports {
            say("SourcePortRange", range(ports));
        }
        let cidr = |end: &str, net: &ipnet::IpNet| match Family::of(net) {
            Family::V4 => format!("{end}CidrIp"),
            Family::V6 => format!("Ipv6{end}CidrIp"),
        };
        match &spec.remote {
            Remote::Any => {}
            Remote::Net(net) => say(&cidr(remote, net), net.to_string()),
            Remote::Group(group) => say(&format!("{remote}GroupId"), self.group_id(*group).id),
            Remote::List(list) => say(&format!("{remote}PrefixListId"), self.list_id(*list).id),
        }
        if let Some(net) = &spec.local {
            say(&cidr(local, net), net.to_string());
        }
        let policy = match spec.action {
            Action::Accept => "accept",
            Action::Drop => "Drop",
            Action::Reject => "reject",
        };
        say("Policy", policy.to_owned());
        // In the classic network, a NIC may face the internet.
        if self.model.groups.get(&group).is_some_and(|group| group.vpc.is_none() && group.kind == Kind::Basic)
        {
            say("NicType", "intranet".to_owned());
        }
        all
    }

    pub(super) fn prioritise(&mut self, pick: u16, priority: u8) -> Result<(), String> {
        let Some(at) = usize::from(pick).checked_rem(self.model.rules.len()) else { return Ok(()) };
        let rule = self.model.rules[at].clone();
        let spec = Spec { priority, ..rule.spec.clone() };
        let all = [
            ("SecurityGroupId".to_owned(), self.group_id(rule.group).id),
            ("SecurityGroupRuleId".to_owned(), rule.ids.id.clone()),
            ("Priority".to_owned(), priority.to_string()),
        ];
        let others = self.model.rules_of(rule.group).filter(|other| other.ids != rule.ids);
        let others = others.filter(|other| other.spec.ingress == spec.ingress);
        let same: Vec<Same> = others.map(|other| other.spec.same(&spec, &self.model, false)).collect();
        let action = if spec.ingress { "ModifySecurityGroupRule" } else { "ModifySecurityGroupEgressRule" };
        let exists = same.contains(&Same::Yes) && rule.spec.priority != priority;
        if same.contains(&Same::Open) && !exists {
            return Ok(());
        }
        let why: &[(u16, &str)] = if exists { of_rule(Why::Exists, true) } else { &[] };
        if self.say(action, &all, why)? {
            self.model.rules[at].spec = spec;
        }
        Ok(())
    }

    /// Revokes the rules that are like one, whatever their priority. Only rules that this API can describe.
    pub(super) fn revoke_matching(&mut self, pick: u16) -> Result<(), String> {
        let Some(at) = usize::from(pick).checked_rem(self.model.rules.len()) else { return Ok(()) };
        let rule = self.model.rules[at].clone();
        let is_said = rule.spec.icmp.is_none()
            && rule.spec.family.is_none()
            && rule.spec.remote != Remote::Any
            && !matches!(&rule.spec.ports, Ports::Ranges(ranges) if ranges.len() > 1);
        if !is_said {
            return Ok(());
        }
        let alike = |other: &Spec| {
            let mut other = Spec { priority: rule.spec.priority, ..other.clone() };
            // No parameter has a family: of a group or a list, the rules of every one are meant.
            if !matches!(other.remote, Remote::Net(_) | Remote::Any) {
                other.family = None;
            }
            other.ingress == rule.spec.ingress
                && other.action == rule.spec.action
                && other.same(&rule.spec, &self.model, false) == Same::Yes
        };
        let is_open = self.model.rules_of(rule.group).any(|other| {
            other.spec.ingress == rule.spec.ingress
                && other.spec.same(&rule.spec, &self.model, true) == Same::Open
        });
        if is_open {
            return Ok(());
        }
        let revoked: Vec<Ids> = self
            .model
            .rules_of(rule.group)
            .filter(|other| alike(&other.spec))
            .map(|other| other.ids.clone())
            .collect();
        let mut all = self.permission(rule.group, &rule.spec);
        for (name, _) in &mut all {
            name.insert_str(0, "Permissions.1.");
        }
        all.push(("SecurityGroupId".to_owned(), self.group_id(rule.group).id));
        self.say(revoking(&rule.spec), &all, &[])?;
        self.model.rules.retain(|rule| !revoked.contains(&rule.ids));
        Ok(())
    }
}

/// `TCP`.
pub(in crate::tests) fn protocol(number: Option<u8>) -> String {
    match number {
        None => "ALL".to_owned(),
        Some(1) => "ICMP".to_owned(),
        Some(6) => "TCP".to_owned(),
        Some(17) => "UDP".to_owned(),
        Some(47) => "GRE".to_owned(),
        Some(58) => "ICMPV6".to_owned(),
        Some(number) => number.to_string(),
    }
}

pub(super) const fn revoking(spec: &Spec) -> &'static str {
    if spec.ingress { "RevokeSecurityGroup" } else { "RevokeSecurityGroupEgress" }
}
