//! Completion of words on the command line: those of clap's tree, and names of what `sgd serve` has.
//!
//! The shell's script (`sgctl completion`) starts `sgctl` with the variable `SGCTL_COMPLETE` at each completion. A server that
//! does not respond at once completes nothing, and one on another host is not asked, since each TAB would send the access key. It
//! must never print anything else, or make the user wait.

use std::{env, ffi::OsStr, path::PathBuf, time::Duration};

use clap::builder::ValueHint;
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

/// Completes words of the commands in `tree` if a shell asks for that, and then ends the process.
pub(crate) fn complete(tree: fn() -> clap::Command) {
    CompleteEnv::with_factory(|| with_names(tree())).var(VARIABLE).complete();
}

/// Adds completers at the arguments that name something.
fn with_names(command: clap::Command) -> clap::Command {
    let noun = command.get_name().to_owned();
    let command = command.mut_args(|arg| match collection(&noun, arg.get_id().as_str()) {
        Some(collection) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| names(collection, typed))),
        None if arg.get_id() == "policy" => arg.value_hint(ValueHint::FilePath),
        None => arg,
    });
    command.mut_subcommands(with_names)
}

/// The collection that an argument names a member of.
pub(crate) fn collection(command: &str, arg: &str) -> Option<&'static str> {
    Some(match arg {
        "group" | "groups" | "from" => "groups",
        // In `instance register` it describes a new one.
        "nic" | "nics" if command != "register" => "nics",
        "targets" => "nics",
        "vpc" | "vpcs" => "vpcs",
        "attached_to" | "instances" => "instances",
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
    #[serde(default)]
    device: Option<String>,
}

/// Names in a collection that begin with what was typed.
fn names(collection: &str, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let common = common_of(&env::args().collect::<Vec<_>>());
    let Ok(server) = Server::of(&common) else { return Vec::new() };
    if matches!(&server, Server::Tcp(tcp) if !tcp.is_local()) {
        return Vec::new();
    }
    let Ok(mut client) = Client::new(server, Duration::from_secs(1)) else { return Vec::new() };
    let page = Call::get(Address::of(&[collection]).with("limit", MOST));
    let Ok(page) = client.call::<Page<Named>>(&page) else { return Vec::new() };
    page.items
        .into_iter()
        .map(|named| match (named.device, named.name) {
            (Some(device), _) => device,
            (None, name) if !name.is_empty() => name,
            _ => named.id,
        })
        .filter(|name| name.starts_with(typed))
        .map(CompletionCandidate::new)
        .collect()
}

/// The server that the words of the incomplete command line name.
fn common_of(words: &[String]) -> Common {
    let value = |flag: &str| {
        let mut words = words.iter();
        words
            .find_map(|word| match word.strip_prefix(flag) {
                Some("") => Some(None),
                Some(rest) => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
                None => None,
            })?
            .or_else(|| words.next().cloned())
    };
    let given = |flag: &str, variable: &str| value(flag).or_else(|| env::var(variable).ok());
    let (instance, socket, server) = (value("--instance"), value("--socket"), value("--server"));
    // As `Common::prefer_the_command_line`.
    let is_typed = instance.is_some() || socket.is_some() || server.is_some();
    let variable = |name| env::var(name).ok().filter(|_| !is_typed);
    Common {
        instance,
        socket: socket.or_else(|| variable("SGCTL_SOCKET")).map(PathBuf::from),
        server_is_typed: server.is_some(),
        server: server.or_else(|| variable("SGCTL_SERVER")),
        access_key_file: given("--access-key-file", "SGCTL_ACCESS_KEY_FILE").map(PathBuf::from),
        timeout: 1,
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
    }
}
