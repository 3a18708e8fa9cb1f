//! Requests of the Huawei Cloud API that are wrong in one way at least, of every operation: each is refused in the form of its
//! version, with `X-Request-Id`, and changes nothing.

use axum::http::Method;
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::{both::Both, faces::Reply};
use crate::huawei::{Dialect, Kind, NOUNS, Operation, Parameter, Place, Support};

/// What is wrong.
#[derive(Clone, Debug)]
enum Wrong {
    /// A field of the body that no operation has.
    UnknownField(String),
    /// A parameter of the query that no operation has.
    UnknownQuery(String, String),
    /// A field is of another type.
    Type(Index, Value),
    /// A field that must be there is not.
    Missing(Index),
    /// A parameter of the query is there twice, or is no number.
    Query(Index, String),
    /// The body is another value than an object.
    Body(Value),
    /// The body is no JSON.
    Text(String),
    /// A field of the body is there twice.
    Twice(Index),
    /// What the path names is not there.
    Path(String),
    /// Deeper than any request.
    Deep(usize),
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let value = prop_oneof![
        Just(json!({ "a": [1] })),
        Just(json!([[1]])),
        Just(json!([true, null, "x"])),
        Just(json!(1.5)),
        Just(json!(-1e300)),
    ];
    let scalar =
        prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([])), Just(json!([{}])), Just(json!(true))];
    prop_oneof![
        "\\PC{1,30}".prop_map(Wrong::UnknownField),
        ("[^&=]{1,20}", "\\PC{0,20}").prop_map(|(name, value)| Wrong::UnknownQuery(name, value)),
        (any::<Index>(), value).prop_map(|(at, value)| Wrong::Type(at, value)),
        any::<Index>().prop_map(Wrong::Missing),
        (any::<Index>(), "\\PC{0,8}").prop_map(|(at, text)| Wrong::Query(at, text)),
        scalar.prop_map(Wrong::Body),
        "\\{\\PC{0,40}"
            .prop_filter("it must be no JSON", |text| serde_json::from_str::<Value>(text).is_err())
            .prop_map(Wrong::Text),
        any::<Index>().prop_map(Wrong::Twice),
        "\\PC{1,40}".prop_map(Wrong::Path),
        (100_usize..5000).prop_map(Wrong::Deep),
    ]
}

/// A value of a kind, which may be good.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text => "x1".into(),
        Kind::Integer => 4.into(),
        Kind::Boolean => true.into(),
        Kind::Texts => json!(["x1"]),
        Kind::Integers => json!([1]),
        Kind::Object => json!({}),
        Kind::Objects => json!([{}]),
        Kind::Any => "x".into(),
    }
}

/// The fields of the body that an operation reads.
fn fields(operation: &Operation) -> Vec<&'static Parameter> {
    let is_read = |field: &&Parameter| field.place == Place::Body && field.support == Support::Read;
    operation.declared().filter(is_read).collect()
}

/// The place of a field in a body, which is made if it is not there; and the last part of its name.
fn place<'a>(body: &'a mut Value, name: &'a str) -> (&'a mut Map<String, Value>, &'a str) {
    let (outer, last) = name.rsplit_once('.').map_or(("", name), |(outer, last)| (outer, last));
    let mut at = body;
    for part in outer.split('.').filter(|part| !part.is_empty()) {
        let (name, is_array) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let inner = at
            .as_object_mut()
            .unwrap()
            .entry(name)
            .or_insert_with(|| if is_array { json!([{}]) } else { json!({}) });
        at = if is_array { &mut inner[0] } else { inner };
    }
    (at.as_object_mut().unwrap(), last)
}

/// A body with all that is required.
fn body(operation: &Operation) -> Value {
    let mut body = json!({});
    for field in fields(operation) {
        let (object, name) = place(&mut body, field.name);
        if field.required {
            object.entry(name).or_insert_with(|| value(field.kind));
        }
    }
    body
}

