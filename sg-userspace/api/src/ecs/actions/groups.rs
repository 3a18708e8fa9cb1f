//! Actions on groups.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use sg_records::{Direction, Group, GroupId, GroupType, KeyRole, NicType, Remote, VpcId};
use sg_service::{
    CreateGroup, DeleteGroups, GroupTemplate, LabelChange, ModifyGroup, NewLabel, State, members, referencing,
};

use super::{
    action::{Action, ActionFuture},
    common::{group, in_region, is_classic, region, submit, tags, tags_shown, time, vpc_shown},
    filters::{has_tags, is_like, one_of},
    pagination::{self, Window},
    parameter::{
        CLIENT_TOKEN, DRY_RUN, GROUP, Parameter, REGION, RESOURCE_GROUP, TAG_FILTER, TAGS, boolean, integer,
        pages, refused_unless, text, texts, without_effect,
    },
    permission,
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response, params::Fields};

/// The maximum number of groups whose references one call returns.
const MOST_REFERENCES: usize = 10;
/// The owner of everything here: the vendor has accounts, a host has none.
const ACCOUNT: &str = "0";

const LABEL: &[Parameter] = &[text("SecurityGroupName", ""), text("Description", "")];
const KIND: Parameter =
    text("SecurityGroupType", "`normal` or `enterprise`; default of a new group: `normal`");

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateSecurityGroup",
        about: "Creates a group.",
        role: KeyRole::Editor,
        handler: create,
        parameters: &[
            &[REGION, CLIENT_TOKEN],
            LABEL,
            &[text("VpcId", "none: the classic network"), KIND],
            TAGS,
            &[
                RESOURCE_GROUP,
                refused_unless("ServiceManaged", "false", "no group is managed by a service here"),
            ],
        ],
    },
    Action {
        name: "DescribeSecurityGroups",
        about: "Lists groups.",
        role: KeyRole::Viewer,
        handler: describe,
        parameters: &[
            &[
                REGION,
                text("SecurityGroupId", ""),
                texts("SecurityGroupIds", ""),
                text("SecurityGroupName", ""),
                boolean(
                    "FuzzyQuery",
                    "whether `SecurityGroupName` may be a part of a name, and `*` in it stands for any text",
                ),
                text("VpcId", ""),
                KIND,
                text("NetworkType", "`vpc` or `classic`"),
                boolean("ServiceManaged", "no group is"),
                DRY_RUN,
            ],
            TAG_FILTER,
            pages!(100),
            &[RESOURCE_GROUP, without_effect("IsQueryEcsCount", "what it asks for is always there")],
        ],
    },
    Action {
        name: "DescribeSecurityGroupAttribute",
        about: "Shows a group with its rules.",
        role: KeyRole::Viewer,
        handler: describe_attribute,
        parameters: &[&[
            REGION,
            GROUP,
            text("Direction", "`ingress`, `egress` or `all`; default `all`"),
            text("NicType", "`internet` or `intranet`; only in the classic network"),
            integer("MaxResults", "10 to 1000 rules; default 500"),
            text("NextToken", "of the previous page"),
            refused_unless(
                "Attribute",
                "snapshotPolicyIds",
                "there is no such attribute, or it is always there",
            ),
        ]],
    },
    Action {
        name: "DescribeSecurityGroupReferences",
        about: "Lists the groups whose rules name these groups.",
        role: KeyRole::Viewer,
        handler: describe_references,
        parameters: &[&[REGION, texts("SecurityGroupId", "1 to 10 ids").required()]],
    },
    Action {
        name: "ModifySecurityGroupAttribute",
        about: "Changes the name or description of a group.",
        role: KeyRole::Editor,
        handler: modify,
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP], LABEL],
    },
    Action {
        name: "ModifySecurityGroupPolicy",
        about: "Changes whether members of a basic group can reach each other.",
        role: KeyRole::Editor,
        handler: modify_policy,
        parameters: &[&[
            REGION,
            CLIENT_TOKEN,
            GROUP,
            text("InnerAccessPolicy", "`Accept` or `Drop`").required(),
        ]],
    },
    Action {
        name: "DeleteSecurityGroup",
        about: "Deletes a group without members that no rule names.",
        role: KeyRole::Editor,
        handler: delete,
        parameters: &[&[REGION, CLIENT_TOKEN, GROUP]],
    },
];

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let region = region(call)?;
        let vpc = fields.text("VpcId").map(VpcId::from);
        let state = ecs.service.snapshot();
        if let Some(id) = &vpc
            && state.vpc(id).is_none_or(|vpc| vpc.region != region)
        {
            return Err(Fault::not_found("InvalidVpcId.NotFound", "Specified VPC does not exist."));
        }
        let operation = CreateGroup {
            label: NewLabel {
                name: fields.text("SecurityGroupName").unwrap_or_default().to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region.to_owned(),
            vpc: vpc.map(|vpc| vpc.to_string()),
            kind: kind(&fields)?.unwrap_or_default(),
            inner_access: None,
            // Groups that are made through the cloud's API have no rules.
            template: GroupTemplate::None,
        };
        let group = submit(ecs, call, ErrorContext::Group, operation).await?;
        Response::of(&json!({ "SecurityGroupId": group.id }))
    })
}

