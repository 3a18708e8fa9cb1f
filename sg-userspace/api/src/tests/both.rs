//! The service and the model side by side: each random operation is done by both, and what they say of it is the same.

use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use sg_service::{CreateVpc, ModifyQuotas, NewLabel, RegisterNic};

use super::{
    faces::{Faces, REGION, Reply},
    objects::{GROUPS_PER_NIC, Ids, Kind, Model, Named, Nic, Rule, never},
    operations::{Alibaba, LOCALS, NETS, Object, Op, PORTS, PROTOCOLS, Version, Wanted, operations},
    specs::{Family, Ports, Remote, Same, Spec},
};

/// The NICs: VPC, and the last number of the addresses.
const NICS: [(usize, u8); 4] = [(0, 1), (0, 2), (1, 2), (1, 3)];

/// The service behind both APIs, and the model.
pub(super) struct Both {
    pub(super) faces: Faces,
    pub(super) model: Model,
    /// How many operations there were: each is followed by a look at another part.
    pub(super) turn: usize,
}

impl Both {
    pub(super) fn new() -> Self {
        let faces = Faces::new();
        let mut model = Model::default();
        for name in ["net0", "net1"] {
            let label = NewLabel { name: name.to_owned(), ..NewLabel::default() };
            let vpc = faces.run(CreateVpc { label, region: REGION.to_owned(), ..CreateVpc::default() });
            model.vpcs.push(Ids { id: vpc.unwrap().id.to_string(), uuid: String::new() });
        }
        let most = Some(u32::try_from(GROUPS_PER_NIC).unwrap());
        let quotas =
            ModifyQuotas { groups_per_nic: most, closed_groups_per_nic: most, ..ModifyQuotas::default() };
        faces.run(quotas).unwrap();
        let mut both = Self { faces, model, turn: 0 };
        both.alibaba(&Alibaba::CreateGroup { network: 0, enterprise: false, tag: Some(1) }).unwrap();
        both.create_group(Version::V3, Some(1), false).unwrap();
        for v6 in [false, true] {
            both.alibaba(&Alibaba::CreateList { v6, max: 4, entries: vec![0, 1] }).unwrap();
        }
        let groups: Vec<u32> = both.model.groups.keys().copied().collect();
        for (number, (vpc, last)) in NICS.into_iter().enumerate() {
            let group = groups[usize::from(number > 0)];
            both.register(number, vpc, last, group);
        }
        both
    }

    fn register(&mut self, number: usize, vpc: usize, last: u8, group: u32) {
        let name = format!("nic{number}");
        let (v4, v6) =
            (format!("10.0.0.{last}").parse().unwrap(), format!("2001:db8::{last}").parse().unwrap());
        let id = format!("eni-{number}");
        let register = RegisterNic {
            id: Some(id.clone()),
            label: NewLabel { name: name.clone(), ..NewLabel::default() },
            vpc: Some(self.model.vpcs[vpc].id.clone()),
            addresses: vec![v4, v6],
            groups: vec![self.model.groups[&group].ids.id.clone()],
            ..RegisterNic::default()
        };
        self.faces.run(register).unwrap();
        let port = self.faces.show(&format!("/v3/{{project_id}}/ports?name={name}"))["ports"][0].take();
        let text = |field: &str| port[field].as_str().unwrap().to_owned();
        self.model.vpcs[vpc].uuid = text("vpc_id");
        let ids = Ids { id, uuid: text("id") };
        self.model.nics.push(Nic { ids, vpc, v4, v6, groups: vec![group] });
    }

