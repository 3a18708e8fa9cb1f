//! The tree of commands as users see it: what clap derives from the arguments, completed with what all commands have alike: aliases
//! of verbs, defaults and requirements in words, one line a flag, and examples.

use clap::{Arg, ArgAction, Command, builder::Resettable};

use super::{
    args::{
        common::{HEADING, reason},
        tried::with_flags,
    },
    failure::EXIT_CODES,
};

/// Other names of verbs, which people type.
const ALIASES: &[(&str, &[&str])] = &[
    ("list", &["ls"]),
    ("show", &["get", "describe"]),
    ("modify", &["edit"]),
    ("delete", &["rm"]),
    ("remove", &["rm"]),
    ("revoke", &["rm"]),
];

/// The commands that make changes, by their last word; each takes `--reason`.
const CHANGES: &[&str] = &[
    "add",
    "apply",
    "cancel",
    "clone",
    "confirm",
    "create",
    "delete",
    "drop",
    "extend",
    "flows",
    "import",
    "join",
    "leave",
    "modify",
    "move",
    "promote",
    "register",
    "remove",
    "restore",
    "revoke",
    "rollback",
    "set",
    "set-groups",
];

/// Examples of each command, by its words.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("vpc list", &["sgctl vpc list", "sgctl vpc list -o wide"]),
    ("test list", &["sgctl test list"]),
    ("test run", &["sgctl test run", "sgctl test run -f policy.yaml"]),
    ("test set", &["sgctl test set -f tests.yaml"]),
    ("vpc show", &["sgctl vpc show prod"]),
    (
        "vpc create",
        &["sgctl vpc create prod --region eu-1", "sgctl vpc create lab --order sequence --default reject"],
    ),
    ("vpc modify", &["sgctl vpc modify prod --order sequence"]),
    ("vpc delete", &["sgctl vpc delete lab"]),
    (
        "group list",
        &[
            "sgctl group list --vpc prod --tag team=net",
            "sgctl group list --columns name,rules,nics --sort rules",
        ],
    ),
    ("group show", &["sgctl group show web"]),
    ("group create", &["sgctl group create web --vpc prod --description 'public web servers'"]),
    ("group modify", &["sgctl group modify web --inner-access drop"]),
    ("group delete", &["sgctl group delete web-test", "sgctl group delete web-test web-old --yes"]),
    (
        "group clone",
        &["sgctl group clone web web-test", "sgctl group clone web web-far --region us-1 --vpc far"],
    ),
    (
        "group restore",
        &[
            "sgctl group restore web --from web-test --dry-run",
            "sgctl group restore web --from web-test --complete",
        ],
    ),
    ("group references", &["sgctl group references ops"]),
    ("group export", &["sgctl group export web rules.csv"]),
    ("group import", &["sgctl group import web rules.csv --dry-run"]),
    (
        "rule list",
        &[
            "sgctl rule list web --direction ingress",
            "sgctl rule list web --sort priority -o wide",
            "sgctl rule list web --unused 30d",
        ],
    ),
    ("rule show", &["sgctl rule show allow-tls"]),
    (
        "rule add",
        &[
            "sgctl rule add web --direction ingress --protocol tcp --ports http,https --remote 10.0.0.0/8",
            "sgctl rule add web --direction ingress --protocol all --remote prefix-list:scanners --action drop",
            "sgctl rule add db --direction ingress --protocol tcp --ports 5432 --remote group:web --priority 5",
        ],
    ),
    (
        "rule modify",
        &[
            "sgctl rule modify allow-tls --group web --ports 443 --description 'TLS only'",
            "sgctl rule modify allow-tls --enabled no",
        ],
    ),
    ("rule revoke", &["sgctl rule revoke allow-tls --group web"]),
    (
        "nic list",
        &["sgctl nic list --group web", "sgctl nic list --on-this-host yes --columns device,groups"],
    ),
    ("nic show", &["sgctl nic show eth0"]),
    (
        "nic register",
        &[
            "sgctl nic register --device eth0 --vpc prod --group web --group ops",
            "sgctl nic register db-2 --vpc prod --address 10.0.0.9 --group db",
        ],
    ),
    ("nic modify", &["sgctl nic modify eth0 --address 10.0.0.6 --anti-spoofing yes"]),
    ("nic remove", &["sgctl nic remove eth0"]),
    ("nic join", &["sgctl nic join eth0 --group dmz --place 0"]),
    ("nic leave", &["sgctl nic leave eth0 --group dmz"]),
    ("nic set-groups", &["sgctl nic set-groups eth0 dmz web ops"]),
    ("nic move", &["sgctl nic move eth0 ops up"]),
    ("instance list", &["sgctl instance list --group web"]),
    ("instance show", &["sgctl instance show web-1"]),
    (
        "instance register",
        &[
            "sgctl instance register web-1 --vpc prod --nic device=tap3,role=guest,address=10.0.0.5,group=web",
            "sgctl instance register web-2 --vpc prod --nic eth0 --nic device=eth1,group=ops,group=web",
        ],
    ),
    ("instance remove", &["sgctl instance remove web-1"]),
    ("instance join", &["sgctl instance join web-1 web-2 --group dmz --place 0"]),
    ("instance leave", &["sgctl instance leave web-1 --group dmz"]),
    ("prefix-list list", &["sgctl prefix-list list"]),
    ("prefix-list show", &["sgctl prefix-list show office"]),
    (
        "prefix-list create",
        &[
            "sgctl prefix-list create office --max-entries 10 --entry 203.0.113.0/24 --entry 198.51.100.7='the old line'",
        ],
    ),
    ("prefix-list modify", &["sgctl prefix-list modify office --add 192.0.2.0/24 --remove 198.51.100.7"]),
    ("prefix-list delete", &["sgctl prefix-list delete office"]),
    ("prefix-list associations", &["sgctl prefix-list associations office"]),
    ("port-list list", &["sgctl port-list list"]),
    ("port-list show", &["sgctl port-list show web"]),
    (
        "port-list create",
        &["sgctl port-list create web --max-entries 10 --entry 80,443 --entry 8080-8090='the test servers'"],
    ),
    ("port-list modify", &["sgctl port-list modify web --add 8443 --remove 8080-8090"]),
    ("port-list delete", &["sgctl port-list delete web"]),
    ("port-list associations", &["sgctl port-list associations web"]),
    ("member list", &["sgctl member list ops"]),
    ("member add", &["sgctl member add ops 10.1.0.7 2001:db8::7"]),
    ("member remove", &["sgctl member remove ops 10.1.0.7"]),
    ("access-key list", &["sgctl access-key list"]),
    (
        "access-key create",
        &[
            "sgctl access-key create --description 'terraform on ci-3' --role editor",
            "sgctl access-key create -o json",
        ],
    ),
    ("access-key delete", &["sgctl access-key delete ak-p7fq2m9x4kdw8r3zn"]),
    ("quota list", &["sgctl quota list"]),
    ("quota modify", &["sgctl quota modify groups-per-nic=10 rules-per-nic=2000"]),
    ("lint", &["sgctl lint", "sgctl lint --nic eth0 --unused 30d", "sgctl lint --group web --json"]),
    ("show", &["sgctl show --nic eth0", "sgctl show --nic eth0 --by-group", "sgctl show --unused 30d"]),
    (
        "observe",
        &[
            "sgctl observe --since 5m --verdict drop",
            "sgctl observe -f --nic eth0 --port https",
            "sgctl observe --since 15m --aggregate-by remote,port --json",
            "sgctl observe --verdict drop,reject -w denied.pcapng",
        ],
    ),
    (
        "apply",
        &["sgctl apply -f policy.yaml --dry-run", "sgctl apply -f policy.yaml --name production --yes"],
    ),
    ("confirm", &["sgctl confirm", "sgctl confirm 7"]),
    ("cancel", &["sgctl cancel"]),
    ("extend", &["sgctl extend --time 10m"]),
    ("candidate set", &["sgctl candidate set next.yaml"]),
    ("candidate report", &["sgctl candidate report", "sgctl candidate report --rules --all"]),
    ("candidate promote", &["sgctl candidate promote"]),
    ("candidate drop", &["sgctl candidate drop"]),
    (
        "rollback",
        &["sgctl rollback 7 --dry-run", "sgctl rollback 7 --reason 'ticket 4711: the office is offline'"],
    ),
    ("export", &["sgctl export backup.jsonl --secrets"]),
    ("import", &["sgctl import backup.jsonl --dry-run", "sgctl import backup.jsonl --yes"]),
    (
        "check",
        &[
            "sgctl check --flow '2026-11-30T13:29:28.123Z denied drop ingress eth0 192.0.2.7:51234 -> 10.0.0.5:443 tcp default(web) 3 pkts 180 B gen 7'",
            "sgctl check --flow -",
        ],
    ),
    (
        "check packet",
        &[
            "sgctl check packet eth0 --protocol tcp --port ssh --remote 203.0.113.9",
            "sgctl check packet web-1 --direction egress --protocol icmp --remote 10.0.0.9",
            "sgctl check packet eth0 -f policy.yaml --protocol tcp --port 443 --remote 203.0.113.9 --expect accept",
        ],
    ),
    ("check common", &["sgctl check common eth0 --remote 203.0.113.9"]),
    ("check probes", &["sgctl check probes probes.jsonl -f policy.yaml --json"]),
    ("validate", &["sgctl validate -f policy.yaml"]),
    (
        "diff",
        &[
            "sgctl diff new.yaml",
            "sgctl diff policy.yaml new.yaml",
            "sgctl diff @7",
            "sgctl diff @7 backup.jsonl",
            "sgctl diff policy.yaml new.yaml --nic eth0 --all --json",
        ],
    ),
    (
        "search",
        &[
            "sgctl search -f policy.yaml --nic eth0 --direction ingress --port 22 --not-remote 10.0.0.0/8,2001:db8::/32",
            "sgctl search -f policy.yaml --group web --verdict drop,reject --protocol tcp --port 443 --all --json",
        ],
    ),
    ("status", &["sgctl status", "sgctl status --json"]),
    ("stats", &["sgctl stats", "sgctl stats --nic eth0 --all", "sgctl stats --watch 5"]),
    (
        "flows",
        &[
            "sgctl flows --nic eth0 --port https --sort -packets",
            "sgctl flows --remote 203.0.113.0/24 --delete",
            "sgctl flows --nic eth0 -w",
        ],
    ),
    (
        "history",
        &[
            "sgctl history --since 1h",
            "sgctl history --object web --outcome done",
            "sgctl history --changes --last 20",
            "sgctl history --change 7",
            "sgctl history -f --json",
        ],
    ),
    ("top", &["sgctl top", "sgctl top --nic eth0 --interval 1"]),
    ("detach", &["sgctl detach", "sgctl detach --instance old", "sgctl detach --all --yes"]),
    ("completion", &["sgctl completion bash", "sgctl completion zsh", "sgctl completion fish"]),
    ("man", &["sgctl man /usr/local/share/man/man1"]),
];

