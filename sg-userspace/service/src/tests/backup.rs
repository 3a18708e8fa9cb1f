//! An export is imported as it was, whatever operations made; an edited export is refused with its line, or is a state that
//! operations could make: the test has them make it.

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;
use sg_model::DeviceFacts;
use sg_records::{Direction, Family, Label, PortEntry, Ports, PrefixEntry, Remote, RuleSpec};
use sg_store::{Record, export, import};

use super::{
    World,
    model::{Both, operations},
    new_group, tcp, with,
};
use crate::{
    Apply, Authorize, ChangeMembers, CloneGroup, CreateAccessKey, CreateGroup, CreatePortList,
    CreatePrefixList, CreateVpc, Idempotent, ModifyQuotas, NewLabel, Operation as _, Refusal,
    RegisterInstance, RegisterNic, ReplaceState, State, Tx, check_stored, policy, policy_for,
};

const DOCUMENT: &str = "
prefix_lists: { office: [192.0.2.0/24, \"2001:db8::/32\"] }
groups:
  a: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: { prefix_list: office } }, { protocol: all, remote: { group: a } } ] }
  web servers: { type: enterprise, description: serves, egress: [ { protocol: udp, action: reject } ] }
nics:
  - { device: eth0, groups: [a] }
";

/// A state with an object of every kind, and what random operations added.
fn populated(operations: &[super::model::Op]) -> Tx {
    let mut both = Both::new();
    for operation in operations {
        both.step(operation).unwrap();
    }
    let mut world = both.world;
    world.group("site");
    let apply =
        Apply { text: DOCUMENT.into(), name: "doc".to_owned(), region: String::new(), file: String::new() };
    world.run(&apply).unwrap();
    world.run(&CloneGroup { group: "a".to_owned(), label: named("copy"), ..CloneGroup::default() }).unwrap();
    world.run(&CreateAccessKey { description: "of a pipeline".to_owned() }).unwrap();
    let list = CreatePortList {
        label: named("ports"),
        region: String::new(),
        max_entries: 3,
        entries: vec![PortEntry { ports: "80,443".parse().unwrap(), description: "the web".to_owned() }],
    };
    let list = world.run(&list).unwrap();
    let of_list = RuleSpec { description: "écrit ici".to_owned(), ..tcp(1, "any") };
    let of_list = with(of_list, |matches| matches.ports = Ports::List(list.id));
    world.rule("site", Direction::Egress, of_list).unwrap();
    let nic = RegisterNic {
        device: Some("tap0".to_owned()),
        addresses: vec!["10.3.0.1".parse().unwrap()],
        groups: vec!["site".to_owned()],
        ..RegisterNic::default()
    };
    let other = RegisterNic { device: Some("tap1".to_owned()), ..nic.clone() };
    let instance = RegisterInstance {
        label: named("machine"),
        vpc: Some("net".to_owned()),
        nics: vec![nic, other],
        ..RegisterInstance::default()
    };
    world.run(&instance).unwrap();
    // In the classic network, with a default group.
    let classic = RegisterNic { device: Some("tap2".to_owned()), ..RegisterNic::default() };
    world.run(&Idempotent::new("uid 0", "t1", &classic, classic.clone()).unwrap()).unwrap();
    // What exceeds a quota that was lowered afterwards stays.
    world
        .run(&ModifyQuotas { groups_per_nic: Some(1), rules_per_nic: Some(1), ..ModifyQuotas::default() })
        .unwrap();
    world.tx
}

fn named(name: &str) -> NewLabel {
    NewLabel { name: name.to_owned(), ..NewLabel::default() }
}

fn exported(state: &State) -> String {
    let mut file = Vec::new();
    export(state.records(), &mut file, true).unwrap();
    String::from_utf8(file).unwrap()
}

/// The reason for which an import is refused.
fn imported(file: &str, tx: &mut Tx) -> Result<(), String> {
    let read = import(file.as_bytes()).map_err(|error| error.to_string())?;
    let replace = ReplaceState::new(read, String::new()).map_err(|refusal| refusal.to_string())?;
    replace.run(tx).map(drop).map_err(|refusal| refusal.to_string())
}

