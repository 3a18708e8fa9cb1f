//! Interfaces of servers: their ports, in the form of ECS and of Nova.

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{KeyRole, Nic, uuid_of};
use sg_service::HostDevices;

use super::find;
use crate::huawei::{
    Call, Dialect, Huawei, Operation, Response, objects,
    operation::Outcome,
    parameters::{Kind, body},
    ports,
    problem::{Problem, Subject},
};

pub(in crate::huawei) const INTERFACES: &[Operation] = &[
    Operation {
        name: "ListServerInterfaces",
        method: Method::GET,
        path: "/v1/{project_id}/cloudservers/{server_id}/os-interface",
        chosen_by: None,
        dialect: Dialect::Ecs,
        subject: Subject::Server,
        about: "Lists the interfaces of a server, the primary one first.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[],
    },
    Operation {
        name: "NovaShowServerInterface",
        method: Method::GET,
        path: "/v2.1/{project_id}/servers/{server_id}/os-interface/{port_id}",
        chosen_by: None,
        dialect: Dialect::Nova,
        subject: Subject::Server,
        about: "Shows an interface of a server.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "BatchAddServerNics",
        method: Method::POST,
        path: "/v1/{project_id}/cloudservers/{server_id}/nics",
        chosen_by: None,
        dialect: Dialect::Ecs,
        subject: Subject::Server,
        about: "Is refused: this server creates no devices. Register a NIC with `sgctl nic register`, or one of another host with `CreatePort`.",
        role: Some(KeyRole::Editor),
        handler: add,
        parameters: &[&[body("nics", Kind::Any, "").required()]],
    },
];

/// An interface in the form of Nova; that of ECS has more fields.
fn shown(devices: &HostDevices, nic: &Nic) -> Value {
    let nic = &devices.view(nic).nic;
    let network = ports::network(nic);
    let address = |address| json!({ "ip_address": address, "subnet_id": network });
    let addresses: Vec<Value> = nic.addresses.iter().map(address).collect();
    json!({
        "port_id": uuid_of(&nic.id).to_string(),
        "port_state": ports::status(nic),
        "net_id": network,
        "mac_addr": nic.senders.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "fixed_ips": addresses,
    })
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let (state, devices) = (huawei.service.snapshot(), huawei.service.devices());
        let server = find::server(&state, call)?;
        let mut interfaces: Vec<Value> =
            find::interfaces(&state, server).into_iter().map(|nic| shown(&devices, nic)).collect();
        for interface in &mut interfaces {
            interface["delete_on_termination"] = true.into();
            interface["driver_mode"] = "".into();
        }
        // No operation adds one.
        let free = json!({ "free_nic": 0 });
        Ok(Response::of(json!({ "attachableQuantity": free, "interfaceAttachments": interfaces })))
    })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let server = find::server(&state, call)?;
        let text = call.value("port_id");
        let of_server = |nic: &&std::sync::Arc<Nic>| nic.instance.as_ref() == Some(&server.id);
        let nic = objects::nic(&state, call, text).filter(of_server);
        let nic = nic.ok_or_else(|| call.not_found(Subject::Port, "Port", text))?;
        Ok(Response::of(json!({ "interfaceAttachment": shown(&huawei.service.devices(), nic) })))
    })
}

fn add<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        find::server(&huawei.service.snapshot(), call)?;
        let message = "BatchAddServerNics is not supported by this server, which creates no devices: register the NIC on its host.";
        Err(call.fault(Problem::Malformed, message.to_owned()))
    })
}