fn kind(fields: &Fields<'_>) -> Result<Option<GroupType>, Fault> {
    match fields.text("SecurityGroupType") {
        None => Ok(None),
        Some("normal") => Ok(Some(GroupType::Basic)),
        Some("enterprise") => Ok(Some(GroupType::Enterprise)),
        Some(_) => Err(Fault::bad("InvalidParams.GroupType", "Group type must be normal or enterprise.")),
    }
}

const fn kind_shown(kind: GroupType) -> &'static str {
    match kind {
        GroupType::Basic => "normal",
        GroupType::Enterprise => "enterprise",
        // The vendor has no such type: whoever reads it as one of the others would expect what it does not do.
        GroupType::Closed => "closed",
    }
}

/// The conditions that a listed group meets.
struct Filter<'a> {
    id: Option<&'a str>,
    ids: Vec<Cow<'a, str>>,
    name: Option<&'a str>,
    fuzzy: bool,
    vpc: Option<&'a str>,
    kind: Option<GroupType>,
    in_vpc: Option<bool>,
    managed: bool,
}

impl<'a> Filter<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Fault> {
        let in_vpc = one_of(fields, "NetworkType", &["vpc", "classic"])?.map(|network| network == "vpc");
        Ok(Self {
            id: fields.text("SecurityGroupId"),
            ids: fields.list("SecurityGroupIds")?,
            name: fields.text("SecurityGroupName"),
            fuzzy: fields.boolean("FuzzyQuery")?.unwrap_or(false),
            vpc: fields.text("VpcId"),
            kind: kind(fields)?,
            in_vpc,
            managed: fields.boolean("ServiceManaged")?.unwrap_or(false),
        })
    }

    fn admits(&self, group: &Group) -> bool {
        let name = |wanted: &str| {
            let name = group.label.name.as_str();
            if self.fuzzy { is_like(&format!("*{wanted}*"), name) } else { name == wanted }
        };
        // No group is, so that a list of managed ones is empty.
        !self.managed
            && self.id.is_none_or(|id| id == group.id.as_str())
            && (self.ids.is_empty() || self.ids.iter().any(|id| id == group.id.as_str()))
            && self.name.is_none_or(name)
            && self.vpc.is_none_or(|vpc| group.vpc.as_ref().is_some_and(|id| id.as_str() == vpc))
            && self.kind.is_none_or(|kind| group.kind == kind)
            && self.in_vpc.is_none_or(|in_vpc| is_classic(group) != in_vpc)
    }
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let region = region(call)?;
        let (filter, tagged) = (Filter::read(&fields)?, has_tags(&fields)?);
        let window = Window::read(call, 100)?;
        let state = ecs.service.snapshot();
        let groups = state.groups().values();
        let admits = |group: &Group| group.region == region && tagged(&group.label) && filter.admits(group);
        let found: Vec<&Arc<Group>> = groups.filter(|group| admits(group)).collect();
        let (page, mut response) = window.of(&found, |group| group.id.to_string());
        let groups: Vec<Value> = page.iter().map(|group| summary(&state, group)).collect();
        response.insert("RegionId".to_owned(), region.into());
        response.insert("SecurityGroups".to_owned(), json!({ "SecurityGroup": groups }));
        Response::of(&response)
    })
}

fn summary(state: &State, group: &Group) -> Value {
    let instances: BTreeSet<_> = state.nics_of(&group.id).filter_map(|nic| nic.instance.as_ref()).collect();
    let (allowed, there) = members(state, group);
    let names_group = |remote: &Remote| matches!(remote, Remote::Group(_));
    json!({
        "SecurityGroupId": group.id,
        "SecurityGroupName": group.label.name,
        "Description": group.label.description,
        "SecurityGroupType": kind_shown(group.kind),
        "VpcId": vpc_shown(group.vpc.as_ref()),
        "CreationTime": time(group.label.created),
        "ResourceGroupId": "",
        "ServiceManaged": false,
        "ServiceID": 0,
        "EcsCount": instances.len(),
        "AvailableInstanceAmount": allowed.saturating_sub(there),
        "RuleCount": state.rules_of(&group.id).count(),
        "GroupToGroupRuleCount": state.rules_of(&group.id).filter(|rule| names_group(&rule.spec.matches.remote)).count(),
        "Tags": tags_shown(&group.label),
    })
}

