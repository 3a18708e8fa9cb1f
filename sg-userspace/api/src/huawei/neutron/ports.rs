//! Ports of v2.0. `NeutronUpdatePort` replaces the whole list of groups, in order.

use axum::http::Method;
use serde_json::json;
use sg_records::{KeyRole, Nic};

use super::paging::{PAGE, page};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response,
    operation::Outcome,
    parameters::{Kind, body, query},
    ports,
    problem::Subject,
    v1::{LABEL_AND_GROUPS, NEW_PORT, delete_port, registered, updated},
    v3::submit,
};

/// What clients of `OpenStack` say besides.
const SECURITY: &[Parameter] = &[
    body("port.port_security_enabled", Kind::Boolean, "`true`, which it is of every port"),
    body("port.binding:profile", Kind::Any, "it belongs to the hosts of the vendor").refused(),
    body("port.binding:vnic_type", Kind::Text, "`normal`, which every port is"),
];

pub(in crate::huawei) const PORTS: &[Operation] = &[
    Operation {
        name: "NeutronListPorts",
        method: Method::GET,
        path: "/v2.0/ports",
        chosen_by: None,
        dialect: Dialect::Neutron,
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
                query("network_id", Kind::Text, "id of the VPC, which is the only network of its ports"),
                query("mac_address", Kind::Text, ""),
                query("device_id", Kind::Texts, "one of these servers"),
                query(
                    "device_owner",
                    Kind::Texts,
                    "one of these: `compute:REGION` of a server's port, else blank",
                ),
                query(
                    "status",
                    Kind::Text,
                    "`ACTIVE` of a NIC that an instance or a device has, else `DOWN`",
                ),
                query("security_groups", Kind::Texts, "ports that hold one of these"),
                query("fixed_ips", Kind::Texts, "`ip_address=ADDRESS`, `subnet_id=ID`"),
                query("tenant_id", Kind::Text, ""),
                query("project_id", Kind::Text, ""),
            ],
        ],
    },
    Operation {
        name: "NeutronCreatePort",
        method: Method::POST,
        path: "/v2.0/ports",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Port,
        about: "Registers a NIC of another host, whose addresses become those of a member of its groups.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[LABEL_AND_GROUPS, NEW_PORT, SECURITY],
    },
    Operation {
        name: "NeutronShowPort",
        method: Method::GET,
        path: "/v2.0/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Port,
        about: "Shows a port.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "NeutronUpdatePort",
        method: Method::PUT,
        path: "/v2.0/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Port,
        about: "Changes a port: its name, and all of its groups in order. A change of nothing but the order is refused where `AddSecurityGroups` refuses a place.",
        role: Some(KeyRole::Editor),
        handler: update,
        parameters: &[LABEL_AND_GROUPS, SECURITY],
    },
    Operation {
        name: "NeutronDeletePort",
        method: Method::DELETE,
        path: "/v2.0/ports/{port_id}",
        chosen_by: None,
        dialect: Dialect::Neutron,
        subject: Subject::Port,
        about: "Removes a NIC of another host. One of a server, or with a device of this host, is in use.",
        role: Some(KeyRole::Editor),
        handler: delete_port,
        parameters: &[],
    },
];

fn port(huawei: &Huawei, call: &Call, nic: &Nic) -> serde_json::Value {
    json!({ "port": ports::neutron(call, &huawei.service.devices().view(nic).nic) })
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (all, shown) = ports::all(&huawei.service, call, ports::neutron);
        page(call, "ports", &all, shown)
    })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        Ok(Response::of(port(huawei, call, ports::find(&state, call)?)))
    })
}

/// Refuses a port that is not what every port is here.
fn is_ordinary(call: &Call) -> Result<(), Fault> {
    let fields = call.fields().object("port");
    if fields.boolean("port_security_enabled") == Some(false) {
        let wanted = "true is expected: a port without its groups would let everything pass";
        return Err(call.malformed("port.port_security_enabled", wanted));
    }
    match fields.text("binding:vnic_type") {
        None | Some("normal") => Ok(()),
        Some(_) => Err(call.malformed("port.binding:vnic_type", "normal is expected")),
    }
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        is_ordinary(call)?;
        submit(huawei, call, registered(huawei, call)?, |nic| Response::created(port(huawei, call, &nic)))
            .await
    })
}

fn update<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        is_ordinary(call)?;
        submit(huawei, call, updated(huawei, call)?, |nic| Response::of(port(huawei, call, &nic))).await
    })
}