fn all(state: &State) -> Vec<Record> {
    let mut records: Vec<Record> = state.records().collect();
    records.sort_by_cached_key(Record::key);
    records
}

fn empty() -> Tx {
    Tx::new(State::default(), jiff::Timestamp::UNIX_EPOCH)
}

/// Has operations make all of a state, under sufficient quotas, and returns what they refuse.
#[expect(clippy::too_many_lines, reason = "each kind of record in its turn")]
fn remade(state: &State) -> Result<(), String> {
    let mut world = World { tx: empty(), vpc: World::new().vpc };
    let most = Some(u32::MAX);
    let quotas = ModifyQuotas {
        groups_per_nic: Some(10),
        rules_per_nic: most,
        members_per_basic_group: most,
        members_per_enterprise_group: most,
        group_references_per_group: most,
        groups_per_region: most,
        entries_per_prefix_list: most,
        entries_per_port_list: most,
        rules_per_import: most,
        rules_per_operation: most,
        tags: most,
    };
    world.run(&quotas).unwrap();
    // Names in documents have a freer form than those of operations: they are the document's affair.
    let label = |label: &Label| NewLabel {
        name: if label.owner.is_some() { String::new() } else { label.name.clone() },
        description: if label.owner.is_some() { String::new() } else { label.description.clone() },
        tags: label.tags.clone(),
    };
    let told = |what: &str, refusal: Refusal| format!("{what}: {refusal}");
    let mut ids = std::collections::BTreeMap::<String, String>::new();
    for vpc in state.vpcs().values() {
        let create =
            CreateVpc { label: label(&vpc.label), region: vpc.region.clone(), ..CreateVpc::default() };
        let made = world.run(&create).map_err(|refusal| told("vpc", refusal))?;
        ids.insert(vpc.id.to_string(), made.id.to_string());
    }
    let new = |ids: &std::collections::BTreeMap<String, String>, id: &str| {
        ids.get(id).cloned().ok_or_else(|| format!("{id} is not there"))
    };
    for group in state.groups().values() {
        let create = CreateGroup {
            label: label(&group.label),
            region: group.region.clone(),
            vpc: group.vpc.as_ref().map(|vpc| new(&ids, vpc.as_str())).transpose()?,
            kind: group.kind,
            inner_access: Some(group.inner_access),
        };
        let made = world.run(&create).map_err(|refusal| told("group", refusal))?;
        ids.insert(group.id.to_string(), made.id.to_string());
    }
    for list in state.prefix_lists().values() {
        let families: Vec<Family> =
            list.family.map_or_else(|| vec![Family::V4, Family::V6], |family| vec![family]);
        for family in families {
            let of_family = |entry: &&PrefixEntry| list.family.is_some() || Family::of(entry.cidr) == family;
            let create = CreatePrefixList {
                label: label(&list.label),
                region: list.region.clone(),
                family,
                max_entries: list.max_entries,
                entries: list.entries.iter().filter(of_family).cloned().collect(),
            };
            let made = world.run(&create).map_err(|refusal| told("prefix list", refusal))?;
            // The first one stands for a list of both: rules of the other family are left out below.
            ids.entry(list.id.to_string()).or_insert_with(|| made.id.to_string());
        }
    }
    for list in state.port_lists().values() {
        let create = CreatePortList {
            label: label(&list.label),
            region: list.region.clone(),
            max_entries: list.max_entries,
            entries: list.entries.clone(),
        };
        let made = world.run(&create).map_err(|refusal| told("port list", refusal))?;
        ids.insert(list.id.to_string(), made.id.to_string());
    }
    for rule in state.rules().values() {
        let mut spec = rule.spec.clone();
        match &mut spec.matches.remote {
            Remote::Group(group) => *group = new(&ids, group.as_str())?.into(),
            Remote::PrefixList(list) => *list = new(&ids, list.as_str())?.into(),
            Remote::Any | Remote::Net(_) => {}
        }
        for ports in [&mut spec.matches.ports, &mut spec.matches.source_ports] {
            if let Ports::List(list) = ports {
                *list = new(&ids, list.as_str())?.into();
            }
        }
        let group = new(&ids, rule.group.as_str())?;
        match world.run(&Authorize { group, direction: rule.direction, rules: vec![spec] }) {
            // Documents, and copies of their groups, have such rules.
            Ok(_)
            | Err(
                Refusal::OwnGroup { .. }
                | Refusal::EnterpriseReference { .. }
                | Refusal::MixedFamilies { .. },
            ) => {}
            Err(refusal) => return Err(told("rule", refusal)),
        }
    }
    for group in state.groups().values() {
        let add: Vec<_> = state.members_of(&group.id).map(|member| member.address).collect();
        if !add.is_empty() {
            let group = new(&ids, group.id.as_str())?;
            let change = ChangeMembers { group, add, remove: Vec::new() };
            world.run(&change).map_err(|refusal| told("member", refusal))?;
        }
    }
    for instance in state.instances().values() {
        let register = RegisterInstance {
            id: Some(instance.id.to_string()),
            label: label(&instance.label),
            region: instance.region.clone(),
            vpc: instance.vpc.as_ref().map(|vpc| new(&ids, vpc.as_str())).transpose()?,
            nics: Vec::new(),
        };
        world.run(&register).map_err(|refusal| told("instance", refusal))?;
    }
    let mut nics: Vec<_> = state.nics().values().collect();
    nics.sort_by_key(|nic| !nic.primary);
    for nic in nics {
        let groups: Result<Vec<String>, String> =
            nic.groups.iter().map(|group| new(&ids, group.as_str())).collect();
        let register = RegisterNic {
            id: Some(nic.id.to_string()),
            label: label(&nic.label),
            region: nic.region.clone(),
            vpc: nic.vpc.as_ref().map(|vpc| new(&ids, vpc.as_str())).transpose()?,
            instance: nic.instance.as_ref().map(ToString::to_string),
            device: nic.device.clone(),
            role: nic.role,
            addresses: nic.addresses.clone(),
            anti_spoofing: nic.anti_spoofing,
            accept_own_source: nic.accept_own_source,
            dhcp_servers: nic.dhcp_servers.clone(),
            senders: nic.senders.clone(),
            hook: nic.hook,
            ipsec: nic.ipsec,
            ethertypes: nic.ethertypes.clone(),
            nic_type: nic.nic_type,
            groups: groups?,
        };
        let made = world.run(&register).map_err(|refusal| told("nic", refusal))?;
        if made.primary != nic.primary {
            return Err(format!("NIC {} is not the primary one that it is", nic.id));
        }
    }
    let quotas = &state.settings().quotas;
    let modify = ModifyQuotas { groups_per_nic: Some(quotas.groups_per_nic), ..ModifyQuotas::default() };
    world.run(&modify).map(drop).map_err(|refusal| told("quotas", refusal))
}

