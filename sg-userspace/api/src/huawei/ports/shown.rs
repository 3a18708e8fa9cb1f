//! What is shown of a port, in the form of each version, of a NIC with what its device is. It must never decide which ports are shown.

use serde_json::{Value, json};
use sg_records::{Nic, uuid_of};

use crate::huawei::{Call, v3::time};

/// `ACTIVE` if something uses the port: an instance, or a device of this host.
pub(in crate::huawei) const fn status(nic: &Nic) -> &'static str {
    if nic.instance.is_some() || nic.device.is_some() { "ACTIVE" } else { "DOWN" }
}

/// The network, and the only subnet, of a port: its VPC. Blank in the classic network.
pub(in crate::huawei) fn network(nic: &Nic) -> String {
    nic.vpc.as_ref().map(|vpc| uuid_of(vpc).to_string()).unwrap_or_default()
}

/// What all versions show. A port has no options of DHCP, since this server is no DHCP server.
fn common(call: &Call, nic: &Nic) -> Value {
    let device = nic.instance.as_ref().map(|instance| uuid_of(instance).to_string());
    let owner = nic.instance.as_ref().map(|_| format!("compute:{}", nic.region));
    let groups: Vec<String> = nic.groups.iter().map(|group| uuid_of(group).to_string()).collect();
    let pairs = nic.senders.allowed_address_pairs.iter();
    let pairs: Vec<Value> = pairs
        .map(|pair| {
            let mac = pair.mac.or(nic.senders.mac).map(|mac| mac.to_string());
            json!({ "ip_address": sg_records::shortest(pair.address), "mac_address": mac.unwrap_or_default() })
        })
        .collect();
    json!({
        "id": uuid_of(&nic.id).to_string(),
        "name": nic.label.name,
        "status": status(nic),
        "admin_state_up": true,
        "mac_address": nic.senders.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "device_id": device.unwrap_or_default(),
        "device_owner": owner.unwrap_or_default(),
        "security_groups": groups,
        "port_security_enabled": true,
        "tenant_id": call.project.id,
        "allowed_address_pairs": pairs,
        "extra_dhcp_opts": [],
        "binding:vnic_type": "normal",
        "binding:profile": {},
        "binding:vif_details": { "primary_interface": nic.primary },
    })
}

/// The fields of `more` beside what all versions show.
fn with(call: &Call, nic: &Nic, more: Value) -> Value {
    let mut shown = common(call, nic);
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

/// The addresses, each with its subnet under this name.
fn addresses_with(nic: &Nic, subnet: &str) -> Vec<Value> {
    let network = network(nic);
    nic.addresses.iter().map(|address| json!({ "ip_address": address, (subnet): network })).collect()
}

/// A port of v3.
pub(in crate::huawei) fn v3(call: &Call, nic: &Nic) -> Value {
    let tags = nic.label.tags.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    with(
        call,
        nic,
        json!({
            "description": nic.label.description,
            "project_id": call.project.id,
            "private_ips": addresses_with(nic, "subnet_cidr_id"),
            "virsubnet_id": network(nic),
            "vpc_id": network(nic),
            "vpc_tenant_id": call.project.id,
            "created_at": time(nic.label.created),
            "updated_at": time(nic.label.updated),
            "zone_id": nic.region,
            "tags": tags.collect::<Vec<_>>(),
            "binding:host_id": "",
            "binding:migration_info": {},
            "binding:vif_type": "",
            "instance_id": "",
            "instance_type": "",
            "instance_info": null,
            "ecs_flavor": "",
            "enable_efi": false,
            "position_type": "",
            "scope": "center",
            "vtep_ip": "",
        }),
    )
}

/// A port of v1.
pub(in crate::huawei) fn former(call: &Call, nic: &Nic) -> Value {
    with(
        call,
        nic,
        json!({
            "network_id": network(nic),
            "fixed_ips": addresses_with(nic, "subnet_id"),
            "dns_assignment": [],
            "dns_name": "",
            "instance_id": "",
            "instance_type": "",
            "enable_efi": false,
            "ipv6_bandwidth_id": null,
            "zone_id": nic.region,
        }),
    )
}

/// A port of v2.0.
pub(in crate::huawei) fn neutron(call: &Call, nic: &Nic) -> Value {
    with(
        call,
        nic,
        json!({
            "network_id": network(nic),
            "fixed_ips": addresses_with(nic, "subnet_id"),
            "dns_assignment": [],
            "dns_name": "",
            "description": nic.label.description,
            "project_id": call.project.id,
            "created_at": time(nic.label.created),
            "updated_at": time(nic.label.updated),
        }),
    )
}
