//! Completion of words on the command line: those of clap's tree, and names of what `sgd serve` has.
//!
//! The shell's script (`sgctl completion`) starts `sgctl` with the variable `SGCTL_COMPLETE` at each completion. A server that
//! does not respond at once completes nothing, and one on another host is not asked, since each TAB would send the access key. It
//! must never print anything else, or make the user wait.

mod titles;

use std::{env, ffi::OsStr, path::PathBuf, time::Duration};

use clap::{
    Command,
    builder::{Resettable, ValueHint},
};
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};
use serde::Deserialize;
use sg_api_types::Page;

use super::{
    args::common::Common,
    client::{
        address::Address,
        http::{Call, Client},
        server::Server,
    },
};

/// The variable with the shell's name in which the script asks.
pub(crate) const VARIABLE: &str = "SGCTL_COMPLETE";

/// The maximum number of names offered.
const MOST: usize = 200;

/// Words of records, which the agent knows and the arguments do not restrict.
const EVENTS: [&str; 7] = ["begin", "continue", "end", "denied", "revoked", "policy", "lost"];
const VERDICTS: [&str; 3] = ["accept", "drop", "reject"];

/// Completes words of the commands in `tree` if a shell asks for that, and then ends the process.
pub(crate) fn complete(tree: fn() -> Command) {
    CompleteEnv::with_factory(move || completing(tree)).var(VARIABLE).complete();
}

/// The tree of commands with what completes their words.
pub(crate) fn completing(tree: fn() -> Command) -> Command {
    // Global flags: they are alike in all commands, and the command decides what they may be.
    let command = with_completers(tree(), "");
    command.mut_args(|arg| match arg.get_id().as_str() {
        "columns" | "sort" => arg.add(ArgValueCompleter::new(move |typed: &OsStr| titles_of(tree, typed))),
        _ => arg,
    })
}

/// `command` and those below it, with completers at the arguments that name something. `path` is its words after `sgctl`.
fn with_completers(command: Command, path: &str) -> Command {
    let command = command.mut_args(|arg| match named_by(path, arg.get_id().as_str()) {
        Some(named) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| named.candidates(typed))),
        None if arg.get_id() == "policy" => arg.value_hint(ValueHint::FilePath),
        None => arg,
    });
    quiet(command).mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        with_completers(sub, below.trim_start())
    })
}

/// A verb whose other names are known and not offered: of all its names the shell would offer the first by letters, `describe` for
/// `show`.
fn quiet(command: Command) -> Command {
    // clap takes only texts that last; the process ends with the completion.
    let aliases: Vec<&'static str> =
        command.get_all_aliases().map(|alias| &*alias.to_owned().leak()).collect();
    command.visible_alias(Resettable::Reset).aliases(aliases)
}

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// A member of a collection.
    Member(&'static str),
    /// A rule of the group that the line names.
    Rule,
    /// One of these words, or a member of a collection behind its prefix.
    Prefixed(&'static [&'static str], &'static [(&'static str, &'static str)]),
}

/// What an argument of the command with these words names.
pub(crate) fn named_by(path: &str, arg: &str) -> Option<NamedBy> {
    let (noun, verb) = path.split_once(' ').unwrap_or((path, ""));
    let collection = match (noun, verb, arg) {
        ("rule", _, "rule" | "rules") => return Some(NamedBy::Rule),
        ("rule", _, "remote" | "remotes") => {
            let collections = &[("group:", "groups"), ("prefix-list:", "prefix-lists")];
            return Some(NamedBy::Prefixed(&["any"], collections));
        }
        ("rule", _, "ports" | "source_ports") => {
            return Some(NamedBy::Prefixed(&["any"], &[("port-list:", "port-lists")]));
        }
        ("observe", _, "events") => return Some(NamedBy::Prefixed(&EVENTS, &[])),
        ("observe", _, "verdicts") => return Some(NamedBy::Prefixed(&VERDICTS, &[])),
        ("observe", _, "direction") => return Some(NamedBy::Prefixed(&["ingress", "egress"], &[])),
        // In `instance register` it describes a new one.
        (_, "register", "nic" | "nics") => return None,
        ("prefix-list", _, "list" | "lists") => "prefix-lists",
        ("port-list", _, "list" | "lists") => "port-lists",
        ("instance", "show", "name")
        | ("instance", "remove", "names")
        | ("instance", "join" | "leave", "targets")
        | (_, _, "attached_to") => "instances",
        (_, _, "nic" | "nics" | "targets" | "held_by") => "nics",
        (_, _, "group" | "groups" | "from") => "groups",
        ("vpc", "show", "name") | (_, _, "vpc" | "vpcs") => "vpcs",
        _ => return None,
    };
    Some(NamedBy::Member(collection))
}