/// An edit of a file.
#[derive(Clone, Debug)]
enum Edit {
    /// Replaces a value.
    Value(Index, Index, Index),
    /// Replaces a value by another one of the file.
    Swap(Index, Index, Index, Index),
    /// Removes a field.
    Field(Index, Index),
    /// Adds a field.
    NewField(Index, Index),
    /// Removes a line, and corrects the head.
    Line(Index),
    /// Repeats a line, and corrects the head.
    Twice(Index),
    /// Replaces a byte.
    Byte(Index, u8),
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => any::<(Index, Index, Index)>().prop_map(|(line, place, value)| Edit::Value(line, place, value)),
        4 => any::<(Index, Index, Index, Index)>().prop_map(|(a, b, c, d)| Edit::Swap(a, b, c, d)),
        1 => any::<(Index, Index)>().prop_map(|(line, place)| Edit::Field(line, place)),
        1 => any::<(Index, Index)>().prop_map(|(line, place)| Edit::NewField(line, place)),
        1 => any::<Index>().prop_map(Edit::Line),
        1 => any::<Index>().prop_map(Edit::Twice),
        1 => any::<(Index, u8)>().prop_map(|(place, byte)| Edit::Byte(place, byte)),
    ]
}

/// The JSON pointers of all values that are no objects or arrays.
fn leaves(value: &Value, pointer: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| leaves(value, &format!("{pointer}/{key}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{pointer}/{at}"), all));
        }
        _ => all.push(pointer.to_owned()),
    }
}

