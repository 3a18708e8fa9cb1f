//! Single states and files: what is refused, with its line, and what is not.

use sg_records::{Direction, Label};

use super::{empty, exported, imported, named};
use crate::{
    Refusal, RegisterNic, check_stored,
    tests::{World, new_group, tcp},
};

/// The edits of each field, by line and reason.
#[test]
fn what_no_operation_makes_is_refused_by_its_line() {
    let mut world = World::new();
    let web = world.group("web");
    let ops = world.run(&new_group("ops", &world.vpc.clone())).unwrap();
    let rule = world.rule("web", Direction::Ingress, tcp(22, ops.id.as_str())).unwrap();
    world.nic("10.0.0.1", &["web"]);
    let file = exported(&world.tx);
    let (web, ops, vpc, rule) =
        (web.id.to_string(), ops.id.to_string(), world.vpc.id.to_string(), rule.id.to_string());
    let line = |of: &str| {
        let key = format!("\"id\":\"{of}\"");
        1 + file.lines().position(|line| line.contains(&key)).unwrap()
    };
    let edit = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}");
        file.replacen(from, to, 1)
    };
    for (file, at, why) in [
        (edit("\"priority\":1", "\"priority\":0"), &rule, "priority \"0\": 1 (first) to 100 (last)"),
        (edit("\"priority\":1", "\"priority\":255"), &rule, "priority \"255\""),
        (
            edit(&format!("{{\"group\":\"{ops}\"}}"), "{\"group\":\"sg-nothere\"}"),
            &rule,
            "there is no group \"sg-nothere\"",
        ),
        (edit(&format!("{{\"group\":\"{ops}\"}}"), "{\"group\":\"ops\"}"), &rule, "an id, not a name"),
        (edit("\"serial\":0", "\"serial\":18446744073709551615"), &rule, "less than the next one, 1"),
        (
            edit(&format!("\"id\":\"{web}\""), "\"id\":\"../../etc\""),
            &String::new(),
            "group ../../etc: id \"../../etc\": sg- and 17",
        ),
        (
            edit(&format!("\"id\":\"{ops}\""), "\"id\":\"../../etc\""),
            &String::new(),
            "group ../../etc: id \"../../etc\": sg- and 17",
        ),
        (edit("\"name\":\"web\"", "\"name\":\"\\u001b[31m\""), &web, "name"),
        (edit("\"name\":\"web\"", "\"name\":\"w\\u0435b\""), &web, "mixes letters of several scripts"),
        (edit("\"name\":\"web\"", &format!("\"name\":\"{ops}\"")), &web, "the form of an id"),
        (
            edit(&format!("\"vpc\":\"{vpc}\""), "\"vpc\":\"vpc-x\""),
            &String::new(),
            "there is no VPC \"vpc-x\"",
        ),
        (
            edit("\"region\":\"local\"", "\"extra\":1,\"region\":\"local\""),
            &String::new(),
            "unknown field `extra`",
        ),
        (edit("\"groups_per_nic\":5", "\"groups_per_nic\":11"), &String::new(), "1 to 10 groups"),
    ] {
        let refusal = imported(&file, &mut empty()).unwrap_err();
        assert!(refusal.contains(why), "{why}: {refusal}");
        let named = at.is_empty() || refusal.starts_with(&format!("line {}: ", line(at)));
        assert!(named && refusal.starts_with("line "), "{at}: {refusal}");
    }
}

/// Two rules that exchange their serials both stay.
#[test]
fn places_can_be_exchanged() {
    let mut world = World::new();
    world.group("web");
    let rules: Vec<_> =
        (0..2).map(|n| world.rule("web", Direction::Ingress, tcp(80 + n, "any")).unwrap()).collect();
    let file = exported(&world.tx);
    let swapped = file.replace("\"serial\":0", "\"serial\":7").replace("\"serial\":1,", "\"serial\":0,");
    let swapped = swapped.replace("\"serial\":7", "\"serial\":1");
    imported(&swapped, &mut world.tx).unwrap();
    let order: Vec<_> = world.tx.rules_of(&rules[0].group).map(|rule| rule.id.clone()).collect();
    assert_eq!(order, [rules[1].id.clone(), rules[0].id.clone()]);
}

/// An export must be importable, so this state is not exported: a store may hold what an older program accepted.
#[test]
fn a_state_that_could_not_come_back_is_said_to_be_none() {
    let mut world = World::new();
    world.group("web");
    let rule = world.rule("web", Direction::Ingress, tcp(22, "any")).unwrap();
    assert_eq!(check_stored(&world.tx), Ok(()));
    let mut wrong = rule.clone();
    wrong.spec.priority = 0;
    world.tx.put(wrong);
    let refusal = check_stored(&world.tx).unwrap_err().to_string();
    assert_eq!(refusal, format!("rule {}: priority \"0\": 1 (first) to 100 (last)", rule.id));
}

/// The name of a deleted id resolves to nothing.
#[test]
fn a_name_is_never_an_id() {
    let mut world = World::new();
    let victim = world.group("victim").id.to_string();
    let vpc = world.vpc.clone();
    let refused = world.run(&new_group(&victim, &vpc)).unwrap_err();
    assert!(refused.to_string().contains("the form of an id"), "{refused}");
    // Nor does the name that an older program accepted.
    let other = world.group("other");
    world.tx.put(sg_records::Group {
        label: Label { name: victim.clone(), ..other.label.clone() },
        ..other.clone()
    });
    let delete = crate::DeleteGroups { groups: vec![victim.clone()] };
    world.run(&delete).unwrap();
    assert!(matches!(world.run(&delete), Err(Refusal::NotFound { .. })));
    assert!(world.tx.group(&other.id).is_some());

    let nic = world.nic("10.0.0.1", &[other.id.as_str()]);
    for name in [
        nic.id.as_str(),
        "i-anything",
        vpc.id.as_str(),
        "w\u{435}b",
        "we\u{200b}b",
        "we\u{3164}b",
        "\u{ff57}eb",
    ] {
        let register = RegisterNic {
            label: named(name),
            vpc: Some("net".to_owned()),
            addresses: vec!["10.0.0.2".parse().unwrap()],
            groups: vec![other.id.to_string()],
            ..RegisterNic::default()
        };
        let refusal = world.run(&register).unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid { .. }), "{name}: {refusal}");
    }
}
