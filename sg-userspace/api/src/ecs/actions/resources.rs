//! Read-only actions on regions, VPCs, instances and network interfaces, which are managed elsewhere: clients list them to find
//! what to put into a group.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};
use sg_records::{Instance, KeyRole, Label, Nic, Vpc, VpcId};
use sg_service::State;

use super::{
    action::{Action, ActionFuture, REGION, TAGS, integer, pages, text, texts},
    common::{region, tags, tags_shown, time},
    pagination::Window,
};
use crate::ecs::{Call, Ecs, Fault, Response, params::Fields};

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeRegions",
        about: "Lists the regions. The first one is that of `--region`.",
        role: KeyRole::Viewer,
        handler: describe_regions,
        parameters: &[],
    },
    Action {
        name: "DescribeVpcs",
        about: "Lists VPCs. This is an action of the cloud's VPC API, version 2016-04-28.",
        role: KeyRole::Viewer,
        handler: describe_vpcs,
        parameters: &[
            &[REGION, text("VpcId", "one id, or several separated by commas"), text("VpcName", "")],
            TAGS,
            pages!(50),
        ],
    },
    Action {
        name: "DescribeInstances",
        about: "Lists instances, which are registered with `sgctl`.",
        role: KeyRole::Viewer,
        handler: describe_instances,
        parameters: &[
            &[
                REGION,
                texts("InstanceIds", ""),
                text("InstanceName", ""),
                text("VpcId", ""),
                text("SecurityGroupId", ""),
            ],
            TAGS,
            pages!(100),
        ],
    },
    Action {
        name: "DescribeNetworkInterfaces",
        about: "Lists NICs, which are registered with `sgctl`.",
        role: KeyRole::Viewer,
        handler: describe_interfaces,
        parameters: &[
            &[
                REGION,
                texts("NetworkInterfaceId", ""),
                text("InstanceId", ""),
                text("SecurityGroupId", ""),
                text("VpcId", ""),
                text("Type", "`Primary` or `Secondary`"),
                text("PrimaryIpAddress", ""),
                texts("PrivateIpAddress", ""),
            ],
            TAGS,
            pages!(500),
        ],
    },
];

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

/// `Tag.N` as a filter.
fn has_tags(fields: &Fields<'_>) -> Result<impl Fn(&Label) -> bool + use<>, Fault> {
    let wanted = tags(fields)?;
    let has = move |label: &Label| wanted.iter().all(|(key, value)| label.tags.get(key) == Some(value));
    Ok(has)
}

fn describe_vpcs<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(&fields, 50)?);
        let (id, name, tagged) = (fields.text("VpcId"), fields.text("VpcName"), has_tags(&fields)?);
        let state = ecs.service.snapshot();
        let admits = |vpc: &Vpc| {
            // One may have several ids, separated by commas.
            vpc.region == region
                && id.is_none_or(|ids| ids.split(',').any(|id| id == vpc.id.as_str()))
                && name.is_none_or(|name| vpc.label.name == name)
                && tagged(&vpc.label)
        };
        let found: Vec<_> = state.vpcs().values().filter(|vpc| admits(vpc)).collect();
        let (page, mut response) = window.of(&found, |vpc| vpc.id.to_string())?;
        let shown = |vpc: &Vpc| {
            json!({
                "VpcId": vpc.id,
                "VpcName": vpc.label.name,
                "RegionId": vpc.region,
                "Description": vpc.label.description,
                "CreationTime": time(vpc.label.created),
                "Status": "Available",
                "CidrBlock": "",
                "VSwitchIds": { "VSwitchId": [] },
                "Tags": tags_shown(&vpc.label),
            })
        };
        let vpcs: Vec<Value> = page.iter().map(|vpc| shown(vpc)).collect();
        response.insert("Vpcs".to_owned(), json!({ "Vpc": vpcs }));
        Response::of(&response)
    })
}

fn vpc_shown(vpc: Option<&VpcId>) -> &str {
    vpc.map_or("", VpcId::as_str)
}

fn describe_instances<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(&fields, 100)?);
        let (ids, group) = (fields.list("InstanceIds")?, fields.text("SecurityGroupId"));
        let (vpc, name, tagged) = (fields.text("VpcId"), fields.text("InstanceName"), has_tags(&fields)?);
        let state = ecs.service.snapshot();
        let admits = |instance: &Instance| {
            let holds = |group: &str| {
                let mut nics = state.nics_of_instance(&instance.id);
                nics.any(|nic| nic.primary && nic.groups.iter().any(|held| held.as_str() == group))
            };
            instance.region == region
                && (ids.is_empty() || ids.iter().any(|id| id == instance.id.as_str()))
                && vpc.is_none_or(|vpc| vpc_shown(instance.vpc.as_ref()) == vpc)
                && name.is_none_or(|name| instance.label.name == name)
                && tagged(&instance.label)
                && group.is_none_or(holds)
        };
        let found: Vec<_> = state.instances().values().filter(|instance| admits(instance)).collect();
        let (page, mut response) = window.of(&found, |instance| instance.id.to_string())?;
        let instances: Vec<Value> = page.iter().map(|instance| instance_shown(&state, instance)).collect();
        response.insert("Instances".to_owned(), json!({ "Instance": instances }));
        Response::of(&response)
    })
}

