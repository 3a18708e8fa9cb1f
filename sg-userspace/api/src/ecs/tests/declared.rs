//! Each action reads the parameters that it declares, as the kind that it declares, and nothing else; what it declares as
//! required, it requires, and nothing else. For that, `requests.txt` has requests of every action, with all and with the least.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use axum::Router;
use serde_json::Value;
use sg_service::{CreateGroup, CreateVpc, NewLabel, RegisterInstance, RegisterNic};

use super::{Pairs, Reply, ask, common, ecs, get, router};
use crate::ecs::{Action, Effect, NOUNS, Parameter, actions::token, params::Kind, understood::numbers_as_n};

thread_local! {
    /// What this thread has read: names with `N` for numbers, and kinds.
    static READ: RefCell<BTreeSet<(String, Kind)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Called for every parameter that is read.
pub(in crate::ecs) fn note_read(place: &str, kind: Kind) {
    READ.with_borrow_mut(|read| read.insert((numbers_as_n(place).into_owned(), kind)));
}

/// An API with a VPC, a group, an instance and its NIC, and their ids.
pub(super) async fn furnished() -> (Router, Pairs) {
    let ecs = ecs(super::NOW);
    let label = |name: &str| NewLabel { name: name.to_owned(), ..NewLabel::default() };
    let vpc = CreateVpc { label: label("net"), region: "r".to_owned(), ..CreateVpc::default() };
    let vpc = ecs.service.submit(vpc).await.unwrap().id.to_string();
    let group = CreateGroup {
        label: label("first"),
        vpc: Some(vpc.clone()),
        region: "r".to_owned(),
        ..CreateGroup::default()
    };
    let first = ecs.service.submit(group).await.unwrap().id.to_string();
    let nic = RegisterNic {
        addresses: vec!["10.9.0.1".parse().unwrap()],
        groups: vec![first.clone()],
        ..RegisterNic::default()
    };
    let instance = RegisterInstance {
        label: label("web1"),
        vpc: Some(vpc.clone()),
        nics: vec![nic],
        ..RegisterInstance::default()
    };
    let view = ecs.service.submit(instance).await.unwrap();
    let (instance, nic) = (view.instance.id.to_string(), view.nics[0].nic.id.to_string());
    let free = RegisterNic {
        vpc: Some(vpc.clone()),
        addresses: vec!["10.9.0.2".parse().unwrap()],
        groups: vec![first.clone()],
        ..RegisterNic::default()
    };
    let free = ecs.service.submit(free).await.unwrap().id.to_string();
    let ids = [("vpc", vpc), ("first", first), ("instance", instance), ("nic", nic), ("free", free)];
    (router(ecs), ids.map(|(name, id)| (name.to_owned(), id)).into())
}

/// A signed request, and what was read for it.
async fn call(
    face: &Router,
    action: &str,
    parameters: &[(String, String)],
) -> (Reply, BTreeSet<(String, Kind)>) {
    thread_local! { static NONCE: RefCell<u32> = const { RefCell::new(0) }; }
    let nonce = NONCE.with_borrow_mut(|nonce| {
        *nonce += 1;
        nonce.to_string()
    });
    let mut all = common(action, &nonce);
    if action == "DescribeVpcs" {
        all.insert("Version".to_owned(), "2016-04-28".to_owned());
    }
    all.extend(parameters.iter().cloned());
    READ.take();
    let reply = ask(face, get(all)).await;
    (reply, READ.take())
}

fn actions() -> impl Iterator<Item = &'static Action> {
    NOUNS.iter().flat_map(|(_, actions)| *actions)
}

