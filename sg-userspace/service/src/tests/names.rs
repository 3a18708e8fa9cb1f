//! Names that could be confused, and names that would lead to two objects: refused by every operation.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sg_model::text::look;
use sg_records::{Direction, Nic, NoExtra, PortEntry, PrefixEntry, RuleSpec};
use sg_store::{Record, export, import};

use super::{IPV4, World, new_group, new_list, tcp};
use crate::{
    Apply, CreateVpc, Difference, Field, ImportRules, Imported, LabelChange, ModifyGroup, ModifyNic,
    NewLabel, Refusal, RegisterInstance, RegisterNic, RemoveNics, ReplaceState, RuleFile, State, Tx,
    check_stored,
};

/// Each by itself is a valid name.
const TWINS: &[(&str, &str)] = &[("Büri", "Bürı"), ("ロロ", "口口"), ("東ーx", "東一x")];

fn named(name: &str) -> NewLabel {
    NewLabel { name: name.to_owned(), ..NewLabel::default() }
}

/// The field for which a name is refused.
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, in_field: Field) -> String {
    match result {
        Err(Refusal::Invalid { field, allowed, .. }) if field == in_field => allowed,
        other => panic!("{other:?}"),
    }
}

fn renamed(group: &str, name: &str) -> ModifyGroup {
    let label = LabelChange { name: Some(name.to_owned()), ..LabelChange::default() };
    ModifyGroup { group: group.to_owned(), label, inner_access: None }
}

fn applied(world: &mut World, name: &str, text: &str) -> Result<Difference, Refusal> {
    let (region, file) = (String::new(), String::new());
    world.run(&Apply {
        text: text.into(),
        name: name.to_owned(),
        region,
        file,
        allow_unfiltered: false,
        force: false,
    })
}

#[test]
fn a_refusal_calls_an_object_by_its_name_if_no_other_has_it() {
    let mut world = World::new();
    let (web, vpc) = (world.group("web"), world.vpc.clone());
    assert_eq!(world.tx.called_group(&web).to_string(), "group web");
    assert_eq!(world.tx.network(Some(&vpc.id)).to_string(), "VPC net");
    assert_eq!(world.tx.network(None).to_string(), "the classic network");
    let nic = world.nic("10.0.0.1", &["web"]);
    assert_eq!(world.tx.called_nic(&nic).to_string(), format!("NIC {}", nic.id));
    assert_eq!(world.tx.called_nic(&Nic { device: Some("eth0".to_owned()), ..nic }).to_string(), "NIC eth0");

    let mut unclear = web.clone();
    "\u{202e}bew".clone_into(&mut unclear.label.name);
    assert_eq!(world.tx.called_group(&unclear).to_string(), format!("group {}", web.id));
    world.group("web");
    assert_eq!(world.tx.called_group(&web).to_string(), format!("group {}", web.id));
}

#[test]
fn a_twin_of_a_group_is_refused_and_names_the_other() {
    for (one, other) in TWINS {
        let mut world = World::new();
        let vpc = world.vpc.clone();
        let first = world.group(one);
        let third = world.group("third");
        for said in [
            refused(world.run(&new_group(other, &vpc)), Field::Name),
            refused(world.run(&renamed("third", other)), Field::Name),
        ] {
            let expected = format!("it looks like {one:?}, the name of group {}", first.id);
            assert!(said.starts_with(&expected), "{said}");
        }
        // The same name is not confusable, and an object may keep its name.
        world.run(&new_group(one, &vpc)).unwrap();
        world.run(&renamed(first.id.as_str(), one)).unwrap();
        // If two objects have it, both must go before the other name may be used.
        refused(world.run(&renamed(first.id.as_str(), other)), Field::Name);
        world.run(&renamed(third.id.as_str(), "fourth")).unwrap();
    }
}

