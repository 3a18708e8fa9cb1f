//! Ports of v3, and the groups of one in order: insert at a place, and remove.

use axum::http::Method;
use serde_json::json;
use sg_records::{KeyRole, Nic};
use sg_service::{Join, Leave};

use super::common::{DRY_RUN, submit};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response,
    operation::Outcome,
    paging::{PAGE, page},
    parameters::{Kind, body, query},
    ports,
    problem::Subject,
};

/// The groups that a change of a port names.
const GROUPS: &[Parameter] = &[
    DRY_RUN,
    body("port", Kind::Object, "").required(),
    body("port.security_groups", Kind::Texts, "ids of groups, in order").required(),
];

pub(in crate::huawei) const PORTS: &[Operation] = &[
    Operation {
        name: "ListPorts",
        method: Method::GET,
        path: "/v3/{project_id}/ports",
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Port,
        about: "Lists ports: the NICs of the region.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("name", Kind::Texts, "one of these"),
                query("admin_state_up", Kind::Boolean, "`true`, which every port is"),
                query(
                    "status",
                    Kind::Text,
                    "`ACTIVE` of a NIC that an instance or a device has, else `DOWN`",
                ),
                query(
                    "virsubnet_id",
                    Kind::Texts,
                    "one of these; the subnet of a port has the id of its VPC",
                ),
                query("device_id", Kind::Texts, "one of these servers"),
                query("mac_address", Kind::Texts, "one of these"),
                query(
                    "device_owner",
                    Kind::Texts,
                    "one of these: `compute:REGION` of a server's port, else blank",
                ),
                query("device_owner_prefixlike", Kind::Text, "what the owner begins with"),
                query("description", Kind::Texts, "one of these"),
                query("binding:host_id", Kind::Texts, "blank, which it is of every port"),
                query(
                    "private_ips",
                    Kind::Texts,
                    "one of these: an address, `ip_address=ADDRESS`; `subnet_cidr_id=ID`",
                ),
                query("security_groups", Kind::Texts, "ports that hold one of these"),
                query("vpc_id", Kind::Texts, "one of these"),
                query(
                    "allowed_address_pairs",
                    Kind::Texts,
                    "ports with one of these: an address or a prefix",
                ),
                query("instance_id", Kind::Text, "blank, which it is of every port"),
                query("instance_type", Kind::Text, "blank, which it is of every port"),
            ],
        ],
    },
    Operation {
        name: "ShowPort",
        method: Method::GET,
        path: "/v3/{project_id}/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Port,
        about: "Shows a port.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "AddSecurityGroups",
        method: Method::PUT,
        path: "/v3/{project_id}/ports/{port_id}/insert-security-groups",
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Port,
        about: "Inserts groups at a place among those of a port. The first group of a port decides first; where the order of the VPC is `merged` and none of the groups is a closed one without a VPC, places change no verdict, and another one than the end is refused.",
        role: Some(KeyRole::Editor),
        handler: insert,
        parameters: &[
            GROUPS,
            &[body("port.index", Kind::Integer, "the place, counted from 0; default: the end")],
        ],
    },
    Operation {
        name: "RemoveSecurityGroups",
        method: Method::PUT,
        path: "/v3/{project_id}/ports/{port_id}/remove-security-groups",
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Port,
        about: "Removes groups from a port. One must be left; the others keep their order.",
        role: Some(KeyRole::Editor),
        handler: remove,
        parameters: &[GROUPS],
    },
    Operation {
        name: "UpdateSubNetworkInterface",
        method: Method::PUT,
        path: "/v3/{project_id}/vpc/sub-network-interfaces/{sub_network_interface_id}",
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::Port,
        about: "Is refused with 404: there are no supplementary interfaces here.",
        role: Some(KeyRole::Editor),
        handler: no_sub_network_interface,
        parameters: &[&[
            DRY_RUN,
            body("sub_network_interface", Kind::Object, "").required(),
            body("sub_network_interface.allowed_address_pairs", Kind::Any, ""),
            body("sub_network_interface.description", Kind::Text, ""),
            body("sub_network_interface.security_groups", Kind::Texts, ""),
        ]],
    },
];

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (all, shown) = ports::all(&huawei.service, call, ports::v3);
        let (part, info) = page(call, &all, shown)?;
        Ok(Response::of(json!({ "ports": part, "page_info": info })))
    })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(port(huawei, call, ports::find(&state, call)?))
    })
}

fn port(huawei: &Huawei, call: &Call, nic: &Nic) -> Response {
    Response::of(json!({ "port": ports::v3(call, &huawei.service.devices().view(nic).nic) }))
}

/// The NIC that the path names, and the groups that the body names, as the service knows them.
fn named(huawei: &Huawei, call: &Call) -> Result<(String, Vec<String>), Fault> {
    let state = huawei.service.snapshot();
    let nic = ports::find(&state, call)?;
    let ids = call.fields().object("port").texts("security_groups").unwrap_or_default();
    if ids.is_empty() {
        return Err(call.malformed("port.security_groups", "one group at least is expected"));
    }
    let unknown = |text: &str| call.not_found(Subject::Group, "Security group", text);
    Ok((nic.id.to_string(), ports::groups(&state, call, &ids, unknown)?))
}

fn insert<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (nic, groups) = named(huawei, call)?;
        let place = call.fields().object("port").integer("index").map(usize::try_from).transpose();
        let place = place.map_err(|_| call.malformed("port.index", "0 or more is expected"))?;
        let operation = ports::InsertGroups(Join { groups, targets: vec![nic], place });
        submit(huawei, call, operation, |nics| changed(huawei, call, &nics)).await
    })
}

fn remove<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (nic, groups) = named(huawei, call)?;
        submit(huawei, call, Leave { groups, targets: vec![nic] }, |nics| changed(huawei, call, &nics)).await
    })
}

/// The only NIC of a change.
fn changed(huawei: &Huawei, call: &Call, nics: &[Nic]) -> Response {
    nics.first().map_or_else(|| Response::of(json!({})), |nic| port(huawei, call, nic))
}

fn no_sub_network_interface<'a>(_: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let id = call.value("sub_network_interface_id");
        Err(call.not_found(Subject::Port, "Sub network interface", id))
    })
}
