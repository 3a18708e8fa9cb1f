//! `docs/use/ecs-api.md`: the page is what the tables of the actions say.

use std::{fmt::Write as _, fs, path::Path};

use crate::ecs::{EVERY, Effect, NOUNS, Parameter, params::Kind};

/// The page, from the root of the repository.
const PAGE: &str = "docs/use/ecs-api.md";
/// The form of a rule's parameters that takes many rules; the other one has the same names without it.
const MANY: &str = "Permissions.N.";

const HEAD: &str = "\
# The ECS API: actions and parameters

`sgd serve` speaks the RPC protocol of Alibaba Cloud ECS, version 2014-05-26, as the cloud's unmodified clients do
([Serving clients](serving.md#clients-of-the-cloud)). This page has every action, and for each what its parameters do: those that act, in
a table; those with which the request is refused, with `InvalidParameter` and the name of the parameter; and those that are accepted
without effect. A name that is not on this page is refused in the same way: a filter that nobody reads would give a wrong list. Nothing
of a refused request is done. A test compares the page with what the cloud's own SDKs can send.

An action that is not listed is refused with `InvalidAction.NotFound`. An action that the role of the access key does not allow is
refused with `Forbidden.RAM` ([roles](serving.md#roles)). The cloud's own reference describes the responses.

Every request also has the parameters or headers of its protocol, which clients write themselves: the action, the version, the format
(JSON or XML), and a signature of version 1 (HMAC-SHA1) or ACS3 (HMAC-SHA256). Ansible's modules send the action once more, as `on`.

| type | how it is written |
|---|---|
| text | as it is; a blank one counts as missing |
| integer | decimal digits |
| boolean | `true` or `false` |
| list | numbered from 1 (`SecurityGroupIds.1`, `SecurityGroupIds.2`), or one JSON array of strings |

`N` in a name is the number of an element, from 1. A parameter inside an element (`Tag.N.Key`) is required where the element is given.
The tables of rules have `[Permissions.N.]` before names that stand either in an element of `Permissions`, for up to 100 rules, or
alone, for one rule; a request uses one of the two forms.

The cloud has no parameter for ICMP types and codes and for the DSCP. A rule that has one, from a document or the native API, is shown without
it, and is no rule that a request describes by its other fields: change or revoke it by `SecurityGroupRuleId`. The `family` of a rule whose
remote is a group or a prefix list is not shown, either, and a request that describes such a rule means those of every family. One of `family: ipv4` or `ipv6` whose remote is `any` is shown with `0.0.0.0/0` or `::/0` alone, and
is the rule that a request with these addresses describes.

<!-- Written by a test from the tables in the code: SG_WRITE_DOCS=1 cargo test --workspace --lib ecs_api_page -->
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Every action\n");
    others(&mut page, &EVERY.iter());
    page.push_str("\nAn action whose table has one of these reads it.\n");
    for (noun, actions) in NOUNS {
        let _ = write!(page, "\n## {noun}\n");
        for action in actions {
            let _ =
                write!(page, "\n### {}\n\n{} Needs the role `{}`.\n", action.name, action.about, action.role);
            let acting: Vec<_> =
                action.declared().filter_map(|parameter| Some((parameter, about(parameter)?))).collect();
            if acting.is_empty() {
                page.push_str("It has no parameters that act.\n");
            } else {
                table(&mut page, &acting);
            }
            others(&mut page, &action.declared());
        }
    }
    page
}

/// What an acting parameter means.
fn about(parameter: &Parameter) -> Option<&'static str> {
    match parameter.effect {
        Effect::Acts { about } => Some(about),
        Effect::Nothing { .. } | Effect::Refused { .. } => None,
    }
}

fn table(page: &mut String, all: &[(&Parameter, &str)]) {
    page.push_str("\n| parameter | type | required | values |\n|---|---|---|---|\n");
    for (name, (parameter, about)) in in_both_forms(&all.iter().map(|all| (all.0.name, *all))) {
        let kind = match parameter.kind {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::List => "list",
        };
        let required = if parameter.required { "yes" } else { "" };
        let _ = writeln!(page, "| `{name}` | {kind} | {required} | {about} |");
    }
}

/// The two forms of a rule's parameters as one, under a name that says so.
fn in_both_forms<T>(all: &(impl Iterator<Item = (&'static str, T)> + Clone)) -> Vec<(String, T)> {
    let has = |wanted: &str| all.clone().any(|(name, _)| name == wanted);
    let written = all.clone().filter(|(name, _)| !name.strip_prefix(MANY).is_some_and(has));
    let name = |name: &str| {
        if has(&format!("{MANY}{name}")) { format!("[Permissions.N.]{name}") } else { name.to_owned() }
    };
    written.map(|(plain, more)| (name(plain), more)).collect()
}

/// The parameters that do not act, by the reason.
fn others(page: &mut String, all: &(impl Iterator<Item = &'static Parameter> + Clone)) {
    for start in ["Refused", "Without effect"] {
        let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
        let named = all.clone().filter_map(|parameter| {
            let (is_refused, why, unless) = match parameter.effect {
                Effect::Acts { .. } => return None,
                Effect::Nothing { why } => (false, why, ""),
                Effect::Refused { why, unless } => (true, why, unless),
            };
            (is_refused == (start == "Refused")).then_some((parameter.name, (why, unless)))
        });
        for (name, (why, unless)) in in_both_forms(&named) {
            let name =
                if unless.is_empty() { format!("`{name}`") } else { format!("`{name}` unless `{unless}`") };
            match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, names)) => names.push(name),
                None => by_reason.push((why, vec![name])),
            }
        }
        if by_reason.is_empty() {
            continue;
        }
        let _ = write!(page, "\n{start}:\n\n");
        for (why, names) in by_reason {
            let _ = writeln!(page, "* {}: {why}.", names.join(", "));
        }
    }
}

#[test]
fn ecs_api_page_says_what_the_tables_say() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|place| place.join("docs/use").is_dir());
    let file = root.unwrap().join(PAGE);
    if std::env::var_os("SG_WRITE_DOCS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    assert!(
        fs::read_to_string(&file).ok() == Some(page()),
        "{PAGE} is out of date; to write it: SG_WRITE_DOCS=1 cargo test -p {} --lib ecs_api_page",
        env!("CARGO_PKG_NAME")
    );
}
