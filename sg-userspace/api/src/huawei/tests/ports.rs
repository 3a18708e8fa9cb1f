//! Ports, and the lists of v2.0: links to parts, either way round, and the fields that a client asks for.

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_model::DeviceFacts;
use sg_records::{Order, uuid_of};
use sg_service::{
    CreateGroup, CreateVpc, ModifyVpc, NewLabel, RegisterInstance, RegisterNic, Service,
    in_memory::{InForce, Remembers},
};

use super::{REGION, get, huawei, project, send};
use crate::huawei::{Huawei, router};

const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";

/// A server with a VPC, two groups, and three ports which hold the first. The ids of groups, and of ports in their order.
async fn world() -> (Router, Vec<String>, Vec<String>) {
    let huawei = huawei();
    let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
    let vpc = CreateVpc { label, region: REGION.to_owned(), ..CreateVpc::default() };
    let network = uuid_of(&huawei.service.submit(vpc).await.unwrap().id).to_string();
    let face = router(huawei);
    let mut groups = Vec::new();
    for name in ["web", "db"] {
        let made =
            send(&face, Method::POST, GROUPS, &json!({ "security_group": { "name": name } })).await.json();
        groups.push(made["security_group"]["id"].as_str().unwrap().to_owned());
    }
    let mut ports = Vec::new();
    for number in 1..=3 {
        let address = format!("10.0.0.{number}");
        let port = json!({ "network_id": network, "fixed_ips": [{ "ip_address": address }], "name": format!("p{number}"),
            "security_groups": [groups[0]], "allowed_address_pairs": [{ "ip_address": "10.9.0.0/24" }] });
        let made = send(&face, Method::POST, "/v2.0/ports", &json!({ "port": port })).await;
        assert_eq!(made.status, 201, "{made:?}");
        ports.push(made.json()["port"]["id"].as_str().unwrap().to_owned());
    }
    ports.sort();
    (face, groups, ports)
}