#[test]
fn everything_that_has_a_name_has_no_twin() {
    for (one, other) in TWINS {
        let mut world = World::new();
        let vpc = |name: &str| CreateVpc { label: named(name), ..CreateVpc::default() };
        let prefixes = |name: &str| new_list::<PrefixEntry>(name, IPV4, 1, Vec::new());
        let ports = |name: &str| new_list::<PortEntry>(name, NoExtra {}, 1, Vec::new());
        let instance = |name: &str| RegisterInstance { label: named(name), ..RegisterInstance::default() };
        let nic = |name: &str| RegisterNic {
            label: named(name),
            addresses: vec!["10.0.0.1".parse().unwrap()],
            ..RegisterNic::default()
        };
        let rule = |name: &str, port| RuleSpec { name: name.to_owned(), ..tcp(port, "any") };
        world.run(&vpc(one)).unwrap();
        refused(world.run(&vpc(other)), Field::Name);
        world.run(&prefixes(one)).unwrap();
        refused(world.run(&prefixes(other)), Field::Name);
        world.run(&ports(one)).unwrap();
        refused(world.run(&ports(other)), Field::Name);
        world.run(&instance(one)).unwrap();
        refused(world.run(&instance(other)), Field::Name);
        world.run(&nic(one)).unwrap();
        refused(world.run(&nic(other)), Field::Name);
        let (web, db) = (world.group("web"), world.group("db"));
        world.rule(web.id.as_str(), Direction::Ingress, rule(one, 1)).unwrap();
        let said = refused(world.rule(web.id.as_str(), Direction::Egress, rule(other, 2)), Field::Name);
        assert!(said.contains("the name of rule sgr-"), "{said}");
        world.rule(db.id.as_str(), Direction::Ingress, rule(other, 1)).unwrap();
        // Two tags of one object.
        let tags: BTreeMap<String, String> = [*one, *other].map(|key| (key.to_owned(), String::new())).into();
        let label = NewLabel { tags, ..named("tagged") };
        let said = refused(world.run(&CreateVpc { label, ..CreateVpc::default() }), Field::TagKey);
        assert!(said.contains("another key here"), "{said}");
    }
}

#[test]
fn spaces_and_signs_that_nobody_sees_are_in_no_name_and_no_key() {
    let mut world = World::new();
    for text in [" ", "gg ", " gg", "gg  x", "東\u{1680}京", "東\u{2010}web", "we\u{336}b", "we\u{a0}b"] {
        let tagged = NewLabel { tags: [(text.to_owned(), String::new())].into(), ..named("tagged") };
        refused(world.run(&CreateVpc { label: tagged, ..CreateVpc::default() }), Field::TagKey);
        let rule = RuleSpec { name: text.to_owned(), ..tcp(1, "any") };
        world.group("web");
        let group = world.tx.groups().values().next().unwrap().id.to_string();
        refused(world.rule(&group, Direction::Ingress, rule), Field::Name);
        for document in [format!("groups: {{ {text:?}: }}"), format!("prefix_lists: {{ {text:?}: [] }}")] {
            let refused = applied(&mut world, "doc", &document);
            assert!(matches!(refused, Err(Refusal::Document { .. })), "{refused:?}");
        }
    }
}

