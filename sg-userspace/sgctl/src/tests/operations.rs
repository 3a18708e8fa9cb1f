//! Every command that is not offline is an operation of the native API: a console, or a program of somebody else, can do what
//! `sgctl` does. A new command fails here until it says which operations it is.

use std::collections::BTreeMap;

use super::{super::tree, arguments::leaves};

/// What a command needs.
enum Needs {
    /// These operations: methods and paths.
    Operations(&'static [&'static str]),
    /// No agent, for this reason.
    Nothing(&'static str),
}

use Needs::{Nothing, Operations};

const COMMANDS: &[(&str, Needs)] = &[
    ("vpc list", Operations(&["get /v1/vpcs"])),
    ("vpc show", Operations(&["get /v1/vpcs/{vpc}"])),
    ("vpc create", Operations(&["post /v1/vpcs"])),
    ("vpc modify", Operations(&["patch /v1/vpcs/{vpc}"])),
    ("vpc delete", Operations(&["delete /v1/vpcs/{vpc}"])),
    ("group list", Operations(&["get /v1/groups"])),
    ("group show", Operations(&["get /v1/groups/{group}"])),
    ("group create", Operations(&["post /v1/groups"])),
    ("group modify", Operations(&["patch /v1/groups/{group}"])),
    ("group delete", Operations(&["delete /v1/groups/{group}", "post /v1/groups/delete"])),
    ("group clone", Operations(&["post /v1/groups/{group}/clone"])),
    ("group restore", Operations(&["post /v1/groups/{group}/restore"])),
    ("group references", Operations(&["get /v1/groups/{group}/references"])),
    ("group export", Operations(&["get /v1/groups/{group}/rules/export"])),
    ("group import", Operations(&["post /v1/groups/{group}/rules/import"])),
    ("rule list", Operations(&["get /v1/groups/{group}/rules"])),
    ("rule show", Operations(&["get /v1/rules/{rule}"])),
    ("rule add", Operations(&["post /v1/groups/{group}/rules"])),
    ("rule modify", Operations(&["patch /v1/rules/{rule}"])),
    ("rule revoke", Operations(&["delete /v1/rules/{rule}", "post /v1/groups/{group}/rules/revoke"])),
    ("nic list", Operations(&["get /v1/nics"])),
    ("nic show", Operations(&["get /v1/nics/{nic}"])),
    ("nic register", Operations(&["post /v1/nics"])),
    ("nic modify", Operations(&["patch /v1/nics/{nic}"])),
    ("nic remove", Operations(&["delete /v1/nics/{nic}"])),
    ("nic join", Operations(&["post /v1/join"])),
    ("nic leave", Operations(&["post /v1/leave"])),
    ("nic set-groups", Operations(&["put /v1/nics/{nic}/groups"])),
    ("nic move", Operations(&["post /v1/nics/{nic}/groups/move"])),
    ("instance list", Operations(&["get /v1/instances"])),
    ("instance show", Operations(&["get /v1/instances/{instance}"])),
    ("instance register", Operations(&["post /v1/instances"])),
    ("instance remove", Operations(&["delete /v1/instances/{instance}"])),
    ("instance join", Operations(&["post /v1/join"])),
    ("instance leave", Operations(&["post /v1/leave"])),
    ("prefix-list list", Operations(&["get /v1/prefix-lists"])),
    ("prefix-list show", Operations(&["get /v1/prefix-lists/{list}"])),
    ("prefix-list create", Operations(&["post /v1/prefix-lists"])),
    ("prefix-list modify", Operations(&["patch /v1/prefix-lists/{list}"])),
    ("prefix-list delete", Operations(&["delete /v1/prefix-lists/{list}"])),
    ("prefix-list associations", Operations(&["get /v1/prefix-lists/{list}/associations"])),
    ("port-list list", Operations(&["get /v1/port-lists"])),
    ("port-list show", Operations(&["get /v1/port-lists/{list}"])),
    ("port-list create", Operations(&["post /v1/port-lists"])),
    ("port-list modify", Operations(&["patch /v1/port-lists/{list}"])),
    ("port-list delete", Operations(&["delete /v1/port-lists/{list}"])),
    ("port-list associations", Operations(&["get /v1/port-lists/{list}/associations"])),
    ("member list", Operations(&["get /v1/groups/{group}/members"])),
    ("member add", Operations(&["post /v1/groups/{group}/members"])),
    ("member remove", Operations(&["post /v1/groups/{group}/members"])),
    ("access-key list", Operations(&["get /v1/access-keys"])),
    ("access-key create", Operations(&["post /v1/access-keys"])),
    ("access-key delete", Operations(&["delete /v1/access-keys/{key}"])),
    ("quota list", Operations(&["get /v1/quotas"])),
    ("quota modify", Operations(&["patch /v1/quotas"])),
    ("lint", Operations(&["get /v1/lint"])),
    ("show", Operations(&["get /v1/show"])),
    ("observe", Operations(&["get /v1/observe"])),
    ("history", Operations(&["get /v1/history", "get /v1/changes", "get /v1/changes/{change}"])),
    (
        "rollback",
        Operations(&[
            "get /v1/changes",
            "get /v1/changes/{change}/text",
            "post /v1/changes/{change}/rollback",
            "post /v1/diff",
        ]),
    ),
    ("apply", Operations(&["post /v1/apply"])),
    ("confirm", Operations(&["post /v1/pending/confirm"])),
    ("cancel", Operations(&["post /v1/pending/cancel"])),
    ("extend", Operations(&["post /v1/pending/extend"])),
    ("candidate set", Operations(&["post /v1/candidate"])),
    ("candidate report", Operations(&["get /v1/candidate"])),
    ("candidate promote", Operations(&["post /v1/candidate/promote"])),
    ("candidate drop", Operations(&["post /v1/candidate/drop"])),
    ("export", Operations(&["get /v1/export"])),
    ("import", Operations(&["post /v1/import"])),
    ("check packet", Operations(&["post /v1/check"])),
    ("check common", Operations(&["get /v1/check/common"])),
    ("check probes", Nothing("it judges by a document")),
    ("validate", Nothing("it reads a document")),
    ("diff", Operations(&["post /v1/diff"])),
    ("search", Operations(&["post /v1/search"])),
    ("test list", Operations(&["get /v1/tests"])),
    ("test run", Operations(&["post /v1/tests"])),
    ("test set", Operations(&["put /v1/tests"])),
    ("status", Operations(&["get /v1/status"])),
    ("stats", Operations(&["get /v1/stats"])),
    ("flows", Operations(&["get /v1/flows", "post /v1/flows/delete"])),
    ("top", Operations(&["get /v1/status", "get /v1/stats", "get /v1/flows", "get /v1/observe"])),
    ("detach", Nothing("it removes what an agent left, and is refused while one runs")),
    ("completion", Nothing("it prints a script")),
    ("man", Nothing("it writes manual pages")),
];

