//! Requests that meet another change which is not in force yet: what they were decided on is old when their turn comes.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_records::{Family, ListEntry, PrefixEntry, PrefixFamily, uuid_of};
use sg_service::{
    AttachNic, CreateGroup, CreateList, CreateVpc, Leave, ModifyList, NewLabel, RegisterInstance,
    RegisterNic, Service,
    in_memory::{InForce, Remembers},
};
use tokio::{join, task::yield_now};

use super::{REGION, huawei, send};
use crate::huawei::{Huawei, router};

/// How often a request that waits for another change is looked at until that one goes on.
const LOOKS: usize = 100;

/// A server with a VPC, and a store that a test can hold up.
struct World {
    service: Service,
    store: Remembers,
    face: Router,
}

impl World {
    async fn new() -> Self {
        let store = Remembers::default();
        let (service, _) = Service::start(Box::new(store.clone()), InForce::default()).unwrap();
        let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
        let vpc = CreateVpc { label, region: REGION.to_owned(), ..CreateVpc::default() };
        service.submit(vpc).await.unwrap();
        let face = router(Huawei { service: service.clone(), ..huawei() });
        Self { service, store, face }
    }

    /// A NIC of the VPC on another host, with or without an instance.
    async fn nic(&self, address: &str, instance: Option<&str>) -> sg_records::Nic {
        let nic = RegisterNic {
            region: REGION.to_owned(),
            vpc: instance.is_none().then(|| "net".to_owned()),
            instance: instance.map(str::to_owned),
            addresses: vec![address.parse().unwrap()],
            ..RegisterNic::default()
        };
        self.service.submit(nic).await.unwrap()
    }

    async fn instance(&self, id: &str) -> String {
        let instance = RegisterInstance {
            id: Some(id.to_owned()),
            region: REGION.to_owned(),
            vpc: Some("net".to_owned()),
            ..RegisterInstance::default()
        };
        self.service.submit(instance).await.unwrap().uuid.to_string()
    }

    /// Runs both at once: neither is in force before both have come as far as they do by themselves.
    async fn together<A, B>(
        &self,
        first: impl Future<Output = A>,
        second: impl Future<Output = B>,
    ) -> (A, B) {
        let (held, is_held) = mpsc::channel();
        let (release, is_released) = mpsc::channel::<()>();
        let records = Arc::clone(&self.store.0);
        let holder = thread::spawn(move || {
            let _records = records.lock().unwrap();
            held.send(()).unwrap();
            is_released.recv().unwrap();
        });
        is_held.recv().unwrap();
        let go_on = async {
            for _ in 0..LOOKS {
                yield_now().await;
            }
            release.send(()).unwrap();
        };
        let (first, second, ()) = join!(first, second, go_on);
        holder.join().unwrap();
        (first, second)
    }
}

#[tokio::test]
async fn a_port_that_is_just_attached_is_not_deleted() {
    let world = World::new().await;
    world.instance("i-web").await;
    for (number, path, code) in
        [(1, "/v1/{project_id}/ports/", json!("VPC.2500")), (2, "/v2.0/ports/", json!("PortInUse"))]
    {
        let nic = world.nic(&format!("10.0.0.{number}"), None).await;
        let attach = AttachNic { nic: nic.id.to_string(), instance: "i-web".to_owned() };
        let path = format!("{path}{}", uuid_of(&nic.id));
        let delete = send(&world.face, Method::DELETE, &path, &Value::Null);
        let (attached, deleted) = world.together(world.service.submit(attach), delete).await;
        attached.unwrap();
        let said = deleted.json();
        assert_eq!(
            (deleted.status.as_u16(), said.get("code").unwrap_or(&said["NeutronError"]["type"])),
            (409, &code),
            "{deleted:?}"
        );
        assert!(world.service.snapshot().nic(&nic.id).is_some());
    }
}

