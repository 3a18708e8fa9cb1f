//! Rules that are added together, and those that are there already.

use sg_records::{Action, Direction, OnlyFamily, Rule, RuleSpec};

use super::{World, tcp, with};
use crate::{
    AddRules, Authorize, DirectedRule,
    Duplicates::{Existing, Ignore, Refuse},
    Operation as _, Refusal,
    Sameness::{Packets, Rule as ByRule},
};

fn directed(direction: Direction, spec: RuleSpec) -> DirectedRule {
    DirectedRule { direction: Some(direction), spec }
}

fn request(rules: Vec<DirectedRule>) -> Authorize {
    Authorize { rules, direction: None, ..Authorize::of("web", Direction::Ingress, Vec::new()) }
}

fn said(rules: &[Rule]) -> Vec<String> {
    rules.iter().map(|rule| format!("{} {}", rule.direction, rule.spec.matches)).collect()
}

#[test]
fn rules_of_both_directions_are_added_in_their_order() {
    let mut world = World::new();
    world.group("web");
    let (ingress, egress) = (Direction::Ingress, Direction::Egress);
    let both = request(vec![
        directed(egress, tcp(1, "any")),
        directed(ingress, tcp(2, "any")),
        directed(egress, tcp(3, "any")),
        directed(ingress, tcp(1, "any")),
    ]);
    let made = world.run(&both).unwrap();
    let wanted = ["egress tcp ports 1", "ingress tcp ports 2", "egress tcp ports 3", "ingress tcp ports 1"]
        .map(|rule| format!("{rule} remote any"));
    assert_eq!(said(&made), wanted);
    assert!(made.is_sorted_by_key(|rule| rule.serial));
    assert_eq!(world.run(&both).unwrap(), made);
    let default = Authorize {
        direction: Some(egress),
        ..request(vec![DirectedRule::from(tcp(3, "any")), directed(ingress, tcp(2, "any"))])
    };
    assert_eq!(world.run(&default).unwrap(), [made[2].clone(), made[1].clone()]);
    let nowhere = request(vec![directed(ingress, tcp(9, "any")), DirectedRule::from(tcp(8, "any"))]);
    let refused = world.run(&nowhere).unwrap_err().to_string();
    assert_eq!(refused, "direction is missing: ingress or egress, of each rule or of the request");
}

#[test]
fn one_rule_that_cannot_be_leaves_all_out() {
    let mut world = World::new();
    world.group("web");
    let rules = vec![
        directed(Direction::Ingress, tcp(1, "any")),
        directed(Direction::Egress, tcp(2, "no-such-group")),
    ];
    assert!(matches!(world.run(&request(rules)), Err(Refusal::NotFound { .. })));
    assert!(world.tx.rules().is_empty());
    let rules: Vec<_> = (1..=101).map(|port| directed(Direction::Ingress, tcp(port, "any"))).collect();
    assert!(matches!(world.run(&request(rules)), Err(Refusal::TooMany { .. })));
    assert!(matches!(world.run(&request(Vec::new())), Err(Refusal::NothingToChange)));
    assert!(world.tx.rules().is_empty());
}

#[test]
fn what_a_duplicate_is_and_becomes_is_said_by_the_request() {
    let mut world = World::new();
    world.group("web");
    let ingress = |spec| directed(Direction::Ingress, spec);
    let there = world.rule("web", Direction::Ingress, tcp(80, "any")).unwrap();
    let renamed = RuleSpec { name: "other".to_owned(), enabled: false, ..tcp(80, "any") };
    let last = RuleSpec { priority: 100, ..tcp(80, "any") };
    let denied = RuleSpec { action: Action::Drop, ..tcp(80, "any") };
    let of_one_family = with(tcp(80, "any"), |matches| matches.family = Some(OnlyFamily::Ipv4));

    let mut ask = |duplicates, same, rules: &[&RuleSpec]| {
        let rules = rules.iter().map(|&spec| ingress(spec.clone())).collect();
        let request = AddRules(Authorize { duplicates, same, ..request(rules) });
        let mark = world.tx.mark();
        let said = request.run(&mut world.tx);
        world.tx.end();
        world.tx.go_back(mark);
        said.map(|rules| {
            rules.into_iter().map(|one| (one.is_new, one.rule.id == there.id)).collect::<Vec<_>>()
        })
    };
    let is_there =
        |said: &Result<_, Refusal>| matches!(said, Err(Refusal::DuplicateRule { rule }) if *rule == there.id);
    let (new, old) = ((true, false), (false, true));

    for (same, spec, is_same) in [
        (ByRule, &renamed, true),
        (ByRule, &last, false),
        (ByRule, &denied, false),
        (ByRule, &of_one_family, false),
        (Packets, &renamed, true),
        (Packets, &last, true),
        (Packets, &denied, true),
        (Packets, &of_one_family, false),
    ] {
        let wanted = if is_same { old } else { new };
        assert_eq!(ask(Existing, same, &[spec]).unwrap(), [wanted]);
        let ignored = ask(Ignore, same, &[spec]);
        if is_same && (spec.action, spec.enabled) != (there.spec.action, there.spec.enabled) {
            assert!(is_there(&ignored), "left out, a rule that does something else is missing: {ignored:?}");
        } else {
            assert_eq!(ignored.unwrap(), [wanted]);
        }
        let refused = ask(Refuse, same, &[spec]);
        assert_eq!(is_there(&refused), is_same, "{refused:?}");
    }
    let other = tcp(81, "any");
    let last_other = RuleSpec { priority: 100, ..other.clone() };
    assert_eq!(ask(Existing, ByRule, &[&other, &renamed, &last_other]).unwrap(), [new, old, new]);
    assert!(is_there(&ask(Refuse, ByRule, &[&other, &renamed])));
    for duplicates in [Existing, Refuse] {
        let twice = ask(duplicates, Packets, &[&other, &last_other]);
        assert!(matches!(twice, Err(Refusal::Repeated { first: 1, second: 2 })), "{twice:?}");
    }
    let repeated = [&other, &last, &last_other, &last, &other];
    assert_eq!(ask(Ignore, Packets, &repeated).unwrap(), [new, old, (false, false), old, (false, false)]);
    let denied = RuleSpec { action: Action::Drop, ..other.clone() };
    let disabled = RuleSpec { enabled: false, ..other.clone() };
    for second in [&denied, &disabled] {
        let twice = ask(Ignore, Packets, &[&other, second]);
        assert!(matches!(twice, Err(Refusal::Repeated { first: 1, second: 2 })), "{twice:?}");
    }
}
