//! The arguments as users see them: what clap derives, completed with examples, and with what arguments need and are without being
//! given, in words. It must never parse anything. Called by `main`, and by `manual`.

use clap::{Arg, Command};

/// Examples, by the words of the command.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["sgd run -f /etc/sgd/policy.yaml", "sgd serve --state /var/lib/sgd"]),
    (
        "run",
        &[
            "sgd run -f /etc/sgd/policy.yaml",
            "sgd run -f /etc/sgd/blue.yaml --instance blue --require-pinned",
            "sgd run -f policy.yaml --detach-on-exit --log-format json",
            "sgd run -f /etc/sgd/policy.yaml --metrics 127.0.0.1:9750",
        ],
    ),
    (
        "serve",
        &[
            "sgd serve --state /var/lib/sgd",
            "sgd serve --listen 127.0.0.1:8751 --socket-group netops",
            "sgd serve --ecs none --max-flows 1000000 --timeout tcp-established=3600",
        ],
    ),
    ("man", &["sgd man /usr/local/share/man/man1"]),
];

const LOGGING: &str = "Logging goes to stderr, as text or as JSON (--log-format). --log-level debug, or RUST_LOG=debug, logs every step \
                       of sgd (default: info); name a library to log what it does: RUST_LOG=debug,aya=debug.";

/// The tree of commands, completed from what clap derives.
pub(crate) fn of(derived: Command) -> Command {
    let command = completed(derived, "");
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command.after_help(format!("{LOGGING}\n\n{examples}"))
}

fn completed(command: Command, path: &str) -> Command {
    let mut command = command.mut_args(in_words);
    if let Some((_, examples)) = EXAMPLES.iter().find(|(words, _)| *words == path) {
        let title = if examples.len() == 1 { "Example" } else { "Examples" };
        command = command.after_help(format!("{title}:\n  {}", examples.join("\n  ")));
    }
    command.mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        completed(sub, below.trim_start())
    })
}

/// An argument whose help says in words what it needs and what it is without it.
fn in_words(arg: Arg) -> Arg {
    let Some(help) = arg.get_help().map(ToString::to_string) else { return arg };
    let help = help.trim_end_matches('.').to_owned();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let takes_value = arg.get_action().takes_values();
    let addition = if takes_value && !defaults.is_empty() {
        format!(". Default: {}.", defaults.join(","))
    } else if arg.is_required_set() && !arg.is_positional() {
        ". Required.".to_owned()
    } else {
        ".".to_owned()
    };
    let arg = arg.help(format!("{help}{addition}"));
    if takes_value { arg.hide_default_value(true) } else { arg }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::Arguments;

    #[test]
    fn the_arguments_fit_together() {
        of(Arguments::command()).debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_can_be_parsed() {
        let tree = of(Arguments::command());
        let paths = tree.get_subcommands().map(Command::get_name).chain([""]);
        for path in paths.filter(|path| *path != "help") {
            let (_, examples) = EXAMPLES
                .iter()
                .find(|(words, _)| *words == path)
                .unwrap_or_else(|| panic!("{path:?} has no example"));
            for example in *examples {
                Arguments::try_parse_from(example.split(' '))
                    .unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn help_is_in_words() {
        let help = |command: &str| {
            let mut tree = of(Arguments::command());
            tree.find_subcommand_mut(command).unwrap().render_long_help().to_string()
        };
        let run = help("run");
        for text in
            ["-f, --policy <FILE>", "Required.", "Default: 64.", "--attach <MODE>", "--bpf-log <LEVEL>"]
        {
            assert!(run.contains(text), "{text}: {run}");
        }
        for value in ["tcx:", "clsact:", "first:", "last:"] {
            assert!(run.contains(value), "{value} has no word: {run}");
        }
        for text in [run, help("serve")] {
            assert!(!text.contains("[default:") && text.contains("Examples:"), "{text}");
        }
    }
}