/// What it is to read.
fn declared(action: &'static Action) -> impl Iterator<Item = &'static Parameter> {
    action.declared().filter(|parameter| matches!(parameter.effect, Effect::Acts { .. }))
}

/// Whether `place` of a request is this parameter.
fn is(parameter: &Parameter, place: &str) -> bool {
    parameter.is(&numbers_as_n(place))
}

/// Calls without a required parameter, and reports if it is not missed.
async fn misses(
    face: &Router,
    action: &'static Action,
    parameter: &Parameter,
    request: &[(String, String)],
) -> Option<String> {
    let rest: Vec<_> = request.iter().filter(|(place, _)| !is(parameter, place)).cloned().collect();
    // An element of which nothing is left is none.
    let has_element = |element: &str| rest.iter().any(|(place, _)| numbers_as_n(place).starts_with(element));
    if let Some((array, _)) = parameter.name.split_once(".N.")
        && !has_element(&format!("{array}.N."))
    {
        return None;
    }
    let reply = call(face, action.name, &rest).await.0;
    let code = if reply.status == 200 { "none".to_owned() } else { reply.refusal().1 };
    let is_missed = code.starts_with("MissingParameter")
        || (parameter.kind == Kind::List && code == "InvalidSecurityGroupId.Malformed");
    (!is_missed).then(|| format!("{} without {}: the code is {code}", action.name, parameter.name))
}

/// What the requests of an action have shown.
#[derive(Default)]
struct Shown {
    read: BTreeSet<(String, Kind)>,
    /// What every request had; none before the first.
    always: Option<BTreeSet<&'static str>>,
}

/// Sends the requests, and reports what is wrong with them.
async fn send(face: &Router, mut ids: Pairs, shown: &mut BTreeMap<&'static str, Shown>) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = include_str!("requests.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (line, saved) = line.split_once(" > ").unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let Some(action) = actions().find(|action| action.name == name) else {
            wrong.push(format!("{name} is requested, and is no action"));
            continue;
        };
        let request: Vec<(String, String)> = words
            .map(|parameter| {
                let (place, value) = parameter.split_once('=').unwrap();
                let value = match value.strip_prefix('$') {
                    Some(id) => ids[id].clone(),
                    None => value.to_owned(),
                };
                (place.to_owned(), value.strip_prefix('@').map_or(value.clone(), |id| token(name, id)))
            })
            .collect();
        for (place, _) in &request {
            if !declared(action).any(|parameter| is(parameter, place)) {
                wrong.push(format!("{name} does not declare {place}"));
            }
        }
        let given: Vec<&Parameter> = declared(action)
            .filter(|parameter| request.iter().any(|(place, _)| is(parameter, place)))
            .collect();
        for parameter in given.iter().filter(|parameter| parameter.required) {
            wrong.extend(misses(face, action, parameter, &request).await);
        }
        let (reply, read) = call(face, name, &request).await;
        if reply.status != 200 {
            wrong.push(format!("{line}: {reply:?}"));
        }
        let shown = shown.entry(action.name).or_default();
        shown.read.extend(read);
        let here: BTreeSet<&str> = given.iter().map(|parameter| parameter.name).collect();
        shown.always = Some(shown.always.take().map_or_else(|| here.clone(), |before| &before & &here));
        if let Some((id, place)) = saved.split_once('=') {
            let value: Value = reply.json();
            let value = value.pointer(place).and_then(Value::as_str).unwrap_or_default();
            ids.insert(id.to_owned(), value.to_owned());
        }
    }
    wrong
}

#[tokio::test]
async fn actions_read_what_they_declare() {
    let (face, ids) = furnished().await;
    let mut shown = BTreeMap::new();
    let mut wrong = send(&face, ids, &mut shown).await;
    for action in actions() {
        let Some(Shown { read, always: Some(always) }) = shown.remove(action.name) else {
            wrong.push(format!("requests.txt has none of {}", action.name));
            continue;
        };
        let stated: BTreeSet<(String, Kind)> =
            declared(action).map(|parameter| (parameter.name.to_owned(), parameter.kind)).collect();
        for undeclared in read.difference(&stated) {
            wrong.push(format!("{} reads and does not declare {undeclared:?}", action.name));
        }
        for unread in stated.difference(&read) {
            wrong.push(format!("{} declares and does not read {unread:?}", action.name));
        }
        // An element has what it requires; that there must be one, no parameter says.
        let is_whole = |name: &&str| !name.contains('.');
        let always: BTreeSet<&str> = always.into_iter().filter(is_whole).collect();
        let required: BTreeSet<&str> = declared(action)
            .filter(|parameter| parameter.required)
            .map(|parameter| parameter.name)
            .filter(is_whole)
            .collect();
        if always != required {
            wrong.push(format!("{} has in every request {always:?}, and requires {required:?}", action.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_prefix_list_of_the_local_end_is_refused() {
    let (face, ids) = furnished().await;
    for (action, remote, local) in [
        ("AuthorizeSecurityGroup", "SourceCidrIp", "DestPrefixListId"),
        ("AuthorizeSecurityGroupEgress", "DestCidrIp", "SourcePrefixListId"),
    ] {
        for prefix in ["", "Permissions.1."] {
            let mut request: Vec<(String, String)> =
                [("IpProtocol", "ALL"), (remote, "10.0.0.0/8"), (local, "pl-1")]
                    .map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()))
                    .into();
            request.push(("RegionId".to_owned(), "r".to_owned()));
            request.push(("SecurityGroupId".to_owned(), ids["first"].clone()));
            let reply = call(&face, action, &request).await.0;
            assert_eq!(reply.refusal(), (400, format!("InvalidParam.{local}")));
            let message = reply.json()["Message"].as_str().unwrap().to_owned();
            assert!(message.contains(&format!("{prefix}{local}")), "{message}");
        }
    }
}
