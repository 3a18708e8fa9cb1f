//! NICs that come before their instance, and tags of several objects.

use std::net::IpAddr;

use sg_records::{Nic, VpcId};
use sg_store::Key;

use super::{World, new_group};
use crate::{
    AttachNic, Attachment, ChangeTags, CreateInterface, CreateVpc, DeleteInterface, DetachNic, Field, Kind,
    LabelChange, ModifyInstance, ModifyVpc, Quota, Refusal, RegisterInstance, RegisterNic, Removed,
    available,
};

fn interface(vpc: &VpcId, addresses: &[&str]) -> CreateInterface {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    CreateInterface(RegisterNic { vpc: Some(vpc.to_string()), addresses, ..RegisterNic::default() })
}

fn with_range(range: &str) -> World {
    let mut world = World::new();
    let cidr = Some(range.parse().unwrap());
    world.vpc =
        world.run(&ModifyVpc { vpc: world.vpc.id.to_string(), cidr, ..ModifyVpc::default() }).unwrap();
    world
}

#[test]
fn a_range_of_addresses_is_a_prefix() {
    let mut world = World::new();
    for range in ["10.0.0.1/8", "10.0.0.0/7", "10.0.0.0/29"] {
        let create = CreateVpc { cidr: Some(range.parse().unwrap()), ..CreateVpc::default() };
        assert!(matches!(world.run(&create), Err(Refusal::Invalid { field: Field::Vpc, .. })), "{range}");
    }
}

#[test]
fn interfaces_get_the_first_free_address_of_their_vpc() {
    let mut world = World::new();
    let vpc = world.vpc.id.clone();
    let refused = world.run(&interface(&vpc, &[]));
    assert!(matches!(&refused, Err(Refusal::Missing { field: Field::Address, .. })), "{refused:?}");

    // Of sixteen addresses NICs may have twelve.
    let mut world = with_range("10.0.0.0/28");
    let vpc = world.vpc.id.clone();
    let first = |nic: &Nic| nic.addresses[0].to_string();
    assert_eq!(first(&world.run(&interface(&vpc, &["10.0.0.2"])).unwrap()), "10.0.0.2");
    assert_eq!(first(&world.run(&interface(&vpc, &[])).unwrap()), "10.0.0.1");
    assert_eq!(first(&world.run(&interface(&vpc, &[])).unwrap()), "10.0.0.3");
    for taken in 4..=12 {
        let free = available(&world.tx, &world.vpc);
        assert_eq!(free, 13 - taken, "{taken}");
        assert_eq!(first(&world.run(&interface(&vpc, &[])).unwrap()), format!("10.0.0.{taken}"));
    }
    assert_eq!(available(&world.tx, &world.vpc), 0);
    let refused = world.run(&interface(&vpc, &[])).unwrap_err();
    assert!(refused.to_string().contains("has no free address"), "{refused}");

    let refused = world.run(&interface(&vpc, &["10.0.0.2"]));
    let address: IpAddr = "10.0.0.2".parse().unwrap();
    assert!(matches!(refused, Err(Refusal::AddressTaken { address: found, .. }) if found == address));
    for outside in ["10.0.0.0", "10.0.0.13", "10.0.0.15", "192.0.2.1"] {
        let refused = world.run(&interface(&vpc, &[outside]));
        assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Address, .. })), "{outside}");
    }
    // The range is of IPv4.
    world.run(&interface(&vpc, &["2001:db8::1"])).unwrap();
}