    /// Does an operation, and compares what there is afterwards.
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Alibaba(op) => self.alibaba(op)?,
            Op::Huawei(op) => self.huawei(op)?,
            Op::ClosedGroup(vpc) => self.closed_group(*vpc)?,
            Op::Rule { group, rule } => self.any_rule(*group, rule)?,
        }
        self.turn += 1;
        self.compare_shown()?;
        self.compare_packets()
    }

    /// Compares a response with what the model expects: success with one of these statuses, or one of these refusals, after which
    /// everything is as `before`. Whether it was done.
    pub(super) fn judge(
        &self,
        reply: &Reply,
        code: &str,
        success: &[u16],
        expected: &[(u16, &str)],
        before: &[u8],
    ) -> Result<bool, String> {
        if expected.is_empty() {
            let good = success.contains(&reply.status);
            return if good { Ok(true) } else { Err(format!("{reply:?}, expected {success:?}")) };
        }
        if !expected
            .iter()
            .any(|(status, wanted)| *status == reply.status && (*wanted == code || *wanted == "*"))
        {
            return Err(format!("{reply:?}, expected {expected:?}"));
        }
        if self.faces.export() != before {
            return Err(format!("{reply:?} changed something"));
        }
        Ok(false)
    }

    /// What a rule of a group says, all of it. The family and the defaults are those of an API.
    /// Where it is to be that of a rule which is there, the rest is, too.
    pub(super) fn spec(&self, group: u32, wanted: &Wanted) -> (Spec, Wanted) {
        let there: Vec<&Rule> = self.model.rules_of(group).collect();
        if let Some(at) = wanted.again.and_then(|pick| usize::from(pick).checked_rem(there.len())) {
            let spec = there[at].spec.clone();
            let (family, priority) = (spec.only(&self.model), Some(spec.priority));
            return (Spec { family: None, ..spec }, Wanted { priority, family, ..wanted.clone() });
        }
        let protocol = PROTOCOLS[wanted.protocol];
        let lists = &self.model.port_lists;
        let list = wanted.port_list.filter(|_| !lists.is_empty());
        let ports = match (list, wanted.ports) {
            _ if !matches!(protocol, Some(6 | 17)) => Ports::Any,
            (Some(pick), _) => Ports::List(*lists.keys().nth(usize::from(pick) % lists.len()).unwrap()),
            (None, Some(ports)) => Ports::Ranges(PORTS[ports].to_vec()),
            (None, None) => Ports::Any,
        };
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let remote = match wanted.remote {
            Object::Any => Remote::Any,
            Object::Net(at) => Remote::Net(net(NETS[at])),
            Object::Own => Remote::Group(group),
            Object::Group(pick) => match self.model.group_beside(group, pick) {
                Named::There(named) => Remote::Group(named),
                Named::Gone(_) => Remote::Group(0),
            },
            Object::List(pick) => Remote::List(self.list(pick)),
        };
        let spec = Spec {
            ingress: wanted.ingress,
            action: wanted.action,
            priority: wanted.priority.unwrap_or(1),
            protocol,
            family: None,
            ports,
            source_ports: Some((1000, 2000))
                .filter(|_| wanted.source_ports && matches!(protocol, Some(6 | 17))),
            icmp: wanted.icmp.filter(|_| matches!(protocol, Some(1 | 58))),
            remote,
            local: wanted.local.map(|at| net(LOCALS[at])),
            enabled: wanted.enabled,
        };
        (spec, wanted.clone())
    }

    /// A list, mostly one that there is; 0: none.
    pub(super) fn list(&self, pick: u16) -> u32 {
        let lists = &self.model.lists;
        let at = usize::from(pick);
        if at % 19 == 7 || lists.is_empty() { 0 } else { *lists.keys().nth(at % lists.len()).unwrap() }
    }

    pub(super) fn group_id(&self, group: u32) -> Ids {
        self.model.groups.get(&group).map_or_else(|| never("sg-"), |group| group.ids.clone())
    }

    pub(super) fn list_id(&self, list: u32) -> Ids {
        self.model.lists.get(&list).map_or_else(|| never("pl-"), |list| list.ids.clone())
    }

    /// Finds a group that one API made by its name in both.
    pub(super) fn learn_group(&mut self, number: u32) -> Result<(), String> {
        let name = self.model.groups[&number].name.clone();
        let reply = self.faces.ecs("DescribeSecurityGroups", &[("SecurityGroupName", &name)]);
        let found = &reply.body["SecurityGroups"]["SecurityGroup"];
        let there = self.faces.show(&format!("/v3/{{project_id}}/vpc/security-groups?name={name}"));
        let ids = pair(found, "SecurityGroupId", &there["security_groups"]);
        self.model.groups.get_mut(&number).unwrap().ids =
            self.unique(ids.ok_or_else(|| format!("{name}: {found} {there}"))?)?;
        Ok(())
    }

    /// Finds a list that one API made by its name in both.
    pub(super) fn learn_list(&mut self, number: u32) -> Result<(), String> {
        let name = self.model.lists[&number].name.clone();
        let reply = self.faces.ecs("DescribePrefixLists", &[("PrefixListName", &name)]);
        let found = &reply.body["PrefixLists"]["PrefixList"];
        let there = self.faces.show(&format!("/v3/{{project_id}}/vpc/address-groups?name={name}"));
        let ids = pair(found, "PrefixListId", &there["address_groups"]);
        self.model.lists.get_mut(&number).unwrap().ids =
            self.unique(ids.ok_or_else(|| format!("{name}: {found} {there}"))?)?;
        Ok(())
    }

    /// Finds a rule that was added by its description in both APIs. Where there is such a rule already, it was not added.
    pub(super) fn learn_rule(&mut self, group: u32, number: u32, spec: Spec) -> Result<(), String> {
        let same = self.same(group, &spec, false);
        let description = format!("rule {number}");
        let found = self.find_rule(group, &description)?;
        match (same, found) {
            (Same::Yes | Same::Open, None) => Ok(()),
            (Same::No | Same::Open, Some(ids)) => {
                let ids = self.unique(ids)?;
                self.model.rules.push(Rule { ids, description, group, spec });
                Ok(())
            }
            (same, found) => Err(format!("{spec:?}: {found:?}, though one that is the same: {same:?}")),
        }
    }

    /// Whether a group has a rule that is the same.
    pub(super) fn same(&self, group: u32, spec: &Spec, packets: bool) -> Same {
        let all: Vec<Same> = self
            .model
            .rules_of(group)
            .filter(|rule| rule.spec.ingress == spec.ingress)
            .map(|rule| rule.spec.same(spec, &self.model, packets))
            .collect();
        [Same::Yes, Same::Open].into_iter().find(|same| all.contains(same)).unwrap_or(Same::No)
    }

    /// A rule of a group by its description.
    pub(super) fn find_rule(&self, group: u32, description: &str) -> Result<Option<Ids>, String> {
        let id = self.group_id(group).id;
        let reply = self
            .faces
            .ecs("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &id), ("MaxResults", "1000")]);
        let all = reply.body["Permissions"]["Permission"].as_array().cloned().unwrap_or_default();
        let of_it: Vec<_> = all.into_iter().filter(|rule| rule["Description"] == description).collect();
        let text = description.replace(' ', "%20");
        let there =
            self.faces.show(&format!("/v3/{{project_id}}/vpc/security-group-rules?description={text}"));
        let there = &there["security_group_rules"];
        if of_it.is_empty() && *there == serde_json::json!([]) {
            return Ok(None);
        }
        let ids = pair(&of_it.into(), "SecurityGroupRuleId", there);
        ids.map(Some).ok_or_else(|| format!("{description} is not once in both APIs: {there}"))
    }

    /// No other object has one of the ids.
    pub(super) fn unique(&self, ids: Ids) -> Result<Ids, String> {
        let model = &self.model;
        let groups = model.groups.values().map(|group| &group.ids).chain(&model.gone);
        let others = model.lists.values().map(|list| &list.ids).chain(model.nics.iter().map(|nic| &nic.ids));
        let mut all = groups.chain(others).chain(model.rules.iter().map(|rule| &rule.ids));
        match all.find(|other| other.id == ids.id || other.uuid == ids.uuid) {
            Some(other) => Err(format!("{ids:?} and {other:?} are two objects")),
            None => Ok(ids),
        }
    }
}

