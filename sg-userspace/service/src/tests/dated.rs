//! When objects were changed: by what they say, and not by what refers to them.

use jiff::{Timestamp, ToSpan as _};
use sg_records::{Direction, PrefixEntry};

use super::{IPV4, World, new_list, tcp};
use crate::{
    ChangeMembers, CreateVpc, Join, LabelChange, Leave, ModifyGroup, ModifyList, ModifyNic, ModifyRule,
    ModifyVpc, Move, MoveGroup, Tx,
};

/// A world whose clock can be set.
struct Clock(World);

impl Clock {
    fn at(&mut self, second: i64) -> Timestamp {
        let now = Timestamp::UNIX_EPOCH + second.seconds();
        let tx = Tx::new(crate::State::clone(&self.0.tx), now);
        self.0.tx = tx;
        now
    }
}

#[test]
fn an_object_was_changed_when_what_it_says_did() {
    let mut clock = Clock(World::new());
    let web = clock.0.group("web");
    clock.0.group("db");
    assert_eq!(web.label.updated, web.label.created);
    let nic = clock.0.nic("10.0.0.1", &["web"]);
    let rule = clock.0.rule("web", Direction::Ingress, tcp(22, "any")).unwrap();
    assert_eq!(rule.updated, rule.created);

    // Members, rules and references change no group; the NIC holds another one afterwards.
    let now = clock.at(10);
    let world = &mut clock.0;
    let add = vec!["10.0.0.9".parse().unwrap()];
    world.run(&ChangeMembers { group: "web".to_owned(), add, remove: Vec::new() }).unwrap();
    world.rule("db", Direction::Ingress, tcp(22, "web")).unwrap();
    let (groups, targets) = (vec!["db".to_owned()], vec![nic.id.to_string()]);
    let joined = world.run(&Join { groups: groups.clone(), targets: targets.clone(), place: None }).unwrap();
    assert_eq!(joined[0].label.updated, now);
    assert_eq!(world.tx.group(&web.id).unwrap().label.updated, web.label.updated);

    // The same again is no change.
    clock.at(20);
    let world = &mut clock.0;
    let name = |name: &str| LabelChange { name: Some(name.to_owned()), ..LabelChange::default() };
    let same = ModifyGroup { group: "web".to_owned(), label: name("web"), ..ModifyGroup::default() };
    assert_eq!(world.run(&same).unwrap().label.updated, web.label.updated);
    let up = MoveGroup { target: nic.id.to_string(), group: "web".to_owned(), to: Move::Up };
    assert_eq!(world.run(&up).unwrap().nic.label.updated, now);

    let now = clock.at(30);
    let world = &mut clock.0;
    let other = ModifyGroup { label: name("other"), ..same };
    assert_eq!(world.run(&other).unwrap().label.updated, now);
    let priority = ModifyRule { rule: rule.id.to_string(), priority: Some(7), ..ModifyRule::default() };
    let changed = world.run(&priority).unwrap();
    assert_eq!((changed.created, changed.updated), (rule.created, now));
    let left = world.run(&Leave { groups, targets }).unwrap();
    assert_eq!((left[0].label.updated, &left[0]), (now, &**world.tx.nic(&nic.id).unwrap()));

    // One that goes back to what it said was changed once more.
    let now = clock.at(40);
    let back = ModifyRule { priority: Some(1), ..priority };
    let back = clock.0.run(&back).unwrap();
    assert_eq!((back.spec, back.updated), (rule.spec, now));
}

#[test]
fn every_kind_of_object_has_a_time_of_change() {
    let mut clock = Clock(World::new());
    let entry = PrefixEntry { addresses: "10.0.0.0/8".parse().unwrap(), description: String::new() };
    let list = clock.0.run(&new_list("list", IPV4, 5, vec![entry])).unwrap();
    clock.0.run(&CreateVpc::default()).unwrap();
    clock.0.group("web");
    let nic = clock.0.nic("10.0.0.1", &["web"]);
    let now = clock.at(10);
    let label = LabelChange { description: Some("changed".to_owned()), ..LabelChange::default() };
    let vpc = ModifyVpc { vpc: "net".to_owned(), label: label.clone(), ..ModifyVpc::default() };
    let list = ModifyList::<PrefixEntry> {
        list: list.id.to_string(),
        label: label.clone(),
        ..ModifyList::default()
    };
    let nic = ModifyNic { nic: nic.id.to_string(), label, ..ModifyNic::default() };
    let world = &mut clock.0;
    let updated = [
        world.run(&vpc).unwrap().label.updated,
        world.run(&list).unwrap().label.updated,
        world.run(&nic).unwrap().label.updated,
    ];
    assert_eq!(updated, [now; 3]);
}
