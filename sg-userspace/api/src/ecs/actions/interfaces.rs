//! The list of network interfaces, and how one is shown. It must never change them: `attachment` and `membership` do.

use std::net::IpAddr;

use serde_json::{Value, json};
use sg_records::{KeyRole, Nic};
use sg_service::HostDevices;

use super::{
    action::{Action, ActionFuture},
    common::{ZONE, region, tags_shown, time, vpc_shown, vswitch},
    filters::{address, addresses, has_one, has_tags, one_of},
    pagination::Window,
    parameter::{REGION, RESOURCE_GROUP, TAG_FILTER, boolean, integer, pages, text, texts},
};
use crate::ecs::{Call, Ecs, Response};

pub(super) const ACTIONS: &[Action] = &[Action {
    name: "DescribeNetworkInterfaces",
    about: "Lists NICs, which are registered with `sgctl` or `CreateNetworkInterface`.",
    role: KeyRole::Viewer,
    handler: describe_interfaces,
    parameters: &[
        &[
            REGION,
            texts("NetworkInterfaceId", ""),
            text("NetworkInterfaceName", ""),
            text("InstanceId", ""),
            text("SecurityGroupId", ""),
            text("VpcId", ""),
            text("VSwitchId", "that of its VPC"),
            text("Type", "`Primary` or `Secondary`"),
            text("Status", "`InUse`: of an instance; `Available`: of none; or another of the cloud's states"),
            text("PrimaryIpAddress", "the first IPv4 address"),
            texts("PrivateIpAddress", "any IPv4 address"),
            texts("Ipv6Address", ""),
            boolean("ServiceManaged", "no NIC is"),
        ],
        TAG_FILTER,
        pages!(500),
        &[RESOURCE_GROUP],
    ],
}];

const TYPES: &[&str] = &[PRIMARY, SECONDARY, "Member", "Trunk"];
const PRIMARY: &str = "Primary";
const SECONDARY: &str = "Secondary";
const STATES: &[&str] =
    &[IN_USE, AVAILABLE, "Attaching", "Detaching", "Creating", "Deleting", "CreateFailed"];
const IN_USE: &str = "InUse";
const AVAILABLE: &str = "Available";

const fn status(nic: &Nic) -> &'static str {
    if nic.instance.is_some() { IN_USE } else { AVAILABLE }
}

pub(super) const fn kind(nic: &Nic) -> &'static str {
    if nic.primary { PRIMARY } else { SECONDARY }
}

pub(super) fn first_v4(addresses: &[IpAddr]) -> String {
    addresses.iter().find(|address| address.is_ipv4()).map_or_else(String::new, ToString::to_string)
}

pub(super) fn private(addresses: &[IpAddr]) -> Value {
    let mut primary = true;
    let v4 = addresses.iter().filter(|address| address.is_ipv4()).map(|address| {
        let shown = json!({ "PrivateIpAddress": address, "Primary": primary });
        primary = false;
        shown
    });
    json!({ "PrivateIpSet": v4.collect::<Vec<_>>() })
}

pub(super) fn v6(addresses: &[IpAddr]) -> Value {
    let v6 = addresses.iter().filter(|address| address.is_ipv6());
    json!({ "Ipv6Set": v6.map(|address| json!({ "Ipv6Address": address })).collect::<Vec<_>>() })
}

fn describe_interfaces<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 500)?);
        let (ids, name) = (fields.list("NetworkInterfaceId")?, fields.text("NetworkInterfaceName"));
        let (instance, group) = (fields.text("InstanceId"), fields.text("SecurityGroupId"));
        let (vpc, wanted_vswitch) = (fields.text("VpcId"), fields.text("VSwitchId"));
        let (wanted, wanted_status) = (one_of(&fields, "Type", TYPES)?, one_of(&fields, "Status", STATES)?);
        let first = address(&fields, "PrimaryIpAddress")?;
        let (any, any_v6) = (addresses(&fields, "PrivateIpAddress")?, addresses(&fields, "Ipv6Address")?);
        // None is, so that a list of those that are is empty.
        let is_managed = fields.boolean("ServiceManaged")?.unwrap_or(false);
        let tagged = has_tags(&fields)?;
        let (state, devices) = (ecs.service.snapshot(), ecs.service.devices());
        let admits = |nic: &Nic| {
            let there = devices.addresses_of(nic);
            !is_managed
                && nic.region == region
                && (ids.is_empty() || ids.iter().any(|id| id == nic.id.as_str()))
                && name.is_none_or(|wanted| nic.label.name == wanted)
                && instance.is_none_or(|wanted| nic.instance.as_ref().is_some_and(|id| id.as_str() == wanted))
                && group.is_none_or(|wanted| nic.groups.iter().any(|held| held.as_str() == wanted))
                && vpc.is_none_or(|wanted| vpc_shown(nic.vpc.as_ref()) == wanted)
                && wanted_vswitch.is_none_or(|wanted| vswitch(nic.vpc.as_ref()) == wanted)
                && wanted.is_none_or(|wanted| kind(nic) == wanted)
                && wanted_status.is_none_or(|wanted| status(nic) == wanted)
                && first.is_none_or(|wanted| there.iter().find(|address| address.is_ipv4()) == Some(&wanted))
                && has_one(&any, &there)
                && has_one(&any_v6, &there)
                && tagged(&nic.label)
        };
        let found: Vec<_> = state.nics().values().filter(|nic| admits(nic)).collect();
        let (page, mut response) = window.of(&found, |nic| nic.id.to_string());
        let nics: Vec<Value> = page.iter().map(|nic| interface_shown(&devices, nic)).collect();
        response.insert("NetworkInterfaceSets".to_owned(), json!({ "NetworkInterfaceSet": nics }));
        Response::of(&response)
    })
}

pub(super) fn interface_shown(devices: &HostDevices, nic: &Nic) -> Value {
    let addresses = devices.addresses_of(nic);
    let instance = nic.instance.as_ref().map_or("", |id| id.as_str());
    json!({
        "NetworkInterfaceId": nic.id,
        "NetworkInterfaceName": nic.label.name,
        "Description": nic.label.description,
        "CreationTime": time(nic.label.created),
        "InstanceId": instance,
        "Attachment": { "InstanceId": instance, "TrunkNetworkInterfaceId": "" },
        "VpcId": vpc_shown(nic.vpc.as_ref()),
        "VSwitchId": vswitch(nic.vpc.as_ref()),
        "ZoneId": ZONE,
        "MacAddress": devices.mac_of(nic).map(String::from).unwrap_or_default(),
        "SecurityGroupIds": { "SecurityGroupId": nic.groups },
        "PrivateIpAddress": first_v4(&addresses),
        "PrivateIpSets": private(&addresses),
        "Ipv6Sets": v6(&addresses),
        "Status": status(nic),
        "ServiceManaged": false,
        "Type": kind(nic),
        "Tags": tags_shown(&nic.label),
    })
}
