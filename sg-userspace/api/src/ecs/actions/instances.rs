//! Actions on instances, which are registered elsewhere: clients list them to find what to put into a group. It must never
//! change them.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Value, json};
use sg_records::{Instance, KeyRole, Nic};
use sg_service::{HostDevices, State};

use super::{
    action::{Action, ActionFuture},
    common::{ZONE, region, tags_shown, time, vpc_shown, vswitch},
    filters::{addresses, has_one, has_tags, is_like, one_of},
    interfaces::{first_v4, kind, private, v6},
    pagination::Window,
    parameter::{
        DRY_RUN, Parameter, REGION, RESOURCE_GROUP, TAG_FILTER, integer, list_of, pages, refused,
        refused_unless, text, texts, without_effect,
    },
};
use crate::ecs::{Call, Ecs, Fault, Response, params::Fields};

pub(super) const ACTIONS: &[Action] = &[Action {
    name: "DescribeInstances",
    about: "Lists instances, which are registered with `sgctl`.",
    role: KeyRole::Viewer,
    handler: describe_instances,
    parameters: &[
        &[
            REGION,
            texts("InstanceIds", ""),
            text("InstanceName", "`*` stands for any text"),
            text("Status", "`Running`, as all instances are, or another of the cloud's states"),
            text("VpcId", ""),
            text("VSwitchId", "that of its VPC"),
            text("ZoneId", "no instance has one"),
            text("InstanceNetworkType", "`vpc` or `classic`"),
            text("SecurityGroupId", "of the primary NIC"),
            texts("PrivateIpAddresses", "of instances in a VPC; any NIC"),
            texts("InnerIpAddresses", "of instances in the classic network; any NIC"),
            texts("Ipv6Address", "of any NIC"),
            DRY_RUN,
        ],
        TAG_FILTER,
        pages!(100),
        UNKNOWN,
    ],
}];

const PUBLIC: &str = "instances have no addresses of this kind here, only those of their NICs";
const MACHINE: &str = "this server does not know the machine behind an instance";
const SOLD: &str = "nothing is sold here";

/// What instances of the cloud have, and those here do not.
const UNKNOWN: &[Parameter] = &[
    RESOURCE_GROUP,
    refused("PublicIpAddresses", PUBLIC),
    refused("EipAddresses", PUBLIC),
    refused("RdmaIpAddresses", PUBLIC),
    refused("ImageId", MACHINE),
    refused("InstanceType", MACHINE),
    refused("InstanceTypeFamily", MACHINE),
    refused("IoOptimized", MACHINE),
    refused("KeyPairName", MACHINE),
    refused("HpcClusterId", MACHINE),
    refused("HttpEndpoint", MACHINE),
    refused("HttpPutResponseHopLimit", MACHINE),
    refused("HttpTokens", MACHINE),
    refused("DeviceAvailable", MACHINE),
    refused("InstanceChargeType", SOLD),
    refused("InternetChargeType", SOLD),
    refused("LockReason", SOLD),
    refused_unless("NeedSaleCycle", "false", SOLD),
    refused("Filter.N.Key", "this server knows none of the cloud's filters by key"),
    refused("Filter.N.Value", "this server knows none of the cloud's filters by key"),
    list_of(without_effect(
        "AdditionalAttributes",
        "it asks for more fields, and a response has all that there are",
    )),
];

/// The states of the cloud's instances.
const STATES: &[&str] = &[RUNNING, "Pending", "Starting", "Stopping", "Stopped"];
/// That of every instance here.
pub(super) const RUNNING: &str = "Running";
const NETWORK_TYPES: &[&str] = &["vpc", "classic"];

