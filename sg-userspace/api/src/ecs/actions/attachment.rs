//! Actions that register NICs, attach them to instances, detach and delete them. A NIC that is registered here is on another host:
//! which device it has here, only `sgctl` can say. It must never decide where a NIC may be: the domain does.

use std::net::IpAddr;

use sg_records::{GroupId, InstanceId, KeyRole, NicId, Vpc};
use sg_service::{AttachNic, CreateInterface, DeleteInterface, DetachNic, NewLabel, RegisterNic, State};

use super::{
    action::{Action, ActionFuture},
    common::{in_region, region, submit, tags, vpc_of_vswitch},
    filters::{address, addresses},
    interfaces::interface_shown,
    parameter::{
        CLIENT_TOKEN, Parameter, REGION, RESOURCE_GROUP, TAGS, list_of, refused, refused_unless, text, texts,
        without_effect,
    },
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response};

const INTERFACE: Parameter = text("NetworkInterfaceId", "").required();
const INSTANCE: Parameter = text("InstanceId", "").required();

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateNetworkInterface",
        about: "Registers a NIC of another host, without an instance.",
        role: KeyRole::Editor,
        handler: create,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("VSwitchId", "that of the NIC's VPC: `DescribeVSwitches` lists it").required(),
                text("PrimaryIpAddress", "none: the first free address of the VPC's range"),
                texts("PrivateIpAddress", "further IPv4 addresses"),
                texts("Ipv6Address", ""),
                text("SecurityGroupId", "either this or `SecurityGroupIds.N`"),
                texts("SecurityGroupIds", "its groups in order"),
                text("NetworkInterfaceName", ""),
                text("Description", ""),
            ],
            TAGS,
            &[
                RESOURCE_GROUP,
                refused_unless(
                    "InstanceType",
                    "Secondary",
                    "a NIC becomes primary as the first of its instance",
                ),
                refused_unless("DeleteOnRelease", "true", "the NICs of an instance are removed with it"),
                refused_unless("Visible", "true", "every NIC is visible"),
                refused_unless("BusinessType", "", "this server knows no types of business"),
                refused_unless("NetworkInterfaceTrafficMode", "Standard", NO_HARDWARE),
                refused("QueuePairNumber", NO_HARDWARE),
                refused("SecondaryPrivateIpAddressCount", ADDRESSES),
                refused("Ipv6AddressCount", ADDRESSES),
            ],
            PREFIXES,
            HARDWARE,
        ],
    },
    Action {
        name: "DescribeNetworkInterfaceAttribute",
        about: "Shows a NIC.",
        role: KeyRole::Viewer,
        handler: describe,
        parameters: &[&[
            REGION,
            INTERFACE,
            without_effect("Attribute", "it asks for one field, and a response has all that there are"),
            refused("Tag.N.Key", "the id says which NIC is shown"),
            refused("Tag.N.Value", "the id says which NIC is shown"),
        ]],
    },
    Action {
        name: "AttachNetworkInterface",
        about: "Attaches a NIC to an instance of its VPC. The first NIC of an instance becomes its primary one.",
        role: KeyRole::Editor,
        handler: attach,
        parameters: &[&[
            REGION,
            CLIENT_TOKEN,
            INTERFACE,
            INSTANCE,
            refused("TrunkNetworkInstanceId", "NICs have no trunks here"),
            refused_unless("NetworkCardIndex", "0", "instances have no network cards here"),
            without_effect("WaitForNetworkConfigurationReady", "the response comes when the NIC is attached"),
        ]],
    },
    Action {
        name: "DetachNetworkInterface",
        about: "Detaches a NIC, but for the primary one, from its instance.",
        role: KeyRole::Editor,
        handler: detach,
        parameters: &[&[
            REGION,
            CLIENT_TOKEN,
            INTERFACE,
            INSTANCE,
            refused("TrunkNetworkInstanceId", "NICs have no trunks here"),
        ]],
    },
    Action {
        name: "DeleteNetworkInterface",
        about: "Deletes a NIC that no instance has. One with a device of this host is refused: everything would pass there.",
        role: KeyRole::Editor,
        handler: delete,
        parameters: &[&[REGION, CLIENT_TOKEN, INTERFACE]],
    },
];

const ADDRESSES: &str = "addresses are not given out by number: list them";
const NO_PREFIXES: &str = "a NIC has addresses here, and no prefixes";
const NO_HARDWARE: &str = "this server filters packets, and does not set how a NIC carries them";

/// Prefixes of a NIC of the cloud.
const PREFIXES: &[Parameter] = &[
    list_of(refused("Ipv4Prefix", NO_PREFIXES)),
    refused("Ipv4PrefixCount", NO_PREFIXES),
    list_of(refused("Ipv6Prefix", NO_PREFIXES)),
    refused("Ipv6PrefixCount", NO_PREFIXES),
];

