//! Actions on the groups of instances and network interfaces.

use std::borrow::Cow;

use sg_records::{GroupId, InstanceId, KeyRole, Nic, NicId};
use sg_service::{Join, Leave, SetGroups, State};

use super::{
    action::{Action, ActionFuture},
    common::{in_region, region, submit},
    parameter::{CLIENT_TOKEN, GROUP, Parameter, REGION, refused, refused_unless, text, texts},
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response};

const MEMBERSHIP: &[Parameter] = &[
    text("RegionId", "that of the group"),
    CLIENT_TOKEN,
    GROUP,
    text("InstanceId", "either this or `NetworkInterfaceId`"),
    text("NetworkInterfaceId", "either this or `InstanceId`"),
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "JoinSecurityGroup",
        about: "Adds an instance (its primary NIC) or a NIC to a group.",
        role: KeyRole::Editor,
        handler: join,
        parameters: &[MEMBERSHIP],
    },
    Action {
        name: "LeaveSecurityGroup",
        about: "Removes an instance (its primary NIC) or a NIC from a group.",
        role: KeyRole::Editor,
        handler: leave,
        parameters: &[MEMBERSHIP],
    },
    Action {
        name: "ModifyInstanceAttribute",
        about: "Replaces the groups of an instance. It changes nothing else of it.",
        role: KeyRole::Editor,
        handler: modify_instance,
        parameters: &[
            &[
                text("RegionId", "that of the instance"),
                CLIENT_TOKEN,
                text("InstanceId", "").required(),
                texts("SecurityGroupIds", "all groups that it is to have").required(),
            ],
            OF_MACHINES,
        ],
    },
    Action {
        name: "ModifyNetworkInterfaceAttribute",
        about: "Replaces the groups of a NIC. It changes nothing else of it.",
        role: KeyRole::Editor,
        handler: modify_interface,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("NetworkInterfaceId", "").required(),
                texts("SecurityGroupId", "all groups that it is to have").required(),
            ],
            OF_DEVICES,
        ],
    },
];

const LABEL: &str = "this action changes groups only; `sgctl` changes names and descriptions";
const MACHINE: &str = "this server does not manage the machine behind an instance";
const DEVICE: &str = "this server does not manage the device of a NIC";

/// What the vendor's action also changes of an instance.
const OF_MACHINES: &[Parameter] = &[
    refused("InstanceName", LABEL),
    refused("Description", LABEL),
    refused("CpuOptions.Core", MACHINE),
    refused("CpuOptions.EnableVISST", MACHINE),
    refused("CpuOptions.EnableVRDT", MACHINE),
    refused("CpuOptions.NestedVirtualization", MACHINE),
    refused("CpuOptions.ThreadsPerCore", MACHINE),
    refused("CpuOptions.TopologyType", MACHINE),
    refused("CpuOptions.TurboMode", MACHINE),
    refused("CreditSpecification", MACHINE),
    refused_unless("DeletionProtection", "false", MACHINE),
    refused_unless("EnableJumboFrame", "false", MACHINE),
    refused_unless("EnableNetworkEncryption", "false", MACHINE),
    refused("HostName", MACHINE),
    refused("NetworkInterfaceQueueNumber", MACHINE),
    refused("Password", MACHINE),
    refused("PrivateDnsNameOptions.EnableInstanceIdDnsAAAARecord", MACHINE),
    refused("PrivateDnsNameOptions.EnableInstanceIdDnsARecord", MACHINE),
    refused("PrivateDnsNameOptions.EnableIpDnsARecord", MACHINE),
    refused("PrivateDnsNameOptions.EnableIpDnsPtrRecord", MACHINE),
    refused("PrivateDnsNameOptions.HostnameType", MACHINE),
    refused_unless("Recyclable", "false", MACHINE),
    refused("RemoteConnectionOptions.Password", MACHINE),
    refused("RemoteConnectionOptions.Type", MACHINE),
    refused("UserData", MACHINE),
];

/// What the vendor's action also changes of a NIC.
const OF_DEVICES: &[Parameter] = &[
    refused("NetworkInterfaceName", LABEL),
    refused("Description", LABEL),
    refused("SourceDestCheck", "a NIC's anti-spoofing is changed with `sgctl`"),
    refused("ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout", TIMEOUTS),
    refused("ConnectionTrackingConfiguration.TcpEstablishedTimeout", TIMEOUTS),
    refused("ConnectionTrackingConfiguration.UdpTimeout", TIMEOUTS),
    refused_unless("DeleteOnRelease", "false", DEVICE),
    refused_unless("EnablePrimaryIPv6", "false", DEVICE),
    refused("EnhancedNetwork.EnableExpress", DEVICE),
    refused("EnhancedNetwork.EnableRss", DEVICE),
    refused("EnhancedNetwork.EnableSriov", DEVICE),
    refused("EnhancedNetwork.VirtualFunctionQuantity", DEVICE),
    refused("EnhancedNetwork.VirtualFunctionTotalQueueNumber", DEVICE),
    refused("NetworkInterfaceTrafficConfig.NetworkInterfaceTrafficMode", DEVICE),
    refused("NetworkInterfaceTrafficConfig.QueueNumber", DEVICE),
    refused("NetworkInterfaceTrafficConfig.QueuePairNumber", DEVICE),
    refused("NetworkInterfaceTrafficConfig.RxQueueSize", DEVICE),
    refused("NetworkInterfaceTrafficConfig.TxQueueSize", DEVICE),
    refused("QueueNumber", DEVICE),
    refused("RxQueueSize", DEVICE),
    refused("TxQueueSize", DEVICE),
];