#[test]
fn every_command_is_an_operation_unless_it_is_offline() {
    let document = serde_json::to_value(sg_api::native::document()).unwrap();
    let operations: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    let known: BTreeMap<&str, &Needs> = COMMANDS.iter().map(|(command, needs)| (*command, needs)).collect();
    assert_eq!(known.len(), COMMANDS.len(), "a command is listed twice");
    let mut found = Vec::new();
    leaves(&tree(), "sgctl", &mut found);
    let commands: Vec<&str> = found.iter().filter_map(|(path, _)| path.strip_prefix("sgctl ")).collect();
    for command in &commands {
        match known.get(command) {
            None => panic!("`sgctl {command}`: which operations of the native API is it?"),
            Some(Nothing(why)) => assert!(!why.is_empty(), "{command}"),
            Some(Operations(needed)) => {
                assert!(!needed.is_empty(), "{command}");
                for operation in *needed {
                    assert!(operations.iter().any(|known| known == operation), "{command}: no {operation}");
                }
            }
        }
    }
    for command in known.keys() {
        assert!(commands.contains(command), "there is no `sgctl {command}`");
    }
    // Who can make a change can say why, and nobody else is asked.
    let described = |operation: &str| {
        let (method, path) = operation.split_once(' ').unwrap();
        method != "get" && document["paths"][path][method]["parameters"].to_string().contains("\"reason\"")
    };
    for (path, command) in &found {
        let needed = match known[path.strip_prefix("sgctl ").unwrap()] {
            Operations(needed) => *needed,
            Nothing(_) => &[],
        };
        let changes = needed.iter().any(|operation| described(operation));
        let asks = command.get_arguments().any(|argument| argument.get_id() == "why");
        assert_eq!(asks, changes, "{path}: --reason");
    }
    // And the other way round: what the API can do, somebody at a terminal can.
    let used: Vec<&str> = COMMANDS
        .iter()
        .filter_map(|(_, needs)| if let Operations(needed) = needs { Some(*needed) } else { None })
        .flatten()
        .copied()
        .collect();
    for operation in &operations {
        assert!(used.contains(&operation.as_str()), "no command does {operation}");
    }
}
