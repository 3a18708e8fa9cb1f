//! Actions on the groups of instances and network interfaces.

use std::borrow::Cow;

use sg_records::{GroupId, InstanceId, KeyRole, Nic, NicId};
use sg_service::{Join, Leave, SetGroups, State};

use super::{
    action::{Action, ActionFuture, CLIENT_TOKEN, GROUP, Parameter, REGION, text, texts},
    common::{in_region, region, submit},
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
        parameters: &[&[
            CLIENT_TOKEN,
            text("InstanceId", "").required(),
            texts("SecurityGroupIds", "all groups that it is to have").required(),
        ]],
    },
    Action {
        name: "ModifyNetworkInterfaceAttribute",
        about: "Replaces the groups of a NIC. It changes nothing else of it.",
        role: KeyRole::Editor,
        handler: modify_interface,
        parameters: &[&[
            REGION,
            CLIENT_TOKEN,
            text("NetworkInterfaceId", "").required(),
            texts("SecurityGroupId", "all groups that it is to have").required(),
        ]],
    },
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
    let missing =
        || Fault::not_found("InvalidInstanceId.NotFound", "The specified InstanceId does not exist.");
    nic.map(AsRef::as_ref).ok_or_else(missing)
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