/// The ids of the only object in each of two lists.
fn pair(ecs: &serde_json::Value, name: &str, huawei: &serde_json::Value) -> Option<Ids> {
    let only = |list: &serde_json::Value, name: &str| match list.as_array()?.as_slice() {
        [one] => one[name].as_str().map(str::to_owned),
        _ => None,
    };
    Some(Ids { id: only(ecs, name)?, uuid: only(huawei, "id")? })
}

impl Version {
    /// The path of the groups, or of what else has this name.
    pub(super) fn path(self, what: &str) -> String {
        match (self, what) {
            (Self::V3, "ports") => "/v3/{project_id}/ports".to_owned(),
            (Self::V3, _) => format!("/v3/{{project_id}}/vpc/{what}"),
            (Self::V1, _) => format!("/v1/{{project_id}}/{what}"),
            (Self::V2, _) => format!("/v2.0/{what}"),
        }
    }
}

impl Kind {
    /// The type as Alibaba's API shows it.
    pub(super) const fn of_alibaba(self) -> &'static str {
        match self {
            Self::Basic => "normal",
            Self::Enterprise => "enterprise",
            Self::Closed => "closed",
        }
    }
}

/// How many cases, and how many operations in each.
fn cases() -> (u32, usize) {
    if std::env::var_os("SG_DEEP").is_some() { (200, 120) } else { (24, 60) }
}

#[test]
fn what_one_api_does_the_other_shows() {
    let (cases, most) = cases();
    let config = ProptestConfig { cases, max_shrink_iters: 300, ..ProptestConfig::default() };
    let all = vec(operations(NICS.len()), 1..most);
    let result = proptest::test_runner::TestRunner::new(config).run(&all, |all| {
        let mut both = Both::new();
        for op in &all {
            both.step(op).map_err(|why| TestCaseError::fail(format!("{op:?}: {why}")))?;
        }
        both.compare_all().map_err(TestCaseError::fail)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// The family that a request of Huawei's API has: it is always one.
pub(super) fn of_huawei(family: Option<Family>) -> Family {
    family.unwrap_or(Family::V4)
}