const TIMEOUTS: &str = "the timeouts of flows are not settings of a NIC that this API changes";

/// Group, NIC, and the error context of the action.
fn both(state: &State, call: &Call) -> Result<(GroupId, NicId, ErrorContext), Fault> {
    let fields = call.fields();
    let group = fields.required("SecurityGroupId")?;
    let unknown = || {
        Fault::not_found("InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")
    };
    // With an instance, the region may be omitted.
    let group = match fields.text("RegionId") {
        Some(region) => in_region(state, region, group)?,
        None => state.group(&GroupId::from(group)).ok_or_else(unknown)?,
    };
    let (target, about) = match (fields.text("InstanceId"), fields.text("NetworkInterfaceId")) {
        (Some(_), Some(_)) => {
            let message = "InstanceId and NetworkInterfaceId cannot both be given.";
            return Err(Fault::forbidden("InvalidParam.EniIdAndInstanceId.Conflict", message));
        }
        (None, None) => return Err(Fault::missing("InstanceId")),
        (Some(instance), None) => (primary(state, instance)?, ErrorContext::Instance),
        (None, Some(interface)) => (interface_of(state, interface)?, ErrorContext::Interface),
    };
    Ok((group.id.clone(), target.id.clone(), about))
}

/// The NIC that holds an instance's groups.
pub(super) fn primary<'a>(state: &'a State, instance: &str) -> Result<&'a Nic, Fault> {
    let nic = state.nics_of_instance(&InstanceId::from(instance)).find(|nic| nic.primary);
    nic.map(AsRef::as_ref).ok_or_else(no_instance)
}

fn no_instance() -> Fault {
    Fault::not_found("InvalidInstanceId.NotFound", "The specified InstanceId does not exist.")
}

fn interface_of<'a>(state: &'a State, interface: &str) -> Result<&'a Nic, Fault> {
    let missing =
        || Fault::not_found("InvalidEniId.NotFound", "The specified NetworkInterfaceId does not exist.");
    state.nic(&NicId::from(interface)).map(AsRef::as_ref).ok_or_else(missing)
}

fn join<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (group, target, about) = both(&ecs.service.snapshot(), call)?;
        let operation =
            Join { groups: vec![group.to_string()], targets: vec![target.to_string()], place: None };
        submit(ecs, call, about, operation).await?;
        Ok(Response::done())
    })
}

fn leave<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (group, target, about) = both(&ecs.service.snapshot(), call)?;
        let operation = Leave { groups: vec![group.to_string()], targets: vec![target.to_string()] };
        submit(ecs, call, about, operation).await?;
        Ok(Response::done())
    })
}

fn modify_instance<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let state = ecs.service.snapshot();
        let target = primary(&state, fields.required("InstanceId")?)?;
        if fields.text("RegionId").is_some_and(|region| region != target.region) {
            return Err(no_instance());
        }
        let groups = fields.list("SecurityGroupIds")?;
        set(ecs, call, &state, target, groups, ErrorContext::InstanceGroups, "SecurityGroupIds.N").await
    })
}

fn modify_interface<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        region(call)?;
        let state = ecs.service.snapshot();
        let target = interface_of(&state, fields.required("NetworkInterfaceId")?)?;
        let groups = fields.list("SecurityGroupId")?;
        set(ecs, call, &state, target, groups, ErrorContext::InterfaceGroups, "SecurityGroupId.N").await
    })
}

/// Replaces all groups. Other attributes of an instance or interface cannot be changed here.
async fn set(
    ecs: &Ecs,
    call: &Call,
    state: &State,
    target: &Nic,
    groups: Vec<Cow<'_, str>>,
    about: ErrorContext,
    name: &str,
) -> Result<Response, Fault> {
    if groups.is_empty() {
        return Err(Fault::missing(name));
    }
    for group in &groups {
        in_region(state, &target.region, group)?;
    }
    let groups = groups.into_iter().map(Cow::into_owned).collect();
    let operation = SetGroups { target: target.id.to_string(), groups };
    submit(ecs, call, about, operation).await?;
    Ok(Response::done())
}