/// The conditions that a listed instance meets.
struct Filter<'a> {
    ids: Vec<Cow<'a, str>>,
    name: Option<&'a str>,
    status: Option<&'static str>,
    vpc: Option<&'a str>,
    vswitch: Option<&'a str>,
    zone: Option<&'a str>,
    network: Option<&'static str>,
    group: Option<&'a str>,
    private: Vec<IpAddr>,
    inner: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl<'a> Filter<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Fault> {
        Ok(Self {
            ids: fields.list("InstanceIds")?,
            name: fields.text("InstanceName"),
            status: one_of(fields, "Status", STATES)?,
            vpc: fields.text("VpcId"),
            vswitch: fields.text("VSwitchId"),
            zone: fields.text("ZoneId"),
            network: one_of(fields, "InstanceNetworkType", NETWORK_TYPES)?,
            group: fields.text("SecurityGroupId"),
            private: addresses(fields, "PrivateIpAddresses")?,
            inner: addresses(fields, "InnerIpAddresses")?,
            v6: addresses(fields, "Ipv6Address")?,
        })
    }

    fn admits(&self, state: &State, devices: &HostDevices, instance: &Instance) -> bool {
        let nics = || state.nics_of_instance(&instance.id);
        let holds = |group: &str| {
            nics().any(|nic| nic.primary && nic.groups.iter().any(|held| held.as_str() == group))
        };
        let has = |wanted: &[IpAddr]| nics().any(|nic| has_one(wanted, &devices.addresses_of(nic)));
        (self.ids.is_empty() || self.ids.iter().any(|id| id == instance.id.as_str()))
            && self.name.is_none_or(|name| is_like(name, &instance.label.name))
            && self.status.is_none_or(|status| status == RUNNING)
            && self.vpc.is_none_or(|vpc| vpc_shown(instance.vpc.as_ref()) == vpc)
            && self.vswitch.is_none_or(|wanted| vswitch(instance.vpc.as_ref()) == wanted)
            && self.zone.is_none_or(|zone| zone == ZONE)
            && self.network.is_none_or(|network| network == network_type(instance))
            && self.group.is_none_or(holds)
            && (self.private.is_empty() || instance.vpc.is_some() && has(&self.private))
            && (self.inner.is_empty() || instance.vpc.is_none() && has(&self.inner))
            && (self.v6.is_empty() || has(&self.v6))
    }
}

const fn network_type(instance: &Instance) -> &'static str {
    if instance.vpc.is_some() { "vpc" } else { "classic" }
}

fn describe_instances<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 100)?);
        let (filter, tagged) = (Filter::read(&fields)?, has_tags(&fields)?);
        let (state, devices) = (ecs.service.snapshot(), ecs.service.devices());
        let admits = |instance: &Instance| {
            instance.region == region && tagged(&instance.label) && filter.admits(&state, &devices, instance)
        };
        let found: Vec<_> = state.instances().values().filter(|instance| admits(instance)).collect();
        let (page, mut response) = window.of(&found, |instance| instance.id.to_string());
        let shown = |instance: &Instance| instance_shown(&state, &devices, instance);
        let instances: Vec<Value> = page.iter().map(|instance| shown(instance)).collect();
        response.insert("Instances".to_owned(), json!({ "Instance": instances }));
        Response::of(&response)
    })
}

pub(super) fn instance_shown(state: &State, devices: &HostDevices, instance: &Instance) -> Value {
    let nics: Vec<&Nic> = state.nics_of_instance(&instance.id).map(AsRef::as_ref).collect();
    let primary = nics.iter().find(|nic| nic.primary);
    let addresses = primary.map(|nic| devices.addresses_of(nic).into_owned()).unwrap_or_default();
    let interfaces: Vec<Value> = nics
        .iter()
        .map(|nic| {
            let addresses = devices.addresses_of(nic);
            json!({
                "NetworkInterfaceId": nic.id,
                "MacAddress": devices.mac_of(nic).map(String::from).unwrap_or_default(),
                "PrimaryIpAddress": first_v4(&addresses),
                "Type": kind(nic),
                "PrivateIpSets": private(&addresses),
                "Ipv6Sets": v6(&addresses),
            })
        })
        .collect();
    // Of a VPC's instance they are private, of another one inner.
    let (private, inner) =
        if instance.vpc.is_some() { (addresses, Vec::new()) } else { (Vec::new(), addresses) };
    json!({
        "InstanceId": instance.id,
        "InstanceName": instance.label.name,
        "HostName": instance.label.name,
        "Description": instance.label.description,
        "RegionId": instance.region,
        "ZoneId": ZONE,
        "Status": RUNNING,
        "CreationTime": time(instance.label.created),
        "InstanceNetworkType": network_type(instance),
        "SecurityGroupIds": { "SecurityGroupId": primary.map(|nic| &nic.groups[..]).unwrap_or_default() },
        "VpcAttributes": {
            "VpcId": vpc_shown(instance.vpc.as_ref()),
            "VSwitchId": vswitch(instance.vpc.as_ref()),
            "NatIpAddress": "",
            "PrivateIpAddress": { "IpAddress": private },
        },
        "InnerIpAddress": { "IpAddress": inner },
        "PublicIpAddress": { "IpAddress": [] },
        "EipAddress": { "IpAddress": "", "AllocationId": "", "InternetChargeType": "" },
        "NetworkInterfaces": { "NetworkInterface": interfaces },
        "Tags": tags_shown(&instance.label),
    })
}
