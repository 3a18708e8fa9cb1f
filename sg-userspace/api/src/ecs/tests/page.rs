//! `docs/use/ecs-api.md`: the page is what the tables of the actions say.

use std::{fmt::Write as _, fs, path::Path};

use crate::ecs::{Action, NOUNS, Parameter, params::Kind};

/// The page, from the root of the repository.
const PAGE: &str = "docs/use/ecs-api.md";
/// The form of a rule's parameters that takes many rules; the other one has the same names without it.
const MANY: &str = "Permissions.N.";

const HEAD: &str = "\
# The ECS API: actions and parameters

`sgd serve` speaks the RPC protocol of Alibaba Cloud ECS, version 2014-05-26, as the cloud's unmodified clients do
([Serving clients](serving.md#clients-of-the-cloud)). This page has every action and every parameter that it reads. A parameter that
is not listed for an action is ignored, as clients of the cloud send some of their own; only `DryRun`, unless it is `false`, is refused
with `InvalidParameter`, so that no request takes effect that was not to. An action that is not listed is refused with
`InvalidAction.NotFound`. An action that the role of the access key does not allow is refused with `Forbidden.RAM`
([roles](serving.md#roles)). The cloud's own reference describes the responses.

Every request also has the parameters or headers of its protocol, which clients write themselves: the action, the version, the format
(JSON or XML), and a signature of version 1 (HMAC-SHA1) or ACS3 (HMAC-SHA256).

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
it, and is no rule that a request describes by its other fields: change or revoke it by `SecurityGroupRuleId`. The same holds for the `family` of a
rule whose remote is a group or a prefix list. One of `family: ipv4` or `ipv6` whose remote is `any` is shown with `0.0.0.0/0` or `::/0` alone, and
is the rule that a request with these addresses describes.

<!-- Written by a test from the tables in the code: SG_WRITE_DOCS=1 cargo test --workspace --lib ecs_api_page -->
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (noun, actions) in NOUNS {
        let _ = write!(page, "\n## {noun}\n");
        for action in actions {
            let _ =
                write!(page, "\n### {}\n\n{} Needs the role `{}`.\n", action.name, action.about, action.role);
            parameters(&mut page, action);
        }
    }
    page
}

fn parameters(page: &mut String, action: &Action) {
    let all: Vec<&Parameter> = action.parameters.iter().flat_map(|part| part.iter()).collect();
    if all.is_empty() {
        page.push_str("It has no parameters.\n");
        return;
    }
    let has = |name: &str| all.iter().any(|parameter| parameter.name == name);
    page.push_str("\n| parameter | type | required | values |\n|---|---|---|---|\n");
    for parameter in &all {
        if parameter.name.strip_prefix(MANY).is_some_and(has) {
            continue;
        }
        let many = if has(&format!("{MANY}{}", parameter.name)) { "[Permissions.N.]" } else { "" };
        let kind = match parameter.kind {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::List => "list",
        };
        let required = if parameter.required { "yes" } else { "" };
        let _ = writeln!(page, "| `{many}{}` | {kind} | {required} | {} |", parameter.name, parameter.about);
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
