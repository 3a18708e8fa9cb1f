//! Every parameter that the vendor's SDKs have for an action is declared for it: as one that acts, changes nothing, or is refused;
//! and every request of the recorded clients is understood, but for those that name what is refused.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;

use super::{Pairs, ask, common, declared::furnished, ecs, get, router};
use crate::{
    ecs::{Action, EVERY, Effect, NOUNS, params::Kind, understood::numbers_as_n},
    signature::tests::recorded,
};

/// Written by a script, which its head names.
const SDK: &str = include_str!("sdk_parameters.txt");

/// What actions read beyond the SDKs: a token of more changes, pages of both ways for every list, the tags of one more filter.
const BEYOND: &[(&str, &[&str])] = &[
    ("Create", &[]),
    ("Describe", &["RegionId", "PageNumber", "PageSize", "MaxResults", "NextToken"]),
    ("Modify", &["ClientToken", "RegionId", "MaxEntries"]),
    ("Delete", &["ClientToken"]),
    ("Authorize", &[]),
    ("Revoke", &[]),
    ("Join", &["ClientToken"]),
    ("Leave", &["ClientToken"]),
    ("Attach", &["ClientToken"]),
    ("Detach", &["ClientToken"]),
    ("Tag", &["ClientToken"]),
    ("Untag", &["ClientToken"]),
    ("Add", &["ClientToken"]),
    ("Remove", &["ClientToken"]),
];

fn actions() -> impl Iterator<Item = &'static Action> {
    NOUNS.iter().flat_map(|(_, actions)| *actions)
}

/// Name → type, of each action.
fn sdk() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for line in SDK.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (action, name, kind) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        all.entry(action).or_default().insert(name, kind);
    }
    all
}

/// Whether a value that an SDK sends as `sent` can be read as `kind`. Some of its texts are JSON arrays, or numbers; an object is
/// sent as a JSON text.
fn fits(kind: Kind, sent: &str) -> bool {
    match kind {
        Kind::Text => matches!(sent, "text" | "object"),
        Kind::Integer => matches!(sent, "integer" | "text"),
        Kind::Boolean => sent == "boolean",
        Kind::List => matches!(sent, "list" | "text"),
    }
}