#[tokio::test]
async fn addresses_without_remarks_leave_those_that_another_api_sets() {
    let world = World::new().await;
    let entry =
        |text: &str, remark: &str| PrefixEntry::new(PrefixEntry::parse(text).unwrap(), remark.to_owned());
    let list = CreateList::<PrefixEntry> {
        label: NewLabel { name: "office".to_owned(), ..NewLabel::default() },
        region: REGION.to_owned(),
        extra: PrefixFamily { family: Some(Family::V4) },
        max_entries: 20,
        entries: vec![entry("10.0.0.1", "printer"), entry("10.1.0.0/16", ""), entry("10.2.0.0/16", "gone")],
    };
    let list = world.service.submit(list).await.unwrap();
    let remark = ModifyList::<PrefixEntry> {
        list: list.id.to_string(),
        add: vec![entry("10.1.0.0/16", "the lab")],
        ..ModifyList::default()
    };
    let path = format!("/v3/{{project_id}}/vpc/address-groups/{}", uuid_of(&list.id));
    let body = json!({ "address_group": { "ip_set": ["10.3.0.0/16", "10.1.0.0/16", "10.0.0.1"] } });
    let replace = send(&world.face, Method::PUT, &path, &body);
    let (remarked, replaced) = world.together(world.service.submit(remark), replace).await;
    remarked.unwrap();
    let wanted = [("10.3.0.0/16", ""), ("10.1.0.0/16", "the lab"), ("10.0.0.1", "printer")];
    let wanted = wanted.map(|(ip, remarks)| json!({ "ip": ip, "remarks": remarks }));
    assert_eq!(replaced.json()["address_group"]["ip_extra_set"], json!(wanted), "{replaced:?}");

    let body = json!({ "address_group": { "ip_extra_set": [{ "ip": "10.0.0.1" }] } });
    let replaced = send(&world.face, Method::PUT, &path, &body).await;
    let wanted = json!([{ "ip": "10.0.0.1", "remarks": "" }]);
    assert_eq!(replaced.json()["address_group"]["ip_extra_set"], wanted, "{replaced:?}");
}

#[tokio::test]
async fn a_group_joins_a_server_twice_at_once_and_leaves_it_once() {
    let world = World::new().await;
    let server = world.instance("i-web").await;
    let nics = [world.nic("10.0.0.1", Some("i-web")).await, world.nic("10.0.0.2", Some("i-web")).await];
    let label = NewLabel { name: "web".to_owned(), ..NewLabel::default() };
    let group = CreateGroup { label, vpc: Some("net".to_owned()), ..CreateGroup::default() };
    let group = world.service.submit(group).await.unwrap().id;
    let path = format!("/v2.1/{{project_id}}/servers/{server}/action");
    let holding = || {
        let state = world.service.snapshot();
        nics.iter().filter(|nic| state.nic(&nic.id).unwrap().groups.contains(&group)).count()
    };

    let body = json!({ "addSecurityGroup": { "name": "web" } });
    let add = || send(&world.face, Method::POST, &path, &body);
    let (first, second) = world.together(add(), add()).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16(), holding()), (202, 202, 2), "{second:?}");

    // One interface leaves by itself: the other one still does.
    let body = json!({ "removeSecurityGroup": { "name": uuid_of(&group) } });
    let remove = || send(&world.face, Method::POST, &path, &body);
    let leave = Leave { groups: vec![group.to_string()], targets: vec![nics[0].id.to_string()] };
    let (left, removed) = world.together(world.service.submit(leave), remove()).await;
    left.unwrap();
    assert_eq!((removed.status.as_u16(), holding()), (202, 0), "{removed:?}");
    let again = remove().await;
    assert!(again.status == 400 && again.text.contains("no interface of the server holds"), "{again:?}");

    let empty = world.instance("i-empty").await;
    let path = format!("/v2.1/{{project_id}}/servers/{empty}/action");
    let body = json!({ "addSecurityGroup": { "name": "web" } });
    let refused = send(&world.face, Method::POST, &path, &body).await;
    assert!(refused.status == 400 && refused.text.contains("no interface"), "{refused:?}");
}