/// What a NIC of the cloud has besides its addresses and groups.
pub(super) const HARDWARE: &[Parameter] = &[
    refused("SourceDestCheck", "anti-spoofing is a setting of the NIC on its own host: set it with `sgctl`"),
    refused_unless("EnablePrimaryIPv6", "false", "no IPv6 address is a primary one"),
    refused("QueueNumber", NO_HARDWARE),
    refused("RxQueueSize", NO_HARDWARE),
    refused("TxQueueSize", NO_HARDWARE),
    refused_unless("NetworkInterfaceTrafficConfig.NetworkInterfaceTrafficMode", "Standard", NO_HARDWARE),
    refused("NetworkInterfaceTrafficConfig.QueueNumber", NO_HARDWARE),
    refused("NetworkInterfaceTrafficConfig.QueuePairNumber", NO_HARDWARE),
    refused("NetworkInterfaceTrafficConfig.RxQueueSize", NO_HARDWARE),
    refused("NetworkInterfaceTrafficConfig.TxQueueSize", NO_HARDWARE),
    refused("EnhancedNetwork.EnableExpress", NO_HARDWARE),
    refused("EnhancedNetwork.EnableRss", NO_HARDWARE),
    refused("EnhancedNetwork.EnableSriov", NO_HARDWARE),
    refused("EnhancedNetwork.VirtualFunctionQuantity", NO_HARDWARE),
    refused("EnhancedNetwork.VirtualFunctionTotalQueueNumber", NO_HARDWARE),
    refused("ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout", TIMEOUTS),
    refused("ConnectionTrackingConfiguration.TcpEstablishedTimeout", TIMEOUTS),
    refused("ConnectionTrackingConfiguration.UdpTimeout", TIMEOUTS),
];

const TIMEOUTS: &str = "the timeouts of flows are the same for all NICs of a host";

/// The NIC that the call names, in its region.
pub(super) fn named(state: &State, call: &Call) -> Result<NicId, Fault> {
    let (region, id) = (region(call)?, NicId::from(call.fields().required(INTERFACE.name)?));
    let found = state.nic(&id).filter(|nic| nic.region == region);
    let message = "The specified NetworkInterfaceId does not exist.";
    found.map(|nic| nic.id.clone()).ok_or_else(|| Fault::not_found("InvalidEniId.NotFound", message))
}

fn instance(state: &State, call: &Call) -> Result<InstanceId, Fault> {
    let (region, id) = (region(call)?, InstanceId::from(call.fields().required(INSTANCE.name)?));
    let found = state.instance(&id).filter(|instance| instance.region == region);
    let message = "The specified InstanceId does not exist.";
    found
        .map(|instance| instance.id.clone())
        .ok_or_else(|| Fault::not_found("InvalidEcsId.NotFound", message))
}

/// The first address, then those of both families.
fn all_addresses(call: &Call) -> Result<Vec<IpAddr>, Fault> {
    let fields = call.fields();
    let first = address(&fields, "PrimaryIpAddress")?;
    let more = addresses(&fields, "PrivateIpAddress")?;
    let v6 = addresses(&fields, "Ipv6Address")?;
    if first.is_none() && !(more.is_empty() && v6.is_empty()) {
        return Err(Fault::missing("PrimaryIpAddress"));
    }
    for (name, wrong) in [
        ("PrimaryIpAddress", first.is_some_and(|address| !address.is_ipv4())),
        ("PrivateIpAddress", more.iter().any(IpAddr::is_ipv6)),
        ("Ipv6Address", v6.iter().any(IpAddr::is_ipv4)),
    ] {
        if wrong {
            return Err(Fault::malformed(name, "addresses of the other family are expected"));
        }
    }
    Ok(first.into_iter().chain(more).chain(v6).collect())
}

fn groups(state: &State, call: &Call) -> Result<Vec<String>, Fault> {
    let (region, fields) = (region(call)?, call.fields());
    let (one, several) = (fields.text("SecurityGroupId"), fields.list("SecurityGroupIds")?);
    if one.is_some() && !several.is_empty() {
        let message = "SecurityGroupId and SecurityGroupIds.N cannot both be given.";
        return Err(Fault::bad("InvalidParameter.Conflict", message));
    }
    if one.is_none() && several.is_empty() {
        return Err(Fault::missing("SecurityGroupId"));
    }
    let ids = one.into_iter().chain(several.iter().map(AsRef::as_ref));
    ids.map(|id| in_region(state, region, id).map(|group| GroupId::to_string(&group.id))).collect()
}

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (region, fields, state) = (region(call)?, call.fields(), ecs.service.snapshot());
        let vpc: &Vpc = vpc_of_vswitch(&state, region, fields.required("VSwitchId")?)?;
        let operation = CreateInterface(RegisterNic {
            label: NewLabel {
                name: fields.text("NetworkInterfaceName").unwrap_or_default().to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region.to_owned(),
            vpc: Some(vpc.id.to_string()),
            addresses: all_addresses(call)?,
            groups: groups(&state, call)?,
            ..RegisterNic::default()
        });
        let nic = submit(ecs, call, ErrorContext::Attachment, operation).await?;
        Response::of(&interface_shown(&ecs.service.devices(), &nic))
    })
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let id = named(&state, call)?;
        let found = state.nic(&id).ok_or_else(Fault::internal)?;
        Response::of(&interface_shown(&ecs.service.devices(), found))
    })
}

fn attach<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let (nic, instance) = (named(&state, call)?.to_string(), instance(&state, call)?.to_string());
        submit(ecs, call, ErrorContext::Attachment, AttachNic { nic, instance }).await?;
        Ok(Response::done())
    })
}

fn detach<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let (nic, instance) = (named(&state, call)?.to_string(), instance(&state, call)?.to_string());
        submit(ecs, call, ErrorContext::Attachment, DetachNic { nic, instance }).await?;
        Ok(Response::done())
    })
}

fn delete<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let nic = named(&ecs.service.snapshot(), call)?.to_string();
        submit(ecs, call, ErrorContext::Attachment, DeleteInterface { nic }).await?;
        Ok(Response::done())
    })
}
