//! Actions that create and delete VPCs, and list their vSwitches. A VPC here is one network: it has one vSwitch, whose id is made
//! from its own, and the same range of addresses. It must never decide what a VPC may have: the domain does.

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use sg_records::{KeyRole, Vpc, VpcId};
use sg_service::{CreateVpc, DeleteVpc, NewLabel, State, available};

use super::{
    action::{Action, ActionFuture},
    common::{ZONE, region, submit, tags, time, vswitch},
    pagination::Window,
    parameter::{
        CLIENT_TOKEN, DRY_RUN, REGION, RESOURCE_GROUP, TAG_FILTER, TAGS, boolean, integer, pages, refused,
        refused_unless, text,
    },
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response};

/// The range of a VPC that is created without one, as in the cloud.
const DEFAULT_RANGE: &str = "172.16.0.0/12";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateVpc",
        about: "Creates a VPC. This is also an action of the cloud's VPC API, version 2016-04-28.",
        role: KeyRole::Editor,
        handler: create,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("CidrBlock", "the range of which NICs get addresses; default 172.16.0.0/12"),
                text("VpcName", ""),
                text("Description", ""),
                DRY_RUN,
            ],
            TAGS,
            &[
                RESOURCE_GROUP,
                refused("UserCidr", "a VPC has one range of addresses here"),
                refused("Ipv4CidrMask", POOLS),
                refused("Ipv4IpamPoolId", POOLS),
                refused("Ipv6IpamPoolId", POOLS),
                refused("Ipv6CidrMask", POOLS),
                refused_unless("EnableIpv6", "false", V6),
                refused("Ipv6CidrBlock", V6),
                refused("Ipv6Isp", V6),
                refused_unless("EnableDnsHostname", "false", "this server gives nothing a name in DNS"),
            ],
        ],
    },
    Action {
        name: "DeleteVpc",
        about: "Deletes a VPC without groups, instances and NICs. This is also an action of the cloud's VPC API.",
        role: KeyRole::Editor,
        handler: delete,
        parameters: &[&[
            text("RegionId", "that of the VPC"),
            CLIENT_TOKEN,
            text("VpcId", "").required(),
            DRY_RUN,
            refused_unless("ForceDelete", "false", "nothing is deleted with a VPC"),
        ]],
    },
    Action {
        name: "DescribeVSwitches",
        about: "Lists vSwitches: one of each VPC. This is also an action of the cloud's VPC API.",
        role: KeyRole::Viewer,
        handler: describe_vswitches,
        parameters: &[
            &[
                REGION,
                text("VSwitchId", ""),
                text("VSwitchName", "that of the VPC"),
                text("VpcId", ""),
                text("ZoneId", "no vSwitch has one"),
                boolean("IsDefault", "no vSwitch is a default one"),
                DRY_RUN,
            ],
            TAG_FILTER,
            pages!(50),
            &[
                RESOURCE_GROUP,
                refused("EnableIpv6", V6),
                refused("RouteTableId", "there are no route tables here"),
                refused("VSwitchOwnerId", "vSwitches have no account here"),
            ],
        ],
    },
];

const POOLS: &str = "there are no pools of addresses here: name the range itself";
const V6: &str = "the range of a VPC is of IPv4; its NICs may have any IPv6 address";

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (region, fields) = (region(call)?, call.fields());
        let malformed = || {
            Fault::bad("InvalidParameter", "Specified CIDR block is not valid: an IPv4 prefix is expected.")
        };
        let range = fields.text("CidrBlock").unwrap_or(DEFAULT_RANGE);
        let operation = CreateVpc {
            label: NewLabel {
                name: fields.text("VpcName").unwrap_or_default().to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region.to_owned(),
            cidr: Some(range.parse::<Ipv4Net>().map_err(|_| malformed())?),
            ..CreateVpc::default()
        };
        let vpc = submit(ecs, call, ErrorContext::Vpc, operation).await?;
        Response::of(&json!({ "VpcId": vpc.id, "VRouterId": "", "RouteTableId": "", "ResourceGroupId": "" }))
    })
}

fn delete<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, id) = (fields.text("RegionId"), VpcId::from(fields.required("VpcId")?));
        let state = ecs.service.snapshot();
        if state.vpc(&id).is_none_or(|vpc| region.is_some_and(|region| vpc.region != region)) {
            return Err(Fault::not_found("InvalidVpcId.NotFound", "Specified VPC does not exist."));
        }
        submit(ecs, call, ErrorContext::Vpc, DeleteVpc { vpc: id.to_string() }).await?;
        Ok(Response::done())
    })
}

fn describe_vswitches<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 50)?);
        let (id, name) = (fields.text("VSwitchId"), fields.text("VSwitchName"));
        let (vpc, zone) = (fields.text("VpcId"), fields.text("ZoneId"));
        let is_default = fields.boolean("IsDefault")?.unwrap_or(false);
        // A VPC's tags are not its vSwitch's.
        let tagged = tags(&fields)?.is_empty();
        let state = ecs.service.snapshot();
        let admits = |found: &Vpc| {
            tagged
                && !is_default
                && found.region == region
                && id.is_none_or(|id| vswitch(Some(&found.id)) == id)
                && name.is_none_or(|name| found.label.name == name)
                && vpc.is_none_or(|vpc| found.id.as_str() == vpc)
                && zone.is_none_or(|zone| zone == ZONE)
        };
        let found: Vec<_> = state.vpcs().values().filter(|vpc| admits(vpc)).collect();
        let (page, mut response) = window.of(&found, |vpc| vpc.id.to_string());
        let vswitches: Vec<Value> = page.iter().map(|vpc| vswitch_shown(&state, vpc)).collect();
        response.insert("VSwitches".to_owned(), json!({ "VSwitch": vswitches }));
        Response::of(&response)
    })
}

fn vswitch_shown(state: &State, vpc: &Vpc) -> Value {
    json!({
        "VSwitchId": vswitch(Some(&vpc.id)),
        "VSwitchName": vpc.label.name,
        "VpcId": vpc.id,
        "ZoneId": ZONE,
        "Status": "Available",
        "CidrBlock": range_shown(vpc),
        "AvailableIpAddressCount": available(state, vpc),
        "Description": "",
        "CreationTime": time(vpc.label.created),
        "IsDefault": false,
        "ResourceGroupId": "",
        "Tags": { "Tag": [] },
    })
}

/// The range of a VPC's addresses; blank if it has none.
pub(super) fn range_shown(vpc: &Vpc) -> String {
    vpc.cidr.map(|range| range.to_string()).unwrap_or_default()
}