#[test]
fn every_parameter_of_the_sdks_is_declared() {
    let (sdk, mut wrong) = (sdk(), Vec::new());
    for action in actions() {
        let Some(sent) = sdk.get(action.name) else {
            wrong.push(format!(
                "sdk_parameters.txt has nothing of {}: write it again, its head says how",
                action.name
            ));
            continue;
        };
        for (name, kind) in sent {
            match action.parameter(name) {
                None => wrong.push(format!("{} does not declare {name}", action.name)),
                Some(found) if matches!(found.effect, Effect::Acts { .. }) && !fits(found.kind, kind) => {
                    wrong.push(format!(
                        "{} declares {name} as {:?}; it is sent as {kind}",
                        action.name, found.kind
                    ));
                }
                Some(_) => {}
            }
        }
        let allowed = BEYOND
            .iter()
            .find(|(start, _)| action.name.starts_with(start))
            .map_or(&[][..], |beyond| beyond.1);
        for parameter in action.declared().filter(|parameter| !sent.contains_key(parameter.name)) {
            // The other end's list or group, which rules of this direction refuse; a list of ports, in both forms of a rule.
            let is_of_rules =
                ["DestGroupId", "DestPrefixListId", "SourceGroupId", "SourcePrefixListId", "PortRangeListId"]
                    .iter()
                    .any(|name| parameter.name.trim_start_matches("Permissions.N.") == *name);
            let is_allowed =
                allowed.contains(&parameter.name) || is_of_rules && action.name.contains("SecurityGroup");
            // What no SDK sends has no place among what is refused or does nothing.
            let acts = matches!(parameter.effect, Effect::Acts { .. }) || parameter.name == "RegionId";
            if !is_allowed || !acts {
                wrong.push(format!("{} declares {}, which no SDK has", action.name, parameter.name));
            }
        }
        let mut names = BTreeSet::new();
        for parameter in action.declared().filter(|parameter| !names.insert(parameter.name)) {
            wrong.push(format!("{} declares {} twice", action.name, parameter.name));
        }
    }
    for action in sdk.keys().filter(|name| actions().all(|action| action.name != **name)) {
        wrong.push(format!("sdk_parameters.txt has {action}, and it is no action"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `Tag.N.Key` → `Tag.1.Key`.
fn first(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').map(|part| if part == "N" { "1" } else { part }).collect();
    parts.join(".")
}

/// A request with one parameter, and none that an action requires.
async fn with(face: &Router, action: &Action, name: &str, value: &str) -> super::Reply {
    thread_local! { static NONCE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
    let nonce = NONCE.replace(NONCE.get() + 1);
    let mut all: Pairs = common(action.name, &format!("sdk-{nonce}"));
    all.insert(first(name), value.to_owned());
    ask(face, get(all)).await
}

/// Before anything else of the request is looked at: even what is required is missing here.
#[tokio::test]
async fn what_is_refused_is_refused_by_name() {
    let (face, _) = furnished().await;
    let mut count = 0;
    for action in actions() {
        let others =
            EVERY.iter().filter(|every| action.declared().all(|declared| declared.name != every.name));
        for parameter in action.declared().chain(others) {
            // The last element of a list has the number.
            let place = if parameter.kind == Kind::List {
                format!("{}.N", parameter.name)
            } else {
                parameter.name.to_owned()
            };
            let reply = with(&face, action, &place, "no-default").await;
            let is_named = reply.text.contains(&format!("\\\"{}\\\"", first(&place)));
            match parameter.effect {
                Effect::Refused { why, unless } => {
                    count += 1;
                    assert_eq!(reply.refusal(), (400, malformed(&place)), "{} {place}", action.name);
                    assert!(is_named && reply.text.contains(why), "{} {place}: {}", action.name, reply.text);
                    for neutral in ["", unless, &unless.to_uppercase()] {
                        let text = with(&face, action, &place, neutral).await.text;
                        assert!(!text.contains(why), "{} {place}={neutral}: {text}", action.name);
                    }
                }
                Effect::Nothing { .. } => assert!(!is_named, "{} {place}: {}", action.name, reply.text),
                Effect::Acts { .. } => {}
            }
        }
        for place in ["Strange", "Tag.1.Strange", "RegionId.1", "regionid", "on", "Permissions.1", "Action.1"]
        {
            let reply = with(&face, action, place, "x").await;
            assert_eq!(reply.refusal(), (400, malformed(place)), "{} {place}", action.name);
            assert!(reply.text.contains(&format!("\\\"{place}\\\"")), "{}", reply.text);
            let reply = with(&face, action, place, "").await;
            assert!(!reply.text.contains(&format!("\\\"{place}\\\"")), "{}", reply.text);
        }
        let reply = with(&face, action, "on", action.name).await;
        assert!(!reply.text.contains("\\\"on\\\""), "{}", reply.text);
    }
    assert!(count > 100, "{count} are refused");
}

/// The vendor has a code of its own for some names.
fn malformed(place: &str) -> String {
    match place {
        "NextToken" => "InValidParameter.NextToken",
        place if place.starts_with("Permissions") => "InvalidParam.Permissions",
        _ => "InvalidParameter",
    }
    .to_owned()
}

/// What is refused is not done: the same request without the parameter is.
#[tokio::test]
async fn a_change_that_is_not_understood_is_not_done() {
    let ecs = ecs(super::NOW);
    let service = ecs.service.clone();
    let face = router(ecs);
    let create = |nonce: &str, name: &str, value: &str| {
        let mut all = common("CreateSecurityGroup", nonce);
        all.extend(super::pairs(&[("RegionId", "r"), (name, value)]));
        get(all)
    };
    for (number, name) in ["Strange", "ResourceGroupId", "ServiceManaged", "DryRun"].into_iter().enumerate() {
        let reply = ask(&face, create(&number.to_string(), name, "true")).await;
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{name}");
        assert!(service.snapshot().groups().is_empty(), "{name}");
    }
    assert_eq!(ask(&face, create("n", "ServiceManaged", "False")).await.status, 200);
    assert_eq!(service.snapshot().groups().len(), 1);
}

/// A name as declarations write it, with `N` for the number, is no parameter, nor is one with another text that is no number from 1:
/// nobody reads them, and without its policy a rule would accept.
#[tokio::test]
async fn an_element_has_a_number() {
    let (face, _) = furnished().await;
    let mut nonce = 0;
    for (action, before, behind) in [
        ("AuthorizeSecurityGroup", "Permissions.", ".Policy"),
        ("UntagResources", "TagKey.", ""),
        ("DescribeSecurityGroups", "Tag.", ".Key"),
        ("DescribeInstances", "InstanceIds.", ""),
        ("JoinSecurityGroup", "SecurityGroupId.", ""),
        ("DescribeNetworkInterfaces", "Tag.1.", ".Key"),
    ] {
        for number in ["N", "n", "0", "007", "+1", "-1", "1e1", " 1", "4294967296", "\u{661}", ""] {
            nonce += 1;
            let place = format!("{before}{number}{behind}");
            let mut all = common(action, &format!("element-{nonce}"));
            all.insert(place.clone(), "drop".to_owned());
            let reply = ask(&face, get(all)).await;
            assert_eq!(reply.status, 400, "{action} {place}: {}", reply.text);
            assert!(reply.text.contains(&format!("\\\"{place}\\\"")), "{action} {place}: {}", reply.text);
        }
    }
}

/// The names that real clients sent and that are refused: a resource group, and one that was sent to try the signature.
#[test]
fn recorded_requests_are_understood() {
    let mut strange = BTreeSet::new();
    for request in recorded().into_iter().filter(|request| request.is_rpc() && request.valid) {
        let parameters = request.parameters();
        let name = request.header("x-acs-action").unwrap_or_else(|| &parameters["Action"]).to_owned();
        let action = actions().find(|action| action.name == name).unwrap();
        for (place, text) in parameters.iter().filter(|(_, text)| !text.is_empty()) {
            let of_version_1 = common("", "").contains_key(place) || place == "Signature";
            let effect = action.parameter(&numbers_as_n(place)).map(|parameter| parameter.effect);
            let is_refused = match effect {
                None => !of_version_1,
                Some(Effect::Refused { unless, .. }) => !text.eq_ignore_ascii_case(unless),
                Some(_) => false,
            };
            if is_refused {
                strange.insert((name.clone(), place.clone()));
            }
        }
    }
    let expected = [("CreateSecurityGroup", "ResourceGroupId"), ("DescribeSecurityGroups", "Description")];
    assert_eq!(strange, expected.map(|(action, place)| (action.to_owned(), place.to_owned())).into());
}