fn describe_attribute<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let state = ecs.service.snapshot();
        let group = group(&state, call)?;
        let direction = match one_of(&fields, "Direction", &["all", "ingress", "egress"])? {
            Some("ingress") => Some(Direction::Ingress),
            Some("egress") => Some(Direction::Egress),
            _ => None,
        };
        let nic_type = match one_of(&fields, "NicType", &["internet", "intranet"])? {
            Some("internet") => Some(NicType::Internet),
            Some(_) => Some(NicType::Intranet),
            None => None,
        };
        let most = fields.integer::<usize>("MaxResults")?.unwrap_or(500);
        if !(10..=1000).contains(&most) {
            return Err(Fault::malformed("MaxResults", "10 to 1000 is expected"));
        }
        let after = match pagination::after(call)? {
            None => None,
            Some(serial) => Some(serial.parse::<u64>().map_err(|_| pagination::no_token())?),
        };
        let rules = state.rules_of(&group.id).filter(|rule| {
            direction.is_none_or(|wanted| rule.direction == wanted)
                && (!is_classic(&group) || nic_type.is_none_or(|wanted| rule.spec.nic_type == wanted))
                && after.is_none_or(|after| rule.serial > after)
        });
        let mut rules: Vec<_> = rules.take(most + 1).collect();
        let more = rules.len() > most;
        rules.truncate(most);
        let next = rules
            .last()
            .filter(|_| more)
            .map_or_else(String::new, |rule| pagination::token(&call.action, &rule.serial.to_string()));
        let permissions: Vec<Value> = rules.iter().map(|rule| permission::shown(&state, rule)).collect();
        Response::of(&json!({
            "RegionId": group.region,
            "SecurityGroupId": group.id,
            "SecurityGroupName": group.label.name,
            "Description": group.label.description,
            "VpcId": vpc_shown(group.vpc.as_ref()),
            "InnerAccessPolicy": if group.inner_access { "Accept" } else { "Drop" },
            "NextToken": next,
            "SnapshotPolicyIds": { "SnapshotPolicyId": [] },
            "Permissions": { "Permission": permissions },
        }))
    })
}

fn describe_references<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let region = region(call)?;
        let fields = call.fields();
        let ids = fields.list("SecurityGroupId")?;
        if !(1..=MOST_REFERENCES).contains(&ids.len()) {
            let message = format!("1 to {MOST_REFERENCES} SecurityGroupId.N are expected.");
            return Err(Fault::bad("InvalidSecurityGroupId.Malformed", message));
        }
        let state = ecs.service.snapshot();
        let mut references = Vec::new();
        for id in &ids {
            let id = &in_region(&state, region, id)?.id;
            let by: BTreeSet<GroupId> = referencing(&state, id).collect();
            let by: Vec<Value> =
                by.iter().map(|by| json!({ "SecurityGroupId": by, "AliUid": ACCOUNT })).collect();
            if !by.is_empty() {
                let by = json!({ "ReferencingSecurityGroup": by });
                references.push(json!({ "SecurityGroupId": id, "ReferencingSecurityGroups": by }));
            }
        }
        Response::of(&json!({ "SecurityGroupReferences": { "SecurityGroupReference": references } }))
    })
}

fn modify<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let group = group(&ecs.service.snapshot(), call)?;
        let label = LabelChange {
            name: fields.text("SecurityGroupName").map(str::to_owned),
            description: fields.text("Description").map(str::to_owned),
            tags: None,
        };
        if label != LabelChange::default() {
            let operation = ModifyGroup { group: group.id.to_string(), label, inner_access: None };
            submit(ecs, call, ErrorContext::Group, operation).await?;
        }
        Ok(Response::done())
    })
}

fn modify_policy<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let group = group(&ecs.service.snapshot(), call)?;
        let inner_access = match call.fields().required("InnerAccessPolicy")? {
            text if text.eq_ignore_ascii_case("accept") => true,
            text if text.eq_ignore_ascii_case("drop") => false,
            _ => {
                let message =
                    "The specified parameter \"InnerAccessPolicy\" is not valid: Accept or Drop is expected.";
                return Err(Fault::bad("InvalidPolicy.Malformed", message));
            }
        };
        let operation = ModifyGroup {
            group: group.id.to_string(),
            label: LabelChange::default(),
            inner_access: Some(inner_access),
        };
        submit(ecs, call, ErrorContext::Group, operation).await?;
        Ok(Response::done())
    })
}

fn delete<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let found = group(&ecs.service.snapshot(), call);
        let group = found.map_err(|fault| {
            if fault.code == "InvalidSecurityGroupId.NotFound" {
                fault.named("InvalidSecurityGroup.NotFound")
            } else {
                fault
            }
        })?;
        let operation = DeleteGroups { groups: vec![group.id.to_string()] };
        submit(ecs, call, ErrorContext::Deletion, operation).await?;
        Ok(Response::done())
    })
}