#[test]
fn a_document_has_no_twins_of_its_own_nor_of_others() {
    for (one, other) in TWINS {
        let mut world = World::new();
        for document in [
            format!("groups: {{ {one:?}: , {other:?}: }}"),
            format!("prefix_lists: {{ {one:?}: [], {other:?}: [] }}"),
            format!("port_lists: {{ {one:?}: [], {other:?}: [] }}"),
            format!(
                "groups: {{ g: {{ ingress: [ {{ id: {one:?}, protocol: all }}, {{ id: {other:?}, protocol: all }} ] }} }}"
            ),
        ] {
            let Err(Refusal::Document { reason }) = applied(&mut world, "doc", &document) else {
                panic!("{document}")
            };
            let expected = format!("{other:?} looks like {one:?}, the name of another ");
            assert!(reason.starts_with("doc:1:") && reason.contains(&expected), "{reason}");
        }
        let with = |name: &str| {
            format!("groups: {{ {name:?}: {{ ingress: [ {{ id: {name:?}, protocol: all }} ] }} }}")
        };
        applied(&mut world, "doc", &with(one)).unwrap();
        assert!(
            applied(&mut world, "doc", &with(one)).unwrap().changes.is_empty(),
            "applied again it changes nothing"
        );
        let said = refused(applied(&mut world, "other", &with(other)), Field::Name);
        assert!(said.contains(&format!("{one:?}, the name of group sg-")), "{said}");
        // A replacement is never beside what it replaces.
        applied(&mut world, "doc", &with(other)).unwrap();
        let vpc = world.vpc.clone();
        refused(world.run(&new_group(one, &vpc)), Field::Name);
    }
}

fn nic(name: &str, device: Option<&str>) -> RegisterNic {
    RegisterNic {
        label: named(name),
        device: device.map(str::to_owned),
        addresses: vec!["10.0.0.1".parse().unwrap()],
        ..RegisterNic::default()
    }
}

fn changed(nic: &Nic, name: Option<&str>, device: Option<&str>) -> ModifyNic {
    ModifyNic {
        nic: nic.id.to_string(),
        label: LabelChange { name: name.map(str::to_owned), ..LabelChange::default() },
        device: device.map(str::to_owned),
        ..ModifyNic::default()
    }
}

/// `DELETE /v1/nics/n0` sent twice: the second one must not find a NIC that is merely named so.
#[test]
fn no_nic_is_named_as_the_device_of_another_one() {
    let mut world = World::new();
    let first = world.run(&nic("first", Some("n0"))).unwrap();
    let said = refused(world.run(&nic("n0", Some("n1"))), Field::Name);
    assert!(said.contains(&format!("\"n0\", the device of NIC {}", first.id)), "{said}");
    let second = world.run(&nic("second", Some("n1"))).unwrap();
    refused(world.run(&changed(&second, Some("n0"), None)), Field::Name);
    // The other way round: the name comes first.
    let third = world.run(&nic("n9", None)).unwrap();
    let takes = |said: String| assert!(said.contains(&format!("NIC {} is named \"n9\"", third.id)), "{said}");
    takes(refused(world.run(&nic("", Some("n9"))), Field::Device));
    takes(refused(world.run(&changed(&first, None, Some("n9"))), Field::Device));
    takes(refused(
        applied(&mut world, "doc", "groups: { g: }\nnics: [ { device: n9, groups: [g] } ]"),
        Field::Device,
    ));
    // A NIC may be named like its own device, and devices may have confusable names: nobody chose them.
    world.run(&changed(&third, None, Some("n9"))).unwrap();
    world.run(&nic("", Some("ensl"))).unwrap();
    world.run(&nic("", Some("ens1"))).unwrap();
    let remove = RemoveNics { nics: vec!["n0".to_owned()] };
    assert_eq!(world.run(&remove).unwrap(), [first.id]);
    assert!(matches!(world.run(&remove), Err(Refusal::NotFound { .. })));
}

/// A state as an earlier version left it.
fn from_before() -> (World, Nic, Nic) {
    let mut world = World::new();
    let first = world.run(&nic("first", Some("n0"))).unwrap();
    let second = world.run(&nic("second", Some("n1"))).unwrap();
    world.group("Büri");
    let twin = world.group("other");
    let mut label = twin.label.clone();
    label.name = "Bürı".to_owned();
    world.tx.put(sg_records::Group { label, ..twin });
    let mut label = second.label.clone();
    label.name = "n0".to_owned();
    world.tx.put(Nic { label, ..second.clone() });
    (world, first, second)
}