impl NamedBy {
    fn candidates(self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let words: Vec<String> = env::args().collect();
        let found = match self {
            Self::Member(collection) => names(&words, &[collection], "", typed),
            Self::Rule => match value(&words, "--group") {
                Some(group) => names(&words, &["groups", &group, "rules"], "", typed),
                None => Vec::new(),
            },
            Self::Prefixed(plain, prefixed) => {
                let behind = prefixed.iter().find_map(|(prefix, collection)| {
                    Some(names(&words, &[collection], prefix, typed.strip_prefix(prefix)?))
                });
                let prefixes = prefixed.iter().map(|(prefix, _)| prefix);
                behind.unwrap_or_else(|| {
                    let all = plain.iter().chain(prefixes);
                    all.filter(|word| word.starts_with(typed)).map(|word| (*word).to_owned()).collect()
                })
            }
        };
        found.into_iter().map(CompletionCandidate::new).collect()
    }
}

/// Titles of the table of the command that the line names.
fn titles_of(tree: fn() -> Command, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let path = path_of(&tree(), env::args());
    // A column to sort by may be behind a minus.
    let (minus, typed) = typed.strip_prefix('-').map_or(("", typed), |typed| ("-", typed));
    let titles = titles::of(&path).into_iter().map(str::to_lowercase);
    titles
        .filter(|title| title.starts_with(typed))
        .map(|title| CompletionCandidate::new(format!("{minus}{title}")))
        .collect()
}

/// The words of the command that an incomplete line names, below the root of the tree.
fn path_of(tree: &Command, words: impl Iterator<Item = String>) -> String {
    let (mut command, mut path) = (tree, Vec::new());
    for word in words {
        if let Some(sub) = command.find_subcommand(&word) {
            path.push(sub.get_name());
            command = sub;
        }
    }
    path.join(" ")
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    device: Option<String>,
}

/// Names in a collection that begin with what was typed, behind a prefix.
fn names(words: &[String], collection: &[&str], prefix: &str, typed: &str) -> Vec<String> {
    let common = common_of(words);
    let Ok(server) = Server::of(&common) else { return Vec::new() };
    if matches!(&server, Server::Tcp(tcp) if !tcp.is_local()) {
        return Vec::new();
    }
    let Ok(mut client) = Client::new(server, Duration::from_secs(1)) else { return Vec::new() };
    let page = Call::get(Address::of(collection).with("limit", MOST));
    let Ok(page) = client.call::<Page<Named>>(&page) else { return Vec::new() };
    page.items
        .into_iter()
        .map(|named| match (named.device, named.name) {
            (Some(device), _) => device,
            (None, name) if !name.is_empty() => name,
            _ => named.id,
        })
        .filter(|name| name.starts_with(typed))
        .map(|name| format!("{prefix}{name}"))
        .collect()
}

/// The value of a flag in an incomplete line.
fn value(words: &[String], flag: &str) -> Option<String> {
    let mut words = words.iter();
    words
        .find_map(|word| match word.strip_prefix(flag) {
            Some("") => Some(None),
            Some(rest) => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
            None => None,
        })?
        .or_else(|| words.next().cloned())
}

/// The server that the words of the incomplete command line name.
fn common_of(words: &[String]) -> Common {
    let value = |flag: &str| value(words, flag);
    let given = |flag: &str, variable: &str| value(flag).or_else(|| env::var(variable).ok());
    let (instance, socket, server) = (value("--instance"), value("--socket"), value("--server"));
    // As `Common::prefer_the_command_line`.
    let is_typed = instance.is_some() || socket.is_some() || server.is_some();
    let variable = |name| env::var(name).ok().filter(|_| !is_typed);
    Common {
        instance,
        socket: socket.or_else(|| variable("SGCTL_SOCKET")).map(PathBuf::from),
        typed_place: server.as_ref().map(|_| "--server"),
        server: server.or_else(|| variable("SGCTL_SERVER")),
        access_key_file: given("--access-key-file", "SGCTL_ACCESS_KEY_FILE").map(PathBuf::from),
        timeout: 1,
        force: false,
        skip_tests: false,
        reason: None,
        output: super::args::common::OutputArgs::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_in_an_incomplete_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let common = common_of(&words("sgctl -- sgctl --socket /s group show --instance=other we"));
        assert_eq!(common.socket, Some(PathBuf::from("/s")));
        assert_eq!(common.instance.as_deref(), Some("other"));
        assert_eq!(common_of(&words("sgctl group show --server")).server, None);
        assert_eq!(value(&words("sgctl rule revoke --group web al"), "--group").as_deref(), Some("web"));
    }

    #[test]
    fn words_of_records_are_those_that_records_have() {
        use sg_observe::record::{Event, Verdict};
        assert!(Event::ALL.iter().map(|event| event.name()).eq(EVENTS));
        assert!(Verdict::ALL.iter().map(|verdict| verdict.name()).eq(VERDICTS));
    }

    #[test]
    fn titles_are_those_of_the_command_of_the_line() {
        let path = |line: &str| path_of(&crate::tree(), line.split(' ').map(str::to_owned));
        assert_eq!(path("sgctl -- sgctl --socket /s prefix-list ls --sort "), "prefix-list list");
        assert!(titles::of("group list").contains(&"RULES") && titles::of("flows").contains(&"PACKETS"));
        assert!(titles::of("rule show").contains(&"ENABLED"), "only alone");
    }
}
