//! Ports of v1. `UpdatePort` replaces the whole list of groups, in order: it is what the console's OK does.

use axum::http::Method;
use serde_json::json;
use sg_records::{KeyRole, Nic};
use sg_service::{CreateInterface, DeleteInterface};

use super::paging::{PAGE, page};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response,
    operation::Outcome,
    parameters::{Fields, Kind, body, query},
    ports::{self, ChangePort, address_pairs},
    problem::Subject,
    v3::submit,
};

/// What of a port can be said, of v1 and of v2.0.
pub(in crate::huawei) const LABEL_AND_GROUPS: &[Parameter] = &[
    body("port", Kind::Object, "").required(),
    body("port.name", Kind::Text, ""),
    body("port.security_groups", Kind::Texts, "ids of all groups, in order: the first decides first"),
    body("port.allowed_address_pairs", Kind::Objects, "all of them"),
    body("port.allowed_address_pairs[].ip_address", Kind::Text, "an address or a prefix").required(),
    body("port.allowed_address_pairs[].mac_address", Kind::Text, "default: that of the port"),
    body("port.extra_dhcp_opts", Kind::Any, "this server is no DHCP server").refused(),
];

/// What is said of a new port besides.
pub(in crate::huawei) const NEW_PORT: &[Parameter] = &[
    body("port.network_id", Kind::Text, "id of the VPC").required(),
    body("port.admin_state_up", Kind::Boolean, "`true`, which every port is"),
    body("port.device_owner", Kind::Text, "it is set for the ports of servers").refused(),
    body(
        "port.fixed_ips",
        Kind::Objects,
        "its addresses, of the range of the VPC if it has one, and of no other port of the VPC; default: the first free one of the range",
    ),
    body("port.fixed_ips[].ip_address", Kind::Text, "").required(),
    body("port.fixed_ips[].subnet_id", Kind::Text, "the id of the VPC"),
    body("port.tenant_id", Kind::Text, "that of the path"),
];

pub(in crate::huawei) const PORTS: &[Operation] = &[
    Operation {
        name: "ListPorts",
        method: Method::GET,
        path: "/v1/{project_id}/ports",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Port,
        about: "Lists ports: the NICs of the region.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("name", Kind::Text, ""),
                query("admin_state_up", Kind::Boolean, "`true`, which every port is"),
                query("network_id", Kind::Text, "id of the VPC, which is the only network of its ports"),
                query("mac_address", Kind::Text, ""),
                query("device_id", Kind::Text, "id of the server"),
                query("device_owner", Kind::Text, "`compute:REGION` of a server's port, else blank"),
                query(
                    "status",
                    Kind::Text,
                    "`ACTIVE` of a NIC that an instance or a device has, else `DOWN`",
                ),
                query("security_groups", Kind::Texts, "ports that hold one of these"),
                query("fixed_ips", Kind::Texts, "`ip_address=ADDRESS`, `subnet_id=ID`"),
                query(
                    "enterprise_project_id",
                    Kind::Text,
                    "`0`, which everything is in, or `all_granted_eps`",
                ),
                query("enable_efi", Kind::Boolean, "`false`, which it is of every port"),
            ],
        ],
    },
    Operation {
        name: "CreatePort",
        method: Method::POST,
        path: "/v1/{project_id}/ports",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Port,
        about: "Registers a NIC of another host, whose addresses become those of a member of its groups.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[LABEL_AND_GROUPS, NEW_PORT],
    },
    Operation {
        name: "ShowPort",
        method: Method::GET,
        path: "/v1/{project_id}/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Port,
        about: "Shows a port.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "UpdatePort",
        method: Method::PUT,
        path: "/v1/{project_id}/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Port,
        about: "Changes a port: its name, and all of its groups in order. A change of nothing but the order is refused where `AddSecurityGroups` refuses a place.",
        role: Some(KeyRole::Editor),
        handler: update,
        parameters: &[LABEL_AND_GROUPS],
    },
    Operation {
        name: "DeletePort",
        method: Method::DELETE,
        path: "/v1/{project_id}/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::V1,
        subject: Subject::Port,
        about: "Removes a NIC of another host. One of a server, or with a device of this host, is in use.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
];

fn port(huawei: &Huawei, call: &Call, nic: &Nic) -> Response {
    Response::of(json!({ "port": ports::former(call, &huawei.service.devices().view(nic).nic) }))
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (all, shown) = ports::all(&huawei.service, call, ports::former);
        page(call, "ports", &all, shown)
    })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(port(huawei, call, ports::find(&state, call)?))
    })
}

/// The groups of the body; of one that does not exist, v1 says that the request is malformed, and v2.0 that it is not found.
fn groups(huawei: &Huawei, call: &Call, port: &Fields<'_>) -> Result<Option<Vec<String>>, Fault> {
    let Some(ids) = port.texts("security_groups") else { return Ok(None) };
    let unknown = |id: &str| match call.operation.dialect {
        Dialect::Neutron => call.not_found(Subject::Group, "Security group", id),
        _ => call.malformed("port.security_groups", "ids of groups of this project are expected"),
    };
    ports::groups(&huawei.service.snapshot(), call, &ids, unknown).map(Some)
}

/// The registration that a request is.
///
/// # Errors
/// The first field that is malformed or names what does not exist.
pub(in crate::huawei) fn registered(huawei: &Huawei, call: &Call) -> Result<CreateInterface, Fault> {
    let fields = call.fields().object("port");
    if fields.boolean("admin_state_up") == Some(false) {
        return Err(call.malformed("port.admin_state_up", "every port is up"));
    }
    if fields.text("tenant_id").is_some_and(|project| project != call.project.id) {
        return Err(call.malformed("port.tenant_id", "that of the request is expected"));
    }
    let groups = groups(huawei, call, &fields)?.unwrap_or_default();
    ports::register(&huawei.service.snapshot(), call, &fields, groups)
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(
        async move { submit(huawei, call, registered(huawei, call)?, |nic| port(huawei, call, &nic)).await },
    )
}

/// The change that a request is.
///
/// # Errors
/// The first field that is malformed or names what does not exist.
pub(in crate::huawei) fn updated(huawei: &Huawei, call: &Call) -> Result<ChangePort, Fault> {
    let nic = ports::find(&huawei.service.snapshot(), call)?.id.to_string();
    let fields = call.fields().object("port");
    Ok(ChangePort {
        nic,
        groups: groups(huawei, call, &fields)?,
        name: fields.text("name").map(str::to_owned),
        pairs: address_pairs(call, &fields)?,
    })
}

fn update<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(
        async move { submit(huawei, call, updated(huawei, call)?, |nic| port(huawei, call, &nic)).await },
    )
}

/// Removes the port that the path names.
pub(in crate::huawei) fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let nic = ports::find(&huawei.service.snapshot(), call)?.id.to_string();
        submit(huawei, call, DeleteInterface { nic }, |_| Response::no_content()).await
    })
}
