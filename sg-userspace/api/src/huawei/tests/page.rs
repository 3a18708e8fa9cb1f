//! `docs/use/huawei-api.md`: the page is what the table of operations says.

use std::{fmt::Write as _, fs, path::Path};

use crate::huawei::{Dialect, Kind, NOUNS, Operation, Parameter, Place, Support};

/// The page, from the root of the repository.
const PAGE: &str = "docs/use/huawei-api.md";

const HEAD: &str = "\
# The Huawei API: operations and parameters

`sgd serve --huawei ADDRESS:PORT` speaks the REST protocols of Huawei Cloud VPC and ECS as the cloud's unmodified clients do
([Serving clients](serving.md#clients-of-huawei-cloud)): VPC v3 and v1, Neutron v2.0, ECS v1, Nova v2.1, and of the identity service what
clients need before those. This page has every operation and every parameter. The cloud's own reference describes the responses.

**Nothing is ignored.** A parameter of the query or a field of the body that is not listed for an operation is refused with 400, by its
name, and so is one that is listed as refused. `null` in a body is the same as nothing. Headers that are not listed are not read.

| | |
|---|---|
| who | A signature SDK-HMAC-SHA256 with an access key, at most 15 minutes old, or a token in `X-Auth-Token`; otherwise 401 `APIGW.0301`. The [role](serving.md#roles) of the key must allow the operation; otherwise 403. There are no temporary keys: a request with `X-Security-Token` is refused. |
| project | A region is a project. Its id is in the path, in `X-Project-Id`, or that of the token; if they differ, or there is no such project, 400 `VPC.0007`. `GET /v3/projects?name=REGION` tells it. |
| ids | UUIDs, which are computed from the ids of other APIs; those show them as `uuid`. |
| groups | A new group is a [closed group](../glossary.md) without a VPC, in the region of the project. Groups of other types are listed, too. |
| rules | A rule has one family. Two rules of a group and direction that match the same packets are duplicates, whatever their actions and priorities. A rule of another API for both families is shown with `ethertype` null; `drop` is shown as `deny`; a port list as its ports; source ports, local addresses, the DSCP and types of ICMP messages are not shown in v3. v1, v2.0 and Nova have neither actions nor switches, so a rule that denies or is not enabled is not shown there, in no list and no group; it can be deleted by its id, and a new rule for the same packets is refused as a duplicate of it. |
| errors | v3: `error_code`, `error_msg`; v1: `code`, `message`; v2.0: `NeutronError`; ECS: `error`; Nova: the name of the error. Each response has the header `X-Request-Id`, which is in the log of sgd, too. |

| type | how it is written |
|---|---|
| text, integer, boolean | in a query, as it is; in a body, as JSON has it, or an integer as a text |
| texts, integers | in a query, once for each value (`id=A&id=B`); in a body, an array |
| object, objects | an object; an array of objects, whose fields have `[].` in their names |

A parameter inside an object is required where the object is given.

<!-- Written by a test from the table in the code: SG_WRITE_DOCS=1 cargo test --workspace --lib huawei_api_page -->
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (noun, operations) in NOUNS {
        let _ = write!(page, "\n## {noun}\n");
        for operation in *operations {
            let needs = match operation.role {
                Some(role) => format!("Needs the role `{role}`."),
                None => "Needs no key.".to_owned(),
            };
            let Operation { name, method, path, about, .. } = operation;
            let _ = write!(page, "\n### {name}\n\n`{method} {path}`\n\n{about} {needs}\n");
            parameters(&mut page, operation);
        }
    }
    page
}

fn parameters(page: &mut String, operation: &Operation) {
    let all: Vec<&Parameter> = operation.declared().collect();
    if all.is_empty() {
        return;
    }
    page.push_str("\n| parameter | in | type | required | values |\n|---|---|---|---|---|\n");
    for parameter in all {
        let place = match parameter.place {
            Place::Query => "query",
            Place::Body => "body",
            Place::Header => "header",
        };
        let kind = match parameter.kind {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::Texts => "texts",
            Kind::Integers => "integers",
            Kind::Object => "object",
            Kind::Objects => "objects",
            Kind::Any => "any",
        };
        let required = if parameter.required { "yes" } else { "" };
        let refused = if parameter.support == Support::Refused { "**refused**: " } else { "" };
        let Parameter { name, about, .. } = parameter;
        let _ = writeln!(page, "| `{name}` | {place} | {kind} | {required} | {refused}{about} |");
    }
}

#[test]
fn huawei_api_page_says_what_the_table_says() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|place| place.join("docs/use").is_dir());
    let file = root.unwrap().join(PAGE);
    if std::env::var_os("SG_WRITE_DOCS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    assert!(
        fs::read_to_string(&file).ok() == Some(page()),
        "{PAGE} is out of date; to write it: SG_WRITE_DOCS=1 cargo test -p {} --lib huawei_api_page",
        env!("CARGO_PKG_NAME")
    );
}

/// Names in the access log and in metrics tell operations apart.
#[test]
fn no_two_operations_are_recorded_under_one_name() {
    let all = NOUNS.iter().flat_map(|(_, operations)| *operations);
    let names: Vec<String> = all
        .filter(|operation| operation.dialect != Dialect::Identity || operation.name != "ShowVersion")
        .map(Operation::recorded_name)
        .collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{names:?}");
}