fn leaf(value: &Value, place: Index) -> String {
    let mut all = Vec::new();
    leaves(value, "", &mut all);
    all[place.index(all.len())].clone()
}

fn edited(file: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let values = || -> Vec<Value> {
        [
            "0",
            "1",
            "255",
            "18446744073709551615",
            "-1",
            "1.5",
            "null",
            "true",
            "false",
            "\"\"",
            "\"../../etc\"",
            "\"\\u001b[31m\"",
            "\"w\\u0435b\"",
            "\"\\u202eweb\"",
            "\"any\"",
            "\"10.0.0.1/8\"",
            "\"0-70000\"",
            "\"web\"",
            "\"copy\"",
            "\"sg-c7h2j5ahi7kqt3de7\"",
            "\"eni-0\"",
            "\"tap0\"",
            "\"a/b\"",
            "[]",
            "{}",
            "\"enterprise\"",
            "\"internet\"",
            "{\"group\":\"sg-nothere\"}",
            "\"224.0.0.1\"",
            "\"xdp\"",
            "\"guest\"",
            "\"2999-01-01T00:00:00Z\"",
        ]
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
    };
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let recount = |lines: &mut Vec<String>| {
        let mut head = parse(&lines[0]);
        head["records"] = (lines.len() - 1).into();
        lines[0] = head.to_string();
    };
    match edit {
        Edit::Value(line, place, value) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let values = values();
            *record.pointer_mut(&place).unwrap() = values[value.index(values.len())].clone();
            lines[line] = record.to_string();
        }
        Edit::Swap(line, place, other, there) => {
            let (line, other) = (line.index(lines.len()), other.index(lines.len()));
            let other = parse(&lines[other]);
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            *record.pointer_mut(&place).unwrap() = other.pointer(&leaf(&other, *there)).unwrap().clone();
            lines[line] = record.to_string();
        }
        Edit::Field(line, place) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let (parent, key) = place.rsplit_once('/').unwrap();
            if let Some(fields) = record.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.remove(key);
            }
            lines[line] = record.to_string();
        }
        Edit::NewField(line, place) => {
            let line = line.index(lines.len());
            let mut record = parse(&lines[line]);
            let place = leaf(&record, *place);
            let (parent, _) = place.rsplit_once('/').unwrap();
            if let Some(fields) = record.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert("extra".to_owned(), 1.into());
            }
            lines[line] = record.to_string();
        }
        Edit::Line(line) => {
            lines.remove(1 + line.index(lines.len() - 1));
            recount(&mut lines);
        }
        Edit::Twice(line) => {
            let line = lines[1 + line.index(lines.len() - 1)].clone();
            lines.push(line);
            recount(&mut lines);
        }
        Edit::Byte(place, byte) => {
            let mut bytes = file.as_bytes().to_vec();
            let place = place.index(bytes.len());
            bytes[place] = *byte;
            return String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".to_owned());
        }
    }
    lines.join("\n") + "\n"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_comes_back(before in vec(operations(), 0..60), instead in vec(operations(), 0..30)) {
        let state = populated(&before);
        prop_assert_eq!(check_stored(&state), Ok(()));
        prop_assert_eq!(remade(&state), Ok(()));
        let file = exported(&state);
        for mut other in [empty(), populated(&instead)] {
            prop_assert_eq!(imported(&file, &mut other), Ok(()));
            prop_assert_eq!(all(&other), all(&state));
            prop_assert_eq!(exported(&other), file.clone());
            // The indices equal those of a state that is built at once.
            let anew = State::new(other.records());
            for group in other.groups().keys() {
                prop_assert!(other.rules_of(group).eq(anew.rules_of(group)));
                prop_assert!(other.nics_of(group).eq(anew.nics_of(group)));
            }
            prop_assert!(other.local_nics().eq(anew.local_nics()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_export_is_refused_with_its_line_or_is_a_state_of_operations(
        before in vec(operations(), 0..40),
        edits in vec(edits(), 40),
    ) {
        let file = exported(&populated(&before));
        for edit in edits {
            let changed = edited(&file, &edit);
            let mut other = empty();
            if let Err(refusal) = imported(&changed, &mut other) {
                    let line = refusal.strip_prefix("line ").and_then(|rest| rest.split([' ', ':']).next());
                    let line = line.and_then(|line| line.parse::<usize>().ok());
                    let is_one = line.is_some_and(|line| (1..=changed.lines().count() + 1).contains(&line));
                    prop_assert!(is_one, "{edit:?}: {refusal}");
                    prop_assert!(!refusal.chars().any(sg_model::text::is_invisible), "{refusal:?}");
                    prop_assert_eq!(all(&other), all(&empty()));
            } else {
                    prop_assert_eq!(remade(&other), Ok(()), "{:?}", edit);
                    prop_assert!(policy(&other).is_ok(), "{edit:?}: {:?}", policy(&other));
                    for nic in other.nics().values() {
                        let made = policy_for(&other, nic, |_| DeviceFacts::default());
                        prop_assert!(made.is_ok(), "{edit:?}: {made:?}");
                    }
                    prop_assert_eq!(check_stored(&other), Ok(()), "{:?}", edit);
                    // The state continues like any other.
                    let groups: Vec<String> = other.groups().keys().map(ToString::to_string).collect();
                    for group in groups {
                        // Operations cannot change what a document owns.
                        let rules = vec![tcp(81, "any")];
                        let _ = Authorize { group, direction: Direction::Ingress, rules }.run(&mut other);
                    }
                    prop_assert_eq!(check_stored(&other), Ok(()), "{:?}", edit);
                    let again = exported(&other);
                    prop_assert_eq!(imported(&again, &mut empty()), Ok(()));
            }
        }
    }
}

/// An earlier version accepted an import of such a state, and after the next rule nothing could be exported any more.
#[test]
fn places_of_rules_that_are_near_the_end_are_counted_anew() {
    let mut world = World::new();
    world.group("web");
    for port in [22, 80] {
        world.rule("web", Direction::Ingress, tcp(port, "any")).unwrap();
    }
    let file = exported(&world.tx);
    assert!(file.contains("\"serial\":2}}"), "{file}");
    for next in [1 << 48, (1 << 48) + 1, u64::MAX / 2, u64::MAX] {
        let edited = file.replace("\"serial\":2}}", &format!("\"serial\":{next}}}}}"));
        let edited = edited.replace("\"serial\":1,", &format!("\"serial\":{},", next - 1));
        let mut world = World { tx: empty(), vpc: world.vpc.clone() };
        imported(&edited, &mut world.tx).unwrap();
        for port in [443, 8443] {
            world.rule("web", Direction::Ingress, tcp(port, "any")).unwrap();
        }
        assert_eq!(check_stored(&world.tx), Ok(()));
        let again = exported(&world.tx);
        let mut other = World { tx: empty(), vpc: world.vpc.clone() };
        imported(&again, &mut other.tx).unwrap();
        let group = other.tx.find_group("web").unwrap().id.clone();
        let mut rules: Vec<_> = other.tx.rules_of(&group).cloned().collect();
        rules.sort_by_key(|rule| rule.serial);
        let ports: Vec<String> = rules.iter().map(|rule| format!("{:?}", rule.spec.matches.ports)).collect();
        let wanted = [22, 80, 443, 8443].map(|port| format!("{:?}", tcp(port, "any").matches.ports));
        assert_eq!(ports, wanted, "{next}");
    }
}

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