/// The tree of commands, completed from what clap derives.
pub(crate) fn of(derived: Command) -> Command {
    let command = completed(derived, "");
    // The same short form for -h and --help: a flag is a line.
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::HelpShort)
        .help("Print help")
        .help_heading(HEADING)
        .global(true);
    let version = Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print version")
        .help_heading(HEADING)
        .global(true);
    let command = command.disable_help_flag(true).disable_version_flag(true);
    command.arg(help).arg(version).after_help(exit_codes())
}

/// The table of exit codes.
fn exit_codes() -> String {
    let lines = EXIT_CODES.map(|(code, meaning)| format!("  {code}  {meaning}"));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// `command` and those below it, completed. `path` is its words after `sgctl`.
fn completed(command: Command, path: &str) -> Command {
    let mut command = with_flags(command, path).mut_args(in_words);
    if CHANGES.contains(&command.get_name()) {
        command = command.arg(reason());
    }
    let mut after = Vec::new();
    if let Some(long) = command.get_long_about().map(ToString::to_string) {
        // Its first paragraph is what `-h` shows at the top.
        after.extend(long.split_once("\n\n").map(|(_, rest)| rest.to_owned()));
        command = command.long_about(Resettable::Reset);
    }
    if let Some((_, examples)) = EXAMPLES.iter().find(|(words, _)| *words == path) {
        let title = if examples.len() == 1 { "Example" } else { "Examples" };
        after.push(format!("{title}:\n  {}", examples.join("\n  ")));
    }
    if !after.is_empty() {
        command = command.after_help(after.join("\n\n"));
    }
    // Only verbs of nouns have aliases.
    let aliases = path.split_once(' ').and_then(|(_, verb)| ALIASES.iter().find(|(name, _)| *name == verb));
    if let Some((_, aliases)) = aliases {
        command = command.visible_aliases(aliases.iter().copied());
    }
    command.mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        completed(sub, below.trim_start())
    })
}

/// An argument whose help says in words what it needs and what it is without it.
fn in_words(arg: Arg) -> Arg {
    let Some(help) = arg.get_help().map(ToString::to_string) else { return arg };
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let takes_value = arg.get_action().takes_values();
    let addition = if takes_value && !defaults.is_empty() && !help.contains("Default: ") {
        format!(". Default: {}", defaults.join(","))
    } else if arg.is_required_set() && !arg.is_positional() {
        ". Required".to_owned()
    } else {
        String::new()
    };
    let arg = arg.help(format!("{}{addition}", help.trim_end_matches('.')));
    if takes_value { arg.hide_default_value(true) } else { arg }
}