fn instance_shown(state: &State, instance: &Instance) -> Value {
    let nics: Vec<&Nic> = state.nics_of_instance(&instance.id).map(AsRef::as_ref).collect();
    let primary = nics.iter().find(|nic| nic.primary);
    let addresses: Vec<IpAddr> = primary.map(|nic| nic.addresses.clone()).unwrap_or_default();
    let interfaces: Vec<Value> = nics
        .iter()
        .map(|nic| {
            json!({
                "NetworkInterfaceId": nic.id,
                "MacAddress": nic.senders.mac.map(String::from).unwrap_or_default(),
                "PrimaryIpAddress": first_v4(&nic.addresses),
                "Type": kind(nic),
                "PrivateIpSets": private(&nic.addresses),
                "Ipv6Sets": v6(&nic.addresses),
            })
        })
        .collect();
    json!({
        "InstanceId": instance.id,
        "InstanceName": instance.label.name,
        "HostName": instance.label.name,
        "Description": instance.label.description,
        "RegionId": instance.region,
        "ZoneId": "",
        "Status": "Running",
        "CreationTime": time(instance.label.created),
        "InstanceNetworkType": if instance.vpc.is_some() { "vpc" } else { "classic" },
        "SecurityGroupIds": { "SecurityGroupId": primary.map(|nic| &nic.groups[..]).unwrap_or_default() },
        "VpcAttributes": {
            "VpcId": vpc_shown(instance.vpc.as_ref()),
            "VSwitchId": "",
            "NatIpAddress": "",
            "PrivateIpAddress": { "IpAddress": addresses },
        },
        "InnerIpAddress": { "IpAddress": [] },
        "PublicIpAddress": { "IpAddress": [] },
        "EipAddress": { "IpAddress": "", "AllocationId": "", "InternetChargeType": "" },
        "NetworkInterfaces": { "NetworkInterface": interfaces },
        "Tags": tags_shown(&instance.label),
    })
}

const fn kind(nic: &Nic) -> &'static str {
    if nic.primary { "Primary" } else { "Secondary" }
}

fn first_v4(addresses: &[IpAddr]) -> String {
    addresses.iter().find(|address| address.is_ipv4()).map_or_else(String::new, ToString::to_string)
}

fn private(addresses: &[IpAddr]) -> Value {
    let mut primary = true;
    let v4 = addresses.iter().filter(|address| address.is_ipv4()).map(|address| {
        let shown = json!({ "PrivateIpAddress": address, "Primary": primary });
        primary = false;
        shown
    });
    json!({ "PrivateIpSet": v4.collect::<Vec<_>>() })
}

fn v6(addresses: &[IpAddr]) -> Value {
    let v6 = addresses.iter().filter(|address| address.is_ipv6());
    json!({ "Ipv6Set": v6.map(|address| json!({ "Ipv6Address": address })).collect::<Vec<_>>() })
}

fn describe_interfaces<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(&fields, 500)?);
        let ids = fields.list("NetworkInterfaceId")?;
        let (instance, group) = (fields.text("InstanceId"), fields.text("SecurityGroupId"));
        let (vpc, wanted, tagged) = (fields.text("VpcId"), fields.text("Type"), has_tags(&fields)?);
        let address = fields.text("PrimaryIpAddress");
        let addresses = fields.list("PrivateIpAddress")?;
        let state = ecs.service.snapshot();
        let admits = |nic: &Nic| {
            let has = |wanted: &str| nic.addresses.iter().any(|address| address.to_string() == wanted);
            nic.region == region
                && (ids.is_empty() || ids.iter().any(|id| id == nic.id.as_str()))
                && instance.is_none_or(|wanted| nic.instance.as_ref().is_some_and(|id| id.as_str() == wanted))
                && group.is_none_or(|wanted| nic.groups.iter().any(|held| held.as_str() == wanted))
                && vpc.is_none_or(|wanted| vpc_shown(nic.vpc.as_ref()) == wanted)
                && wanted.is_none_or(|wanted| kind(nic) == wanted)
                && address.is_none_or(|wanted| first_v4(&nic.addresses) == wanted)
                && (addresses.is_empty() || addresses.iter().any(|wanted| has(wanted)))
                && tagged(&nic.label)
        };
        let found: Vec<_> = state.nics().values().filter(|nic| admits(nic)).collect();
        let (page, mut response) = window.of(&found, |nic| nic.id.to_string())?;
        let nics: Vec<Value> = page.iter().map(|nic| interface_shown(nic)).collect();
        response.insert("NetworkInterfaceSets".to_owned(), json!({ "NetworkInterfaceSet": nics }));
        Response::of(&response)
    })
}

fn interface_shown(nic: &Nic) -> Value {
    let instance = nic.instance.as_ref().map_or("", |id| id.as_str());
    json!({
        "NetworkInterfaceId": nic.id,
        "NetworkInterfaceName": nic.label.name,
        "Description": nic.label.description,
        "CreationTime": time(nic.label.created),
        "InstanceId": instance,
        "Attachment": { "InstanceId": instance, "TrunkNetworkInterfaceId": "" },
        "VpcId": vpc_shown(nic.vpc.as_ref()),
        "VSwitchId": "",
        "ZoneId": "",
        "MacAddress": nic.senders.mac.map(String::from).unwrap_or_default(),
        "SecurityGroupIds": { "SecurityGroupId": nic.groups },
        "PrivateIpAddress": first_v4(&nic.addresses),
        "PrivateIpSets": private(&nic.addresses),
        "Ipv6Sets": v6(&nic.addresses),
        "Status": if nic.instance.is_some() { "InUse" } else { "Available" },
        "Type": kind(nic),
        "Tags": tags_shown(&nic.label),
    })
}
