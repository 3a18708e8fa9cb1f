//! Each operation of the vendor's SDK is there, with each of its parameters: it is read, or refused by its name. For that, `sdk.txt`
//! has what the SDK can send, and `requests.txt` has requests with all of it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_records::{GroupType, uuid_of};
use sg_service::{CreateGroup, CreateList, CreateVpc, NewLabel, RegisterInstance, RegisterNic};

use super::{READ, REGION, Reply, get, huawei, router, send};
use crate::huawei::{Dialect, Kind, NOUNS, Operation, Parameter, Place, Support};

type Ids = BTreeMap<&'static str, String>;

/// An API with an object of each kind, and their ids.
async fn furnished() -> (Router, Ids) {
    let huawei = huawei();
    let service = huawei.service.clone();
    let label = |name: &str| NewLabel { name: name.to_owned(), ..NewLabel::default() };
    let region = REGION.to_owned();
    let vpc = CreateVpc { label: label("net"), region: region.clone(), ..CreateVpc::default() };
    let vpc = service.submit(vpc).await.unwrap().id;
    let kind = GroupType::Closed;
    let group = CreateGroup { label: label("first"), region: region.clone(), kind, ..CreateGroup::default() };
    let group = service.submit(group).await.unwrap().id;
    let nic = RegisterNic {
        addresses: vec!["10.9.0.1".parse().unwrap()],
        groups: vec![group.to_string()],
        ..RegisterNic::default()
    };
    let instance = RegisterInstance {
        label: label("web1"),
        vpc: Some(vpc.to_string()),
        nics: vec![nic],
        ..RegisterInstance::default()
    };
    let view = service.submit(instance).await.unwrap();
    let list = CreateList::<sg_records::PrefixEntry> {
        label: label("kept"),
        region,
        extra: sg_records::PrefixFamily { family: Some(sg_records::Family::V4) },
        max_entries: 3,
        entries: Vec::new(),
    };
    let list = service.submit(list).await.unwrap().id;
    let ids = [
        ("vpc", uuid_of(&vpc)),
        ("first", uuid_of(&group)),
        ("instance", uuid_of(&view.instance.id)),
        ("nic", uuid_of(&view.nics[0].nic.id)),
        ("kept", uuid_of(&list)),
    ];
    (router(huawei), ids.map(|(name, id)| (name, id.to_string())).into())
}

fn operations() -> impl Iterator<Item = &'static Operation> {
    NOUNS.iter().flat_map(|(_, operations)| *operations)
}

const fn letter(place: Place) -> &'static str {
    match place {
        Place::Query => "q",
        Place::Body => "b",
        Place::Header => "h",
    }
}