#[test]
fn nics_are_attached_and_detached() {
    let mut world = with_range("10.0.0.0/24");
    let vpc = world.vpc.id.clone();
    let instance = |id: &str, vpc: &VpcId| RegisterInstance {
        id: Some(id.to_owned()),
        vpc: Some(vpc.to_string()),
        ..RegisterInstance::default()
    };
    world.run(&instance("i-web", &vpc)).unwrap();
    world.run(&instance("i-other", &vpc)).unwrap();
    let [first, second] = [(); 2].map(|()| world.run(&interface(&vpc, &[])).unwrap().id.to_string());
    let attach = |nic: &str, instance: &str| AttachNic { nic: nic.to_owned(), instance: instance.to_owned() };
    let detach = |nic: &str, instance: &str| DetachNic { nic: nic.to_owned(), instance: instance.to_owned() };
    let found = |refused: Result<Nic, Refusal>| match refused {
        Err(Refusal::Attachment { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(world.run(&detach(&first, "i-web"))), Attachment::Detached);
    assert!(world.run(&attach(&first, "i-web")).unwrap().primary);
    assert!(!world.run(&attach(&second, "i-web")).unwrap().primary);
    assert_eq!(found(world.run(&attach(&second, "i-other"))), Attachment::Attached);
    assert_eq!(found(world.run(&detach(&second, "i-other"))), Attachment::Elsewhere);
    assert_eq!(found(world.run(&detach(&first, "i-web"))), Attachment::Primary);
    let refused = world.run(&DeleteInterface { nic: second.clone() });
    assert!(matches!(refused, Err(Refusal::Attachment { found: Attachment::Attached, .. })));
    assert_eq!(world.run(&detach(&second, "i-web")).unwrap().instance, None);
    world.run(&DeleteInterface { nic: second }).unwrap();

    // Everything would pass on a device of this host.
    let CreateInterface(register) = interface(&vpc, &[]);
    let here = world.run(&RegisterNic { device: Some("eth0".to_owned()), ..register }).unwrap();
    let refused = world.run(&DeleteInterface { nic: here.id.to_string() });
    assert!(matches!(refused, Err(Refusal::Attachment { found: Attachment::Device, .. })));

    let other = world.run(&CreateVpc::default()).unwrap().id;
    world.run(&instance("i-away", &other)).unwrap();
    let third = world.run(&interface(&vpc, &[])).unwrap().id.to_string();
    assert!(matches!(world.run(&attach(&third, "i-away")), Err(Refusal::OtherVpc { .. })));
    assert!(crate::check_stored(&world.tx).is_ok());
}

#[test]
fn tags_of_several_objects_change_all_or_none() {
    let mut world = World::new();
    let (web, db) = (world.group("web"), world.group("db"));
    let nic = world.nic("10.0.0.1", &["web"]);
    let tags = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let all = vec![Key::Group(web.id.clone()), Key::Group(db.id), Key::Nic(nic.id.clone())];
    let set = |objects: &[Key], pairs| ChangeTags {
        objects: objects.to_vec(),
        set: tags(pairs),
        ..ChangeTags::default()
    };
    world.run(&set(&all, &[("stage", "test"), ("team", "a")])).unwrap();
    world.run(&set(&all[..1], &[("stage", "live")])).unwrap();
    let of = |world: &World| world.tx.group(&web.id).unwrap().label.tags.clone();
    assert_eq!(of(&world), tags(&[("stage", "live"), ("team", "a")]));
    assert_eq!(world.tx.nic(&nic.id).unwrap().label.tags, tags(&[("stage", "test"), ("team", "a")]));

    // The last one does not exist: nothing happens to the first.
    let missing = [all[0].clone(), Key::Nic("eni-none".into())];
    let refused = world.run(&set(&missing, &[("more", "")]));
    assert!(matches!(refused, Err(Refusal::NotFound { kind: Kind::Nic, .. })), "{refused:?}");
    let many: Vec<String> = (0..19).map(|number| format!("k{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
    let refused = world.run(&set(&all[1..], &many));
    assert!(matches!(refused, Err(Refusal::TooMany { quota: Quota::Tags, needed: 21, .. })), "{refused:?}");
    assert!(matches!(world.run(&set(&all, &[("aliyun", "")])), Err(Refusal::Invalid { .. })));
    assert_eq!(of(&world).len(), 2);

    let remove = |remove| ChangeTags { objects: all.clone(), remove, ..ChangeTags::default() };
    let these =
        |key: &str, value: Option<&str>| Removed::These([(key.to_owned(), value.map(str::to_owned))].into());
    world.run(&remove(these("stage", Some("test")))).unwrap();
    assert_eq!(of(&world), tags(&[("stage", "live"), ("team", "a")]));
    assert_eq!(world.tx.nic(&nic.id).unwrap().label.tags, tags(&[("team", "a")]));
    world.run(&remove(these("stage", None))).unwrap();
    world.run(&remove(Removed::All)).unwrap();
    assert!(of(&world).is_empty());
}

#[test]
fn several_operations_are_one() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    let register = RegisterInstance { id: Some("i-web".to_owned()), ..RegisterInstance::default() };
    world.run(&register).unwrap();
    let rename = |name: &str| ModifyInstance {
        instance: "i-web".to_owned(),
        label: LabelChange { name: Some(name.to_owned()), ..LabelChange::default() },
    };
    let name = |world: &World| world.tx.instance(&"i-web".into()).unwrap().label.name.clone();
    world.run(&(Some(rename("web1")), Some(new_group("web", &vpc)))).unwrap();
    assert_eq!((name(&world).as_str(), world.tx.groups().len()), ("web1", 1));
    assert!(world.run(&(Some(rename("web2")), Some(new_group("1", &vpc)))).is_err());
    assert_eq!((name(&world).as_str(), world.tx.groups().len()), ("web1", 1));
    world.run(&(None::<ModifyInstance>, Some(rename("web3")))).unwrap();
    assert_eq!(name(&world), "web3");
}
