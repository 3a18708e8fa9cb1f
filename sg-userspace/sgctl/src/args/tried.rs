//! The flags of a change that is to be confirmed. Only commands that change something have them; of every other, clap refuses them by
//! name. It must never know what becomes of the change. `help` adds them to the tree of commands, `lib.rs` reads them.

use clap::{Arg, ArgAction, ArgMatches, Command};
use sg_model::confirm_seconds;

/// The commands that change something, by their words.
const CHANGING: &[&str] = &[
    "vpc create",
    "vpc modify",
    "vpc delete",
    "group create",
    "group modify",
    "group delete",
    "group clone",
    "group restore",
    "group import",
    "rule add",
    "rule modify",
    "rule revoke",
    "nic register",
    "nic modify",
    "nic remove",
    "nic join",
    "nic leave",
    "nic set-groups",
    "nic move",
    "instance register",
    "instance remove",
    "instance join",
    "instance leave",
    "prefix-list create",
    "prefix-list modify",
    "prefix-list delete",
    "port-list create",
    "port-list modify",
    "port-list delete",
    "member add",
    "member remove",
    "quota modify",
    "candidate promote",
    "apply",
    "rollback",
    "test set",
    "import",
];

/// How a change is to be confirmed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// How long it is in force without.
    pub(crate) seconds: u32,
    /// Whether to wait here for the confirmation.
    pub(crate) wait: bool,
}

/// The command with these words, with the flags if it changes something.
pub(crate) fn with_flags(command: Command, words: &str) -> Command {
    if !CHANGING.contains(&words) {
        return command;
    }
    let mut confirm = Arg::new("confirm")
        .long("confirm")
        .value_name("TIME")
        .value_parser(confirm_seconds)
        .help("Take the change back after so long, such as 60s or 10m, unless `sgctl confirm` keeps it");
    if command.get_arguments().any(|arg| arg.get_id() == "dry_run") {
        confirm = confirm.conflicts_with("dry_run");
    }
    let wait = Arg::new("wait")
        .long("wait")
        .action(ArgAction::SetTrue)
        .requires("confirm")
        .help("Wait here: Enter confirms the change; Ctrl-C, or the end of stdin, takes it back at once");
    command.arg(confirm).arg(wait)
}

/// What the flags say.
pub(crate) fn of(matches: &ArgMatches) -> Option<Tried> {
    let mut leaf = matches;
    while let Some((_, sub)) = leaf.subcommand() {
        leaf = sub;
    }
    let seconds = *leaf.try_get_one::<u32>("confirm").ok()??;
    let wait = leaf.try_get_one::<bool>("wait").ok().flatten().is_some_and(|wait| *wait);
    Some(Tried { seconds, wait })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::CHANGING;

    #[test]
    fn all_of_them_are_commands() {
        for words in CHANGING {
            let mut command = crate::Args::command();
            for word in words.split(' ') {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("{words}")).clone();
            }
            assert!(command.get_subcommands().next().is_none(), "{words}");
        }
    }
}