fn ids(list: &Value, name: &str) -> Vec<String> {
    let items = list[name].as_array().unwrap_or_else(|| panic!("{list}"));
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn link(list: &Value, rel: &str) -> Option<String> {
    let links = list["ports_links"].as_array().into_iter().flatten();
    let href = links.into_iter().find(|link| link["rel"] == rel)?["href"].as_str()?.to_owned();
    Some(href.strip_prefix("http://127.0.0.1:8751").unwrap_or_else(|| panic!("{href}")).to_owned())
}

#[tokio::test]
async fn links_lead_to_every_part_and_back() {
    let (face, _, ports) = world().await;
    let first = get(&face, "/v2.0/ports?limit=2").await.json();
    assert_eq!((ids(&first, "ports"), link(&first, "previous")), (ports[..2].to_vec(), None));
    let second = get(&face, &link(&first, "next").unwrap()).await.json();
    assert_eq!((ids(&second, "ports"), link(&second, "next")), (ports[2..].to_vec(), None));
    let back = get(&face, &link(&second, "previous").unwrap()).await.json();
    assert_eq!((ids(&back, "ports"), link(&back, "previous")), (ports[..2].to_vec(), None));
    let last = get(&face, "/v2.0/ports?limit=1&marker=&page_reverse=true").await.json();
    assert_eq!(ids(&last, "ports"), ports[2..]);
    let all = get(&face, "/v2.0/ports").await.json();
    assert_eq!((ids(&all, "ports"), all.get("ports_links")), (ports.clone(), None));
    for marker in [ports[2].clone(), ports[2].to_uppercase()] {
        for path in ["/v2.0/ports".to_owned(), format!("/v1/{}/ports", project())] {
            let behind = get(&face, &format!("{path}?marker={marker}")).await.json();
            assert_eq!(behind["ports"], json!([]), "{path} {marker}");
        }
    }
    let unknown = get(&face, &format!("/v2.0/ports?marker={}", "0".repeat(36))).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["NeutronError"]["type"].clone()),
        (400, json!("HTTPBadRequest"))
    );
    let fields = get(&face, "/v2.0/ports?fields=id&fields=name&name=p1").await.json();
    assert_eq!(fields["ports"][0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn every_version_lists_a_port_by_what_it_shows() {
    let (face, groups, ports) = world().await;
    let shown = get(&face, &format!("/v3/{{project_id}}/ports/{}", ports[0])).await.json()["port"].clone();
    let address = shown["private_ips"][0]["ip_address"].as_str().unwrap().to_owned();
    let network = shown["vpc_id"].as_str().unwrap().to_owned();
    let name = shown["name"].as_str().unwrap();
    assert_eq!((&shown["status"], &shown["device_id"]), (&json!("DOWN"), &json!("")));
    for (query, found) in [
        (format!("private_ips={address}"), 1),
        (format!("private_ips=ip_address%3D{address}&private_ips=subnet_cidr_id%3D{network}"), 1),
        ("private_ips=subnet_cidr_id%3Dnowhere".to_owned(), 0),
        (format!("name={name}&name=nobody&status=DOWN"), 1),
        (format!("security_groups={}", groups[0]), 3),
        (format!("security_groups={}", groups[1]), 0),
        ("allowed_address_pairs=10.9.0.0%2F24".to_owned(), 3),
        ("allowed_address_pairs=10.9.0.0".to_owned(), 0),
        ("device_owner_prefixlike=compute".to_owned(), 0),
        ("admin_state_up=false".to_owned(), 0),
        (format!("vpc_id={network}&virsubnet_id={network}&instance_type="), 3),
    ] {
        let list = get(&face, &format!("/v3/{{project_id}}/ports?{query}")).await.json();
        assert_eq!(ids(&list, "ports").len(), found, "{query}: {list}");
    }
    for (query, found) in [
        (format!("fixed_ips=ip_address%3D{address}"), 1),
        (format!("network_id={network}&enterprise_project_id=0"), 3),
        ("enterprise_project_id=elsewhere".to_owned(), 0),
        ("enable_efi=true".to_owned(), 0),
    ] {
        let list = get(&face, &format!("/v1/{{project_id}}/ports?{query}")).await.json();
        assert_eq!(ids(&list, "ports").len(), found, "{query}: {list}");
    }
}

#[tokio::test]
async fn refused_changes_of_a_port_change_nothing() {
    let (face, groups, ports) = world().await;
    let (v1, v2) = (format!("/v1/{{project_id}}/ports/{}", ports[0]), format!("/v2.0/ports/{}", ports[0]));
    let unknown = "0".repeat(36);
    let port = |fields: Value| json!({ "port": fields });
    for (target, body, code) in [
        (&v1, port(json!({ "name": "other", "security_groups": [] })), "VPC.2500"),
        (&v1, port(json!({ "name": "other", "security_groups": [groups[1], groups[1]] })), "VPC.2500"),
        (&v1, port(json!({ "name": "other", "security_groups": [unknown] })), "VPC.2500"),
        (&v1, port(json!({ "extra_dhcp_opts": [] })), "VPC.2500"),
        (&v1, port(json!({ "allowed_address_pairs": [{ "ip_address": "x" }] })), "VPC.2500"),
        (&v2, port(json!({ "port_security_enabled": false })), "HTTPBadRequest"),
        (&v2, port(json!({ "binding:profile": {} })), "HTTPBadRequest"),
        (&v2, port(json!({ "security_groups": [] })), "HTTPBadRequest"),
    ] {
        let reply = send(&face, Method::PUT, target, &body).await;
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        let found = reply.json();
        assert_eq!(found.get("code").unwrap_or(&found["NeutronError"]["type"]), code, "{body}: {reply:?}");
    }
    let shown = get(&face, &v1).await.json()["port"].clone();
    assert_eq!((shown["security_groups"].clone(), shown["name"] != "other"), (json!([groups[0]]), true));
    let none =
        send(&face, Method::DELETE, &format!("/v1/{{project_id}}/ports/{unknown}"), &Value::Null).await;
    assert_eq!((none.status.as_u16(), none.json()["code"].clone()), (404, json!("VPC.2502")));
}

#[tokio::test]
async fn no_two_ports_of_a_network_have_one_address() {
    let (face, _, ports) = world().await;
    let shown = get(&face, &format!("/v2.0/ports/{}", ports[0])).await.json()["port"].take();
    let with = |address: &str| json!({ "port": { "network_id": shown["network_id"], "fixed_ips": [{ "ip_address": address }] } });
    for (path, code) in [("/v1/{project_id}/ports", "VPC.0701"), ("/v2.0/ports", "IpAddressInUse")] {
        let taken = send(&face, Method::POST, path, &with("10.0.0.2")).await;
        let said = taken.json();
        let found = said.get("code").unwrap_or(&said["NeutronError"]["type"]);
        assert_eq!((taken.status.as_u16(), found), (409, &json!(code)), "{taken:?}");
    }
    assert_eq!(ids(&get(&face, "/v2.0/ports").await.json(), "ports"), ports);
    assert_eq!(send(&face, Method::POST, "/v2.0/ports", &with("10.0.0.4")).await.status, 201);
    let none = json!({ "port": { "network_id": shown["network_id"] } });
    let refused = send(&face, Method::POST, "/v1/{project_id}/ports", &none).await;
    let text = "has no range of addresses";
    assert!(refused.status == 400 && refused.text.contains(text), "{refused:?}");
}

#[tokio::test]
async fn ports_have_the_addresses_of_their_devices() {
    let in_force = InForce::default();
    let facts = DeviceFacts {
        mac: "02:00:00:00:00:05".parse().ok(),
        addresses: ["10.0.0.7", "2001:db8::7", "fe80::7"].map(|address| address.parse().unwrap()).into(),
        ..DeviceFacts::default()
    };
    in_force.devices.lock().unwrap().insert("eth1".to_owned(), facts);
    let (service, _) = Service::start(Box::<Remembers>::default(), in_force).unwrap();
    let nic =
        RegisterNic { device: Some("eth1".to_owned()), region: REGION.to_owned(), ..RegisterNic::default() };
    let server =
        RegisterInstance { region: REGION.to_owned(), nics: vec![nic], ..RegisterInstance::default() };
    let server = service.submit(server).await.unwrap();
    let (port, server) = (server.nics[0].uuid.to_string(), server.uuid.to_string());
    let face = router(Huawei { service, ..huawei() });
    let addresses = |list: &Value| -> Vec<Value> {
        list.as_array()
            .unwrap_or_else(|| panic!("{list}"))
            .iter()
            .map(|one| one["ip_address"].clone())
            .collect()
    };

    for (path, list, field) in [
        ("/v3/{project_id}/ports?private_ips=ip_address%3D10.0.0.7", "ports", "private_ips"),
        ("/v2.0/ports?fixed_ips=ip_address%3D2001%3Adb8%3A%3A7", "ports", "fixed_ips"),
        ("/v1/{project_id}/ports?fixed_ips=ip_address%3D10.0.0.7", "ports", "fixed_ips"),
    ] {
        let found = get(&face, path).await.json();
        assert_eq!(ids(&found, list), std::slice::from_ref(&port), "{path}");
        assert_eq!(addresses(&found[list][0][field]), ["10.0.0.7", "2001:db8::7"], "{path}");
        assert_eq!(found[list][0]["mac_address"], "02:00:00:00:00:05", "{path}");
    }
    let none = get(&face, "/v3/{project_id}/ports?private_ips=ip_address%3D10.0.0.8").await.json();
    assert!(ids(&none, "ports").is_empty());
    let shown = get(&face, &format!("/v3/{{project_id}}/ports/{port}")).await.json();
    assert_eq!(addresses(&shown["port"]["private_ips"]), ["10.0.0.7", "2001:db8::7"]);
    let attached = format!("/v1/{{project_id}}/cloudservers/{server}/os-interface");
    let attached = get(&face, &attached).await.json();
    assert_eq!(addresses(&attached["interfaceAttachments"][0]["fixed_ips"]), ["10.0.0.7", "2001:db8::7"]);
    let servers = get(&face, "/v1/{project_id}/cloudservers/detail?ip_eq=10.0.0.7").await.json();
    assert_eq!(servers["count"], 1, "{servers}");
    let addresses = servers["servers"][0]["addresses"].as_object().unwrap();
    assert_eq!(addresses[""][0]["OS-EXT-IPS-MAC:mac_addr"], "02:00:00:00:00:05");
}

#[tokio::test]
async fn an_order_that_changes_no_verdict_is_refused() {
    let huawei = huawei();
    let service = huawei.service.clone();
    let label = |name: &str| NewLabel { name: name.to_owned(), ..NewLabel::default() };
    let vpc = CreateVpc { label: label("prod"), region: REGION.to_owned(), ..CreateVpc::default() };
    let vpc = service.submit(vpc).await.unwrap().id.to_string();
    let mut groups = Vec::new();
    for name in ["web", "db", "log"] {
        let group = CreateGroup { label: label(name), vpc: Some(vpc.clone()), ..CreateGroup::default() };
        groups.push(uuid_of(&service.submit(group).await.unwrap().id).to_string());
    }
    let nic = RegisterNic {
        vpc: Some(vpc.clone()),
        region: REGION.to_owned(),
        addresses: vec!["10.0.0.1".parse().unwrap()],
        groups: vec!["web".to_owned()],
        ..RegisterNic::default()
    };
    let nic = uuid_of(&service.submit(nic).await.unwrap().id).to_string();
    let face = router(huawei);
    let insert = format!("/v3/{{project_id}}/ports/{nic}/insert-security-groups");
    let at = |group: &str, index: Value| json!({ "port": { "security_groups": [group], "index": index } });
    let (v1, v2) = (format!("/v1/{{project_id}}/ports/{nic}"), format!("/v2.0/ports/{nic}"));
    let all = |order: [usize; 2]| json!({ "port": { "security_groups": order.map(|at| &groups[at]) } });

    let says = "the order of VPC prod is merged";
    let refused = send(&face, Method::PUT, &insert, &at(&groups[1], json!(0))).await;
    assert_eq!(refused.refusal(), (400, "VPC.9902".to_owned()), "{refused:?}");
    assert!(refused.text.contains(says) && refused.text.contains("--order sequence"), "{refused:?}");
    assert_eq!(send(&face, Method::PUT, &insert, &at(&groups[1], json!(1))).await.status, 200, "the end");
    for path in [&v1, &v2] {
        let refused = send(&face, Method::PUT, path, &all([1, 0])).await;
        assert!(refused.status == 400 && refused.text.contains(says), "{refused:?}");
        assert_eq!(send(&face, Method::PUT, path, &all([0, 1])).await.status, 200, "as they are");
    }
    assert_eq!(get(&face, &v1).await.json()["port"]["security_groups"], json!(groups[..2]));

    let sequence = ModifyVpc { vpc, order: Some(Order::Sequence), ..ModifyVpc::default() };
    service.submit(sequence).await.unwrap();
    assert_eq!(send(&face, Method::PUT, &v1, &all([1, 0])).await.status, 200);
    assert_eq!(send(&face, Method::PUT, &insert, &at(&groups[2], json!(0))).await.status, 200);
}