#[test]
fn what_is_there_from_before_is_ambiguous_and_can_be_mended() {
    let (mut world, first, second) = from_before();
    let refused = world.run(&RemoveNics { nics: vec!["n0".to_owned()] });
    let expected = [&first, &second].map(|nic| nic.id.to_string());
    assert!(matches!(&refused, Err(Refusal::Ambiguous { ids, .. }) if *ids == expected), "{refused:?}");
    // Operations on other objects are not affected.
    world.group("third");
    world.run(&changed(&first, Some("again"), None)).unwrap();
    world.run(&ModifyGroup { inner_access: Some(false), ..renamed("Bürı", "Bürı") }).unwrap();
    // It can neither be exported nor imported until it is corrected.
    assert!(check_stored(&world.tx).is_err());
    world.run(&changed(&second, Some("second"), None)).unwrap();
    let said = check_stored(&world.tx).unwrap_err().to_string();
    assert!(said.contains("looks like") && said.contains("the name of group sg-"), "{said}");
    world.run(&renamed("Bürı", "Buri")).unwrap();
    check_stored(&world.tx).unwrap();
}

#[test]
fn an_import_with_twins_is_refused_with_its_line() {
    let (world, ..) = from_before();
    let read = |tx: &Tx, without: &str| {
        let records = tx.records().filter(|record| match record {
            Record::Group(group) => group.label.name != without,
            Record::Nic(nic) => nic.label.name != without,
            _ => true,
        });
        let mut file = Vec::new();
        export(records, &mut file, true).unwrap();
        ReplaceState::new(import(&file[..]).unwrap(), String::new())
            .map(drop)
            .map_err(|refusal| refusal.to_string())
    };
    for (without, says) in [("Büri", "\"n0\""), ("n0", "looks like \"Bür")] {
        let said = read(&world.tx, without).unwrap_err();
        assert!(said.starts_with("line ") && said.contains(says), "{said}");
    }
    let (mended, ..) = from_before();
    let state = State::new(mended.tx.records().filter(|record| match record {
        Record::Group(group) => group.label.name != "Büri",
        Record::Nic(nic) => nic.label.name != "n0",
        _ => true,
    }));
    read(&Tx::new(state, jiff::Timestamp::UNIX_EPOCH), "").unwrap();
}

#[test]
fn a_row_of_a_file_with_a_twin_is_refused_by_itself() {
    let mut world = World::new();
    let group = world.group("web");
    let csv = "Direction,IpProtocol,PortRange,SourceCidrIp,Name\n\
               ingress,tcp,1/1,0.0.0.0/0,Büri\ningress,tcp,2/2,0.0.0.0/0,Bürı\ningress,tcp,3/3,0.0.0.0/0,Büri\n";
    let import = ImportRules { group: group.id.to_string(), file: RuleFile::from_csv(csv).unwrap() };
    let report = world.run(&import).unwrap();
    let outcomes: Vec<Imported> = report.rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Imported::Added, Imported::Refused, Imported::Added]);
    assert!(report.rows[1].reason.contains("looks like \"Büri\""), "{}", report.rows[1].reason);
}

proptest! {
    #[test]
    fn no_two_names_that_are_let_in_look_the_same(
        names in prop::collection::vec("[a-cIl1O0rnmüıiBロ口ー一東]{2,4}|\\PC{2,3}", 2..12),
        by_document in any::<bool>(),
    ) {
        let mut world = World::new();
        let vpc = world.vpc.clone();
        for (place, name) in names.iter().enumerate() {
            if by_document {
                let text = serde_json::json!({ "groups": { name: null } }).to_string();
                drop(applied(&mut world, &format!("d{place}x"), &text));
            } else {
                drop(world.run(&new_group(name, &vpc)));
            }
        }
        let mut looks: BTreeMap<String, String> = BTreeMap::new();
        for name in world.tx.groups().values().map(|group| group.label.name.clone()) {
            let other = looks.insert(look(&name).into_owned(), name.clone());
            prop_assert!(other.as_ref().is_none_or(|other| *other == name), "{name:?} and {other:?}");
        }
    }
}