/// A request of an operation that is wrong: target and body. None: it cannot be wrong in this way.
fn request(operation: &Operation, path: &str, wrong: &Wrong) -> Option<(String, String)> {
    let has_body = operation.method != Method::GET && operation.method != Method::DELETE;
    let is_of_body =
        matches!(wrong, Wrong::UnknownField(_) | Wrong::Type(..) | Wrong::Missing(_) | Wrong::Twice(_));
    (has_body || !is_of_body).then_some(())?;
    let mut all = body(operation);
    let fields = fields(operation);
    let (mut target, mut text) = (path.to_owned(), None);
    let query: Vec<&Parameter> =
        operation.declared().filter(|parameter| parameter.place == Place::Query).collect();
    let encoded = |name: &str, value: &str| {
        form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
    };
    match wrong {
        Wrong::UnknownField(name) => {
            let is_known = fields.iter().any(|field| field.name == *name) || operation.chosen_by.is_some();
            (!is_known).then(|| all[name] = "x".into())?;
        }
        Wrong::UnknownQuery(name, value) => {
            let is_known = query.iter().any(|parameter| parameter.name == *name);
            (!is_known).then(|| target = format!("{target}?{}", encoded(name, value)))?;
        }
        Wrong::Type(at, value) => {
            let typed: Vec<_> = fields.iter().filter(|field| field.kind != Kind::Any).collect();
            let field = typed.get(at.index(typed.len().max(1)))?;
            let (object, name) = place(&mut all, field.name);
            object.insert(name.to_owned(), value.clone());
            let is_good = field.kind == Kind::Object && value.is_object()
                || field.kind == Kind::Integer && value.is_string();
            (!is_good || value.get("a").is_some()).then_some(())?;
        }
        Wrong::Missing(at) => {
            let required: Vec<_> = fields.iter().filter(|field| field.required).collect();
            let field = required.get(at.index(required.len().max(1)))?;
            let (object, name) = place(&mut all, field.name);
            object.remove(name);
        }
        Wrong::Query(at, text) => {
            let parameter = query.get(at.index(query.len().max(1)))?;
            let value = match parameter.kind {
                Kind::Integer | Kind::Integers if text.parse::<i64>().is_err() && !text.is_empty() => {
                    text.clone()
                }
                Kind::Boolean if !["true", "false", ""].contains(&text.to_lowercase().as_str()) => {
                    text.clone()
                }
                // Twice.
                Kind::Text | Kind::Boolean | Kind::Integer => {
                    target =
                        format!("{target}?{}&{}", encoded(parameter.name, "1"), encoded(parameter.name, "2"));
                    return Some((target, String::new())).filter(|_| operation.method == Method::GET);
                }
                _ => return None,
            };
            target = format!("{target}?{}", encoded(parameter.name, &value));
        }
        Wrong::Body(value) => {
            (!fields.is_empty() || operation.method == Method::POST).then_some(())?;
            text = Some(value.to_string());
        }
        Wrong::Text(garbage) => text = Some(garbage.clone()),
        Wrong::Twice(at) => {
            let field = fields.get(at.index(fields.len().max(1)))?;
            let name = field.name.split(['.', '[']).next()?;
            let (one, written) = (json!(name), all.to_string());
            text = Some(written.replacen('{', &format!("{{{one}: null, {one}: {{}},"), 1).replace(",}", "}"));
        }
        Wrong::Path(text) => {
            let part = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
            let last = path.rfind('/').filter(|_| operation.path.ends_with('}'))?;
            target = format!("{}/{part}", &path[..last]);
        }
        Wrong::Deep(depth) => text = Some("[".repeat(*depth)),
    }
    let text = text.unwrap_or_else(|| if has_body { all.to_string() } else { String::new() });
    Some((target, text))
}

/// Whether a response has the form of the version, or that of the gateway, which stands before all versions.
fn has_form(reply: &Reply, dialect: Dialect) -> bool {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let body = &reply.body;
    let of_gateway = text(&body["error_code"]) && text(&body["error_msg"]) && text(&body["request_id"]);
    let of_version = match dialect {
        Dialect::V3 => of_gateway,
        Dialect::V1 => text(&body["code"]) && text(&body["message"]),
        Dialect::Neutron => text(&body["NeutronError"]["type"]) && text(&body["NeutronError"]["message"]),
        Dialect::Ecs => text(&body["error"]["code"]) && text(&body["error"]["message"]),
        Dialect::Nova => body
            .as_object()
            .and_then(|body| body.values().next())
            .is_some_and(|error| error["code"] == reply.status && text(&error["message"])),
        Dialect::Identity => body["error"]["code"] == reply.status && text(&body["error"]["message"]),
    };
    of_version || (of_gateway && body["error_code"].as_str().is_some_and(|code| code.starts_with("APIGW.")))
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let both = Both::new();
    let before = both.faces.export();
    let all: Vec<&Operation> = NOUNS.iter().flat_map(|(_, operations)| *operations).collect();
    let cases = if std::env::var_os("SG_DEEP").is_some() { 100_000 } else { 1500 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&(any::<Index>(), wrong()), |(at, wrong)| {
        let operation = all[at.index(all.len())];
        let path = both.path_of(operation.path);
        let Some((target, body)) = request(operation, &path, &wrong) else { return Ok(()) };
        let reply = both.faces.huawei_with(operation.method.clone(), &target, &body, |_| ());
        prop_assert!((400..500).contains(&reply.status), "{operation:?} {wrong:?}: {reply:?}");
        prop_assert!(has_form(&reply, operation.dialect), "{operation:?} {wrong:?}: {reply:?}");
        prop_assert!(reply.headers.contains_key("x-request-id"), "{reply:?}");
        prop_assert!(both.faces.export() == before, "{operation:?} {wrong:?}: {reply:?} changed something");
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

impl Both {
    /// A path that names what there is.
    fn path_of(&self, path: &str) -> String {
        let group = self.model.groups.values().find(|group| !group.tags.is_empty() && group.vpc.is_none());
        let rule = self.model.rules.first().map_or("", |rule| rule.ids.uuid.as_str());
        let list = self.model.lists.values().next().map_or("", |list| list.ids.uuid.as_str());
        path.replace("{security_group_id}", group.map_or("", |group| group.ids.uuid.as_str()))
            .replace("{security_group_rule_id}", rule)
            .replace("{address_group_id}", list)
            .replace("{port_id}", &self.model.nics[0].ids.uuid)
            .replace("{server_id}", "11111111-1111-4111-8111-111111111111")
            .replace("{sub_network_interface_id}", "11111111-1111-4111-8111-111111111111")
    }
}
