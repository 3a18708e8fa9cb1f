//! Objects by their UUIDs, and regions by their projects.

use sg_records::{Uuid, id_of, project_id, uuid_of};

use super::World;
use crate::{
    CreateAccessKey, CreateVpc, DeleteVpc, RegisterInstance, RemoveInstances, RemoveNics, group_view,
};

#[test]
fn nics_and_instances_are_found_by_their_uuids_as_long_as_they_exist() {
    let mut world = World::new();
    let group = world.group("web");
    let nic = world.nic("10.0.0.1", &["web"]);
    let register = RegisterInstance { id: Some("i-web".to_owned()), ..RegisterInstance::default() };
    let instance = world.run(&register).unwrap();
    let uuid = uuid_of(&nic.id);
    assert_eq!(world.tx.nic_by_uuid(uuid).unwrap().id, nic.id);
    assert_eq!(world.tx.instance_by_uuid(instance.uuid).unwrap().id, instance.instance.id);
    assert!(world.tx.instance_by_uuid(uuid).is_none() && world.tx.nic_by_uuid(instance.uuid).is_none());
    assert!(world.tx.nic_by_uuid(Uuid::nil()).is_none());
    assert_eq!(id_of(group_view(&world.tx, &group).uuid), Some(group.id));

    world.run(&RemoveNics { nics: vec![nic.id.to_string()] }).unwrap();
    world.run(&RemoveInstances { instances: vec!["i-web".to_owned()] }).unwrap();
    assert!(world.tx.nic_by_uuid(uuid).is_none() && world.tx.instance_by_uuid(instance.uuid).is_none());
}

#[test]
fn a_project_leads_to_its_region_while_a_record_is_in_it() {
    let mut world = World::new();
    let vpc = CreateVpc { region: "cn-north-4".to_owned(), ..CreateVpc::default() };
    let [first, second] = [(); 2].map(|()| world.run(&vpc).unwrap());
    let project = project_id("cn-north-4");
    assert_eq!(world.tx.region_of_project(&project), Some("cn-north-4"));
    assert_eq!(world.tx.regions().collect::<Vec<_>>(), ["cn-north-4", "local"]);
    world.run(&DeleteVpc { vpc: first.id.to_string() }).unwrap();
    assert_eq!(world.tx.region_of_project(&project), Some("cn-north-4"));
    world.run(&DeleteVpc { vpc: second.id.to_string() }).unwrap();
    assert_eq!(world.tx.region_of_project(&project), None);
    assert_eq!(world.tx.regions().collect::<Vec<_>>(), ["local"]);
}

#[test]
fn a_new_key_names_the_project_of_a_region() {
    let mut world = World::new();
    let mut project = |region: &str| {
        let create = CreateAccessKey { region: region.to_owned(), ..CreateAccessKey::default() };
        world.run(&create).map(|key| key.project_id)
    };
    assert_eq!(project("cn-north-4").unwrap(), project_id("cn-north-4"));
    assert_eq!(project("").unwrap(), project_id("local"));
    assert!(project("no region").is_err());
}