#[test]
fn every_parameter_of_the_sdk_is_read_or_refused() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let lines = include_str!("sdk.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        count += 1;
        let mut words = line.split(' ');
        let (name, method, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let found = operations().find(|operation| {
            operation.name == name && operation.method.as_str() == method && operation.path == path
        });
        let Some(operation) = found else {
            wrong.push(format!("{name} ({method} {path}) is not there"));
            continue;
        };
        for parameter in words {
            let (place, name) = parameter.split_once(':').unwrap();
            let is = |declared: &Parameter| {
                // What is in a value of any form, or in a refused one, is part of that.
                let holds = declared.kind == Kind::Any || declared.support == Support::Refused;
                let inner = name.strip_prefix(declared.name);
                letter(declared.place) == place
                    && (declared.name == name
                        || (holds && inner.is_some_and(|inner| inner.starts_with(['.', '[']))))
            };
            if !operation.declared().any(is) {
                wrong.push(format!("{} {path} does not declare {parameter}", operation.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 59);
}

/// The path of an operation with ids of objects that exist.
fn target(operation: &Operation, ids: &Ids) -> String {
    let names = [
        ("{security_group_id}", "first"),
        ("{address_group_id}", "kept"),
        ("{port_id}", "nic"),
        ("{sub_network_interface_id}", "nic"),
        ("{server_id}", "instance"),
        ("{security_group_rule_id}", "first"),
    ];
    names.iter().fold(operation.path.to_owned(), |path, (name, id)| path.replace(name, &ids[id]))
}

/// What a response lists: the length of its only array.
fn listed(reply: &Reply) -> usize {
    let reply = reply.json();
    let arrays = reply.as_object().unwrap().iter().filter(|(name, _)| !name.ends_with("_links"));
    let arrays: Vec<_> = arrays.filter_map(|(_, value)| value.as_array()).collect();
    assert_eq!(arrays.len(), 1, "{reply}");
    arrays[0].len()
}

/// A filter selects nothing, or is refused by its name, where no object has what it says.
#[tokio::test]
async fn every_filter_filters() {
    let (face, ids) = furnished().await;
    // A list without objects would be empty anyway.
    let rule =
        json!({ "security_group_rule": { "security_group_id": ids["first"], "direction": "ingress" } });
    assert_eq!(
        send(&face, Method::POST, "/v3/{project_id}/vpc/security-group-rules", &rule).await.status,
        201
    );
    let about_parts = ["limit", "marker", "offset", "page_reverse", "fields"];
    let mut wrong = Vec::new();
    for operation in operations().filter(|operation| operation.method == Method::GET) {
        let target = target(operation, &ids);
        let filters = operation.declared().filter(|parameter| parameter.place == Place::Query);
        for parameter in filters.filter(|parameter| !about_parts.contains(&parameter.name)) {
            let name = parameter.name;
            let ask = async |value: &str| {
                get(&face, &format!("{target}?{}={value}", name.replace(':', "%3A"))).await
            };
            if parameter.support == Support::Refused {
                let reply = ask("1").await;
                if reply.status != 400 || !reply.text.contains(name) {
                    wrong.push(format!("{target}?{name} is not refused: {reply:?}"));
                }
                continue;
            }
            if name == "nocatalog" || operation.name == "ShowQuota" {
                continue;
            }
            let all = listed(&get(&face, &target).await);
            if all == 0 {
                wrong.push(format!("{target} is empty, so nothing is known of its filters"));
                continue;
            }
            if parameter.kind == Kind::Boolean {
                let (with, without) = (ask("true").await, ask("false").await);
                if listed(&with) + listed(&without) != all {
                    wrong.push(format!("{target}?{name}: {with:?} {without:?}"));
                }
                assert_eq!(ask("maybe").await.status, 400, "{target}?{name}");
                continue;
            }
            // Of a text, one that no object has; for what must be an address, one of those.
            for value in ["77", "fe80%3A%3A7"] {
                let is_number = matches!(parameter.kind, Kind::Integer | Kind::Integers);
                let reply = ask(if is_number { "77" } else { value }).await;
                let is_refused = reply.status == 400 && reply.text.contains(name);
                // One value of several is enough, and what is not there is found neither way.
                let negated = name.starts_with("not-");
                if !is_refused && (reply.status != 200 || listed(&reply) != if negated { all } else { 0 }) {
                    wrong.push(format!("{target}?{name}={value}: {reply:?}"));
                }
            }
        }
        let unknown = get(&face, &format!("{target}?colour=red")).await;
        let has_found = unknown.status != 404;
        if has_found && (unknown.status != 400 || !unknown.text.contains("colour")) {
            wrong.push(format!("{target}?colour: {unknown:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends the requests of `requests.txt`, and reports what is wrong with them.
async fn all_requests(
    face: &Router,
    mut ids: BTreeMap<String, String>,
) -> (BTreeMap<&'static str, BTreeSet<String>>, Vec<String>) {
    let (mut read, mut wrong) = (BTreeMap::<&str, BTreeSet<String>>::new(), Vec::new());
    for line in include_str!("requests.txt").lines().filter(|line| !line.starts_with('#')) {
        let (line, saved) = line.split_once(" > ").unwrap_or((line, ""));
        let line =
            ids.iter().rev().fold(line.to_owned(), |line, (name, id)| line.replace(&format!("${name}"), id));
        let line = line.replace("{project_id}", &super::project());
        let mut words = line.splitn(3, ' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let target = words.next().unwrap();
        let body: Value = words.next().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        let parts: Vec<String> = target.split('/').skip(1).map(str::to_owned).collect();
        let Some(operation) = super::super::route::route(&method, &parts).choose(&body) else {
            wrong.push(format!("{line} is no operation"));
            continue;
        };
        READ.take();
        let reply = send(face, method, target, &body).await;
        if !reply.status.is_success() {
            wrong.push(format!("{line}: {reply:?}"));
        }
        read.entry(key(operation)).or_default().extend(READ.take());
        if let Some((id, place)) = saved.split_once('=') {
            let value = reply.json().pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
            ids.insert(id.to_owned(), value);
        }
    }
    (read, wrong)
}

/// What tells operations apart.
fn key(operation: &'static Operation) -> &'static str {
    operation.chosen_by.unwrap_or_else(|| {
        // Paths of several methods are one: a name has one method in a version.
        Box::leak(format!("{} {}", operation.method, operation.path).into_boxed_str())
    })
}

#[tokio::test]
async fn operations_read_what_they_declare_of_a_body() {
    let (face, ids) = furnished().await;
    let ids = ids.into_iter().map(|(name, id)| (name.to_owned(), id)).collect();
    let (mut read, mut wrong) = all_requests(&face, ids).await;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Their requests are refused, whatever they say; `tokens` has those of the identity service.
    let refused = ["BatchAddServerNics", "UpdateSubNetworkInterface"];
    for operation in operations() {
        let has_body = operation.declared().any(|parameter| parameter.place == Place::Body);
        if operation.dialect == Dialect::Identity
            || operation.name.starts_with("Neutron")
            || refused.contains(&operation.name)
            || !has_body
        {
            continue;
        }
        let Some(read) = read.remove(key(operation)) else {
            wrong.push(format!("requests.txt has none of {} {}", operation.name, operation.path));
            continue;
        };
        // `security_group_rules[2].action` → `security_group_rules[].action`.
        let read: BTreeSet<String> = read
            .iter()
            .map(|name| {
                let parts = name.split('[').enumerate().map(|(place, part)| match part.split_once(']') {
                    Some((number, rest)) if place > 0 && is_number(number) => format!("]{rest}"),
                    _ => part.to_owned(),
                });
                parts.collect::<Vec<_>>().join("[")
            })
            .collect();
        let declared: BTreeSet<String> = operation
            .declared()
            .filter(|parameter| parameter.support == Support::Read)
            .map(|parameter| parameter.name.to_owned())
            .collect();
        for name in read.difference(&declared) {
            wrong.push(format!("{} {} reads and does not declare {name}", operation.name, operation.path));
        }
        for name in declared.difference(&read) {
            wrong.push(format!("{} {} declares and does not read {name}", operation.name, operation.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_field_that_is_refused_or_unknown_is_named() {
    let (face, ids) = furnished().await;
    let mut wrong = Vec::new();
    for operation in operations() {
        let bodies = operation.declared().filter(|parameter| parameter.place == Place::Body);
        let names: Vec<(&str, bool)> =
            bodies.map(|parameter| (parameter.name, parameter.support == Support::Refused)).collect();
        let Some((first, _)) = names.first() else { continue };
        let unknown = [("colour", true)];
        let root = operation.chosen_by.unwrap_or(first);
        for (name, _) in names.iter().filter(|(_, refused)| *refused).chain(&unknown) {
            let mut body = json!({});
            if operation.chosen_by.is_some() {
                body[root] = json!({ "name": "a" });
            }
            let parts: Vec<&str> = name.split('.').collect();
            let mut place = &mut body;
            for (number, part) in parts.iter().enumerate() {
                let is_last = number + 1 == parts.len();
                let (part, in_array) = part.strip_suffix("[]").map_or((*part, false), |part| (part, true));
                let inner = if is_last { json!("a") } else { json!({}) };
                place[part] = if in_array { json!([inner]) } else { inner };
                place = if in_array { &mut place[part][0] } else { &mut place[part] };
            }
            let method = operation.method.clone();
            let reply = send(&face, method, &target(operation, &ids), &body).await;
            let shown = name.replace("[]", "[0]");
            if reply.status != 400 || !reply.text.contains(&shown) {
                wrong.push(format!("{} {}, {name}: {reply:?}", operation.name, operation.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
