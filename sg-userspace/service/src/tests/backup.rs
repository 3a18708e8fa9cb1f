//! An export is imported as it was, whatever operations made; an edited export is refused with its line, or is a state that
//! operations could make: the test has them make it.

mod cases;
mod edits;

use proptest::{collection::vec, prelude::*};
use sg_model::DeviceFacts;
use sg_records::{
    Direction, Family, GroupType, KeyRole, Label, NoExtra, PortEntry, Ports, PrefixEntry, PrefixFamily,
    Remote, RuleSpec,
};
use sg_store::{Record, export, import};

use super::{
    World,
    model::{Both, operations},
    new_list, tcp, with,
};
use crate::{
    Apply, Authorize, ChangeMembers, CloneGroup, CreateAccessKey, CreateGroup, CreateList, CreateVpc,
    Idempotent, ModifyQuotas, NewLabel, Operation as _, Refusal, RegisterInstance, RegisterNic, ReplaceState,
    State, Tx, check_stored, policy, policy_for,
};

use edits::{edited, edits};

const DOCUMENT: &str = "
prefix_lists: { office: [192.0.2.0/24, \"2001:db8::/32\"] }
groups:
  a: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: { prefix_list: office } }, { protocol: all, remote: { group: a } } ] }
  web servers: { type: enterprise, description: serves, egress: [ { protocol: udp, action: reject } ] }
nics:
  - { device: eth0, groups: [a] }
";

/// A state with an object of every kind, and what random operations added.
pub(super) fn populated(operations: &[super::model::Op]) -> Tx {
    let mut both = Both::new();
    for operation in operations {
        both.step(operation).unwrap();
    }
    let mut world = both.world;
    world.group("site");
    let apply = Apply {
        text: DOCUMENT.into(),
        name: "doc".to_owned(),
        region: String::new(),
        file: String::new(),
        allow_unfiltered: false,
        force: false,
    };
    world.run(&apply).unwrap();
    world.run(&CloneGroup { group: "a".to_owned(), label: named("copy"), ..CloneGroup::default() }).unwrap();
    world
        .run(&CreateAccessKey {
            description: "of a pipeline".to_owned(),
            role: KeyRole::Viewer,
            region: String::new(),
        })
        .unwrap();
    let entry = PortEntry { ports: "80,443".parse().unwrap(), description: "the web".to_owned() };
    let list = world.run(&new_list("ports", NoExtra {}, 3, vec![entry])).unwrap();
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
    // A closed group without a VPC on NICs in a VPC and without one; rules name it, and the default group names itself.
    let closed = CreateGroup { label: named("closed"), kind: GroupType::Closed, ..CreateGroup::default() };
    world.run(&closed).unwrap();
    world.rule("closed", Direction::Ingress, tcp(22, "closed")).unwrap();
    for (device, vpc) in [("tap3", Some("net")), ("tap4", None)] {
        let (device, vpc) = (Some(device.to_owned()), vpc.map(str::to_owned));
        let groups = vec!["closed".to_owned()];
        world.run(&RegisterNic { device, vpc, groups, ..RegisterNic::default() }).unwrap();
    }
    let default = RegisterNic {
        device: Some("tap5".to_owned()),
        default_type: Some(GroupType::Closed),
        ..RegisterNic::default()
    };
    world.run(&default).unwrap();
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
        closed_groups_per_nic: Some(100),
        rules_per_nic: most,
        members_per_basic_group: most,
        members_per_enterprise_group: most,
        group_references_per_group: most,
        members_per_closed_group: most,
        composite_rules_per_nic: most,
        groups_per_region: most,
        closed_groups_per_region: most,
        closed_rules_per_region: most,
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
            ..CreateGroup::default()
        };
        let made = world.run(&create).map_err(|refusal| told("group", refusal))?;
        ids.insert(group.id.to_string(), made.id.to_string());
    }
    for list in state.prefix_lists().values() {
        let families: Vec<Family> =
            list.extra.family.map_or_else(|| vec![Family::V4, Family::V6], |family| vec![family]);
        for family in families {
            let of_family =
                |entry: &&PrefixEntry| list.extra.family.is_some() || Family::of(entry.addresses) == family;
            let create = CreateList {
                label: label(&list.label),
                region: list.region.clone(),
                extra: PrefixFamily { family: Some(family) },
                max_entries: list.max_entries,
                entries: list.entries.iter().filter(of_family).cloned().collect(),
            };
            let made = world.run(&create).map_err(|refusal| told("prefix list", refusal))?;
            // The first one stands for a list of both: rules of the other family are left out below.
            ids.entry(list.id.to_string()).or_insert_with(|| made.id.to_string());
        }
    }
    for list in state.port_lists().values() {
        let create = CreateList {
            label: label(&list.label),
            region: list.region.clone(),
            extra: list.extra,
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
        match world.run(&Authorize::of(group, rule.direction, vec![spec])) {
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
            default_type: None,
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
                        let _ = Authorize::of(group, Direction::Ingress, rules).run(&mut other);
                    }
                    prop_assert_eq!(check_stored(&other), Ok(()), "{:?}", edit);
                    let again = exported(&other);
                    prop_assert_eq!(imported(&again, &mut empty()), Ok(()));
            }
        }
    }
}

/// A request may name a group instead of giving its id. A record with a name would be no NIC's group once there is another name.
#[test]
fn a_nic_that_names_its_group_is_refused() {
    let mut world = World::new();
    let group = world.group("web");
    world.nic("10.0.0.5", &["web"]);
    let file = exported(&world.tx);
    let edited = file.replace(&format!("\"groups\":[\"{}\"]", group.id), "\"groups\":[\"web\"]");
    assert_ne!(file, edited);
    let refused = imported(&edited, &mut empty()).unwrap_err();
    assert!(refused.starts_with("line ") && refused.ends_with("there is no group \"web\""), "{refused}");
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
