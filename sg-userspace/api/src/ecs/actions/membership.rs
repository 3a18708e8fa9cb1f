//! Actions on the groups of instances and network interfaces.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};
use sg_records::{GroupId, InstanceId, KeyRole, Nic, NicId};
use sg_service::{Join, LabelChange, Leave, ModifyInstance, ModifyNic, Operation, SetGroups, State};

use super::{
    action::{Action, ActionFuture},
    attachment::HARDWARE,
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
        about: "Changes the name, the description and the groups of an instance, all of them or none.",
        role: KeyRole::Editor,
        handler: modify_instance,
        parameters: &[
            &[
                text("RegionId", "that of the instance"),
                CLIENT_TOKEN,
                text("InstanceId", "").required(),
                text("InstanceName", ""),
                text("Description", ""),
                texts("SecurityGroupIds", "all groups that it is to have"),
            ],
            OF_MACHINES,
        ],
    },
    Action {
        name: "ModifyNetworkInterfaceAttribute",
        about: "Changes the name, the description and the groups of a NIC, all of them or none.",
        role: KeyRole::Editor,
        handler: modify_interface,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("NetworkInterfaceId", "").required(),
                text("NetworkInterfaceName", ""),
                text("Description", ""),
                texts("SecurityGroupId", "all groups that it is to have"),
            ],
            HARDWARE,
            &[refused_unless("DeleteOnRelease", "true", "the NICs of an instance are removed with it")],
        ],
    },
];

const MACHINE: &str = "this server does not manage the machine behind an instance";

/// What the vendor's action also changes of an instance.
const OF_MACHINES: &[Parameter] = &[
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
        let (fields, state) = (call.fields(), ecs.service.snapshot());
        let id = InstanceId::from(fields.required("InstanceId")?);
        let region = fields.text("RegionId");
        let found = state.instance(&id).filter(|found| region.is_none_or(|region| region == found.region));
        let instance = found.ok_or_else(no_instance)?;
        let label = label(call, "InstanceName");
        let groups = groups(&state, &instance.region, &fields.list("SecurityGroupIds")?)?;
        let target =
            groups.map(|groups| primary(&state, id.as_str()).map(|nic| (nic, groups))).transpose()?;
        let operation = (
            (!label.is_empty()).then(|| ModifyInstance { instance: id.to_string(), label }),
            target.map(|(nic, groups)| SetGroups { target: nic.id.to_string(), groups }),
        );
        modify(ecs, call, ErrorContext::InstanceGroups, operation).await
    })
}

fn modify_interface<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (fields, state) = (call.fields(), ecs.service.snapshot());
        region(call)?;
        let target = interface_of(&state, fields.required("NetworkInterfaceId")?)?;
        let (label, nic) = (label(call, "NetworkInterfaceName"), target.id.to_string());
        let groups = groups(&state, &target.region, &fields.list("SecurityGroupId")?)?;
        let operation = (
            (!label.is_empty()).then(|| ModifyNic { nic: nic.clone(), label, ..ModifyNic::default() }),
            groups.map(|groups| SetGroups { target: nic, groups }),
        );
        modify(ecs, call, ErrorContext::InterfaceGroups, operation).await
    })
}

/// What changes of a label; a blank text changes nothing.
fn label(call: &Call, name: &str) -> LabelChange {
    let fields = call.fields();
    LabelChange {
        name: fields.text(name).map(str::to_owned),
        description: fields.text("Description").map(str::to_owned),
        tags: None,
    }
}

/// All groups that are to be held; none: those that are.
fn groups(state: &State, region: &str, ids: &[Cow<'_, str>]) -> Result<Option<Vec<String>>, Fault> {
    let ids: Result<Vec<String>, Fault> =
        ids.iter().map(|id| in_region(state, region, id).map(|group| group.id.to_string())).collect();
    Ok(Some(ids?).filter(|ids| !ids.is_empty()))
}

/// Changes label and groups as one; a request that changes neither does nothing.
async fn modify<O>(
    ecs: &Ecs,
    call: &Call,
    about: ErrorContext,
    operation: (Option<O>, Option<SetGroups>),
) -> Result<Response, Fault>
where
    (Option<O>, Option<SetGroups>): Operation + Sync,
    <(Option<O>, Option<SetGroups>) as Operation>::Output: Serialize + DeserializeOwned,
{
    if operation.0.is_some() || operation.1.is_some() {
        submit(ecs, call, about, operation).await?;
    }
    Ok(Response::done())
}
