//! The lists of regions and VPCs. It must never change them: `vpcs` does.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sg_records::{KeyRole, Vpc};

use super::{
    action::{Action, ActionFuture},
    common::{region, tags_shown, time, vswitch},
    filters::has_tags,
    pagination::Window,
    parameter::{
        DRY_RUN, REGION, RESOURCE_GROUP, TAG_FILTER, boolean, integer, pages, refused, refused_unless, text,
        without_effect,
    },
    vpcs::range_shown,
};
use crate::ecs::{Call, Ecs, Response, call::VPC_VERSION};

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeRegions",
        about: "Lists the regions. The first one is that of `--region`.",
        role: KeyRole::Viewer,
        handler: describe_regions,
        parameters: &[&[
            without_effect("RegionId", "the older Python SDK adds its own region to every request"),
            without_effect("AcceptLanguage", "the name of a region has no translation"),
            refused_unless("ResourceType", "instance", OFFERS),
            refused("InstanceChargeType", OFFERS),
            refused("ProductType", OFFERS),
        ]],
    },
    Action {
        name: "DescribeVpcs",
        about: "Lists VPCs. This is also an action of the cloud's VPC API, version 2016-04-28.",
        role: KeyRole::Viewer,
        handler: describe_vpcs,
        parameters: &[
            &[
                REGION,
                text("VpcId", "one id, or several separated by commas"),
                text("VpcName", ""),
                boolean("IsDefault", "no VPC is a default one"),
                DRY_RUN,
            ],
            TAG_FILTER,
            pages!(50),
            &[
                RESOURCE_GROUP,
                refused("EnableIpv6", "VPCs have no IPv6 ranges here"),
                refused("DhcpOptionsSetId", "there are no DHCP options sets here"),
                refused("VpcOwnerId", "VPCs have no account here"),
            ],
        ],
    },
];

/// What the cloud sells where.
const OFFERS: &str = "regions have no offers to select them by";

fn describe_regions<'a>(ecs: &'a Ecs, _: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let mut ids: BTreeSet<&str> = ecs.regions.iter().map(|region| region.id.as_str()).collect();
        ids.extend(state.vpcs().values().map(|vpc| vpc.region.as_str()));
        let endpoint = ecs.regions.first().map_or("", |region| region.endpoint.as_str());
        let shown = |id: &str| {
            let known = ecs.regions.iter().find(|region| region.id == id);
            let endpoint = known.map_or(endpoint, |region| region.endpoint.as_str());
            json!({
                "RegionId": id,
                "RegionEndpoint": endpoint,
                "LocalName": known.map_or(id, |region| region.name.as_str()),
            })
        };
        let regions: Vec<Value> = ids.into_iter().map(shown).collect();
        Response::of(&json!({ "Regions": { "Region": regions } }))
    })
}

/// The tags of a VPC, in the words of the API that was asked.
fn tags_of(call: &Call, vpc: &Vpc) -> Value {
    if call.version != VPC_VERSION {
        return tags_shown(&vpc.label);
    }
    let tags = vpc.label.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    json!({ "Tag": tags.collect::<Vec<_>>() })
}

fn describe_vpcs<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 50)?);
        let (id, name, tagged) = (fields.text("VpcId"), fields.text("VpcName"), has_tags(&fields)?);
        // None is, so that a list of default ones is empty.
        let is_default = fields.boolean("IsDefault")?.unwrap_or(false);
        let state = ecs.service.snapshot();
        let admits = |vpc: &Vpc| {
            // One may have several ids, separated by commas.
            !is_default
                && vpc.region == region
                && id.is_none_or(|ids| ids.split(',').any(|id| id == vpc.id.as_str()))
                && name.is_none_or(|name| vpc.label.name == name)
                && tagged(&vpc.label)
        };
        let found: Vec<_> = state.vpcs().values().filter(|vpc| admits(vpc)).collect();
        let (page, mut response) = window.of(&found, |vpc| vpc.id.to_string());
        let shown = |vpc: &Vpc| {
            json!({
                "VpcId": vpc.id,
                "VpcName": vpc.label.name,
                "RegionId": vpc.region,
                "Description": vpc.label.description,
                "CreationTime": time(vpc.label.created),
                "Status": "Available",
                "IsDefault": false,
                "CidrBlock": range_shown(vpc),
                "VSwitchIds": { "VSwitchId": [vswitch(Some(&vpc.id))] },
                "Tags": tags_of(call, vpc),
            })
        };
        let vpcs: Vec<Value> = page.iter().map(|vpc| shown(vpc)).collect();
        response.insert("Vpcs".to_owned(), json!({ "Vpc": vpcs }));
        Response::of(&response)
    })
}
