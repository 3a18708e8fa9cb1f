//! Which arguments are accepted, and how they are described.

use sg_model::MatchField;

use super::{
    super::{
        Args,
        completion::{NamedBy, completing, named_by},
        failure::EXIT_CODES,
        tree,
    },
    run,
};

#[test]
fn the_arguments_fit_together() {
    tree().debug_assert();
}

#[test]
fn every_noun_has_the_same_verbs() {
    let command = tree();
    let verbs = |noun: &str| -> Vec<String> {
        let noun = command.find_subcommand(noun).unwrap();
        let all = |verb: &clap::Command| {
            verb.get_all_aliases().chain([verb.get_name()]).map(str::to_owned).collect::<Vec<_>>()
        };
        noun.get_subcommands().flat_map(all).collect()
    };
    for noun in ["vpc", "group", "nic", "instance", "prefix-list", "port-list", "rule"] {
        for verb in ["list", "ls", "show", "get", "describe", "create", "delete", "rm"] {
            assert!(verbs(noun).contains(&verb.to_owned()), "{noun} {verb}");
        }
    }
    for noun in ["vpc", "group", "nic", "prefix-list", "port-list", "rule", "quota"] {
        for verb in ["modify", "edit"] {
            assert!(verbs(noun).contains(&verb.to_owned()), "{noun} {verb}");
        }
    }
    for noun in ["member", "access-key"] {
        for verb in ["list", "ls", "create", "delete", "rm"] {
            assert!(verbs(noun).contains(&verb.to_owned()), "{noun} {verb}");
        }
    }
}

#[test]
fn a_rule_has_a_flag_for_every_field() {
    let command = tree();
    let rule = command.find_subcommand("rule").unwrap();
    for verb in ["add", "modify"] {
        let verb = rule.find_subcommand(verb).unwrap();
        let flags: Vec<&str> = verb.get_arguments().filter_map(clap::Arg::get_long).collect();
        for field in MatchField::ALL {
            assert!(flags.contains(&field.key().replace('_', "-").as_str()), "{field}: {flags:?}");
        }
    }
}

#[test]
fn instances_are_called_so() {
    for verb in ["join", "leave"] {
        let (_, _, help) = run(&["instance", verb, "--help"]);
        assert!(help.contains("<INSTANCE>...") && help.contains("Ids or names of instances\n"), "{help}");
        let (_, _, help) = run(&["nic", verb, "--help"]);
        assert!(help.contains("<TARGET>...") && help.contains("an instance means its primary NIC"), "{help}");
    }
}

#[test]
fn every_command_says_what_it_is() {
    fn visit(command: &clap::Command, path: &str) {
        let about = command.get_about().map(ToString::to_string);
        let about = about.unwrap_or_else(|| panic!("{path} says nothing about itself"));
        let is_bare = |verb: &str| !verb.contains(' ');
        let names_its_noun =
            !about.strip_suffix(" one").is_some_and(is_bare) && !about.contains("the given fields");
        assert!(names_its_noun, "{path}: {about}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path} {} says nothing about itself", argument.get_id());
        }
        for sub in command.get_subcommands() {
            visit(sub, &format!("{path} {}", sub.get_name()));
        }
    }
    visit(&tree(), "sgctl");
}

#[test]
fn for_a_mistyped_word_a_better_one_is_suggested() {
    for (words, better) in [
        (&["rul", "list"][..], "rule"),
        (&["vpc", "creat", "x"], "create"),
        (&["vpc", "list", "--regoin", "x"], "--region"),
        (&["vpc", "list", "-o", "jason"], "json"),
    ] {
        let (_, code, error) = run(words);
        assert_eq!(code, 2, "{words:?}");
        assert!(error.contains(better), "{words:?}: {error}");
    }
}

#[test]
fn arguments_that_cannot_be_meant_are_refused() {
    for (words, message) in [
        (&["rule", "add", "web", "--protocol", "tcp"][..], "--direction"),
        (&["rule", "add", "web", "--direction", "ingress", "--protocol", "tpc"], "is no protocol"),
        (
            &["rule", "add", "web", "--direction", "ingress", "--protocol", "HTTP"],
            "write --protocol tcp --ports http",
        ),
        (&["rule", "modify", "x", "--protocol", "dns"], "write --protocol udp --ports dns"),
        (&["rule", "modify", "x", "--action", "Deny"], "did you mean drop?"),
        (&["rule", "modify", "x", "--action", "allow"], "did you mean accept?"),
        (&["rule", "modify", "x", "--action", "rejct"], "'reject'"),
        (&["rule", "modify", "x", "--ports", "443,22:80"], "a range is written 22-80"),
        (&["rule", "modify", "x", "--remote", "ops"], "did you mean group:ops"),
        (
            &["check", "packet", "eth0", "--protocol", "ssh", "--remote", "::1"],
            "write --protocol tcp --port ssh",
        ),
        (&["check", "packet", "eth0", "--protocol", "all", "--remote", "::1"], "one protocol"),
        (
            &["rule", "add", "w", "--direction", "egress", "--protocol", "tcp", "--remote", "web"],
            "group:NAME",
        ),
        (
            &["rule", "add", "w", "--direction", "egress", "--protocol", "tcp", "--ports", "shh"],
            "port-list:NAME",
        ),
        (&["vpc", "list", "--socket", "/no", "--sort"], "--sort"),
        (&["rule", "revoke"], "required"),
        (&["rule", "show", ""], "required"),
        (&["nic", "move", "eth0", "web", "left"], "allowed are up, down"),
        (&["nic", "join", "eth0"], "--group"),
        (&["prefix-list", "create", "x"], "--max-entries"),
        (&["vpc", "modify", "x", "--tag", "a=b", "--no-tags"], "cannot be used with"),
        (&["vpc", "modify", "x", "--tag", "=b"], "KEY=VALUE"),
        (&["check", "packet", "eth0", "--protocol", "tcp"], "--remote"),
        (
            &["check", "packet", "eth0", "--engine", "oracle", "--protocol", "gre", "--remote", "::1"],
            "--policy",
        ),
        (&["check"], "packet"),
        (&["apply"], "--policy"),
        (&["vpc", "list", "--json", "--sort", "name"], "are for tables"),
        (&["stats", "--json", "--no-headers"], "are for tables"),
        (&["validate", "-f", "p.yaml", "--columns", "nic"], "prints none"),
        (&["validate", "-f", "p.yaml", "--sort", "nic"], "prints none"),
        (&["apply", "-f", "p.yaml", "--no-headers"], "prints none"),
        (&["vpc", "create", "x", "--columns", "name"], "prints none"),
        (&["rule", "revoke", "x", "--group", "y", "--yes", "--sort", "name"], "prints none"),
        (&["nic", "join", "x", "--group", "y", "--sort", "name"], "prints none"),
        (&["detach", "--all", "--columns", "nic"], "prints none"),
        (&["export", "--columns", "name"], "prints none"),
        (&["check", "probes", "-", "-f", "p.yaml", "--columns", "nic"], "prints none"),
        (&["vpc", "list", "--server", "https://a:1"], "no TLS"),
        (&["vpc", "list", "--server", "http://a:1", "--socket", "/s"], "give one of them"),
        (&["lint", "--group", "a", "--nic", "b"], "cannot be used with"),
        (&["group", "clone", "a", "b", "--vpc", "c", "--classic"], "cannot be used with"),
        (&["quota", "modify", "rules_per_nic=many"], "is no number"),
        (&["vpc", "list", "--limit", "3", "--all"], "cannot be used with"),
    ] {
        let (_, code, error) = run(words);
        assert_eq!(code, 2, "{words:?}");
        assert!(error.contains(message), "{words:?}: {error}");
    }
}

#[test]
fn common_options_stand_anywhere() {
    for words in [
        ["sgctl", "--json", "--socket", "/s", "vpc", "list"],
        ["sgctl", "vpc", "--socket", "/s", "list", "--json"],
        ["sgctl", "vpc", "list", "--json", "--socket", "/s"],
    ] {
        let args = Args::parse_from_words(words).unwrap();
        assert_eq!(args.common.output.format(), crate::args::common::Format::Json, "{words:?}");
        assert_eq!(args.common.socket.unwrap().to_str(), Some("/s"), "{words:?}");
    }
}

#[test]
fn completion_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, code, _) = run(&["completion", shell]);
        assert_eq!(code, 0, "{shell}");
        assert!(script.contains("COMPLETE") && script.contains("sgctl"), "{shell}: {script}");
    }
}

#[test]
fn a_manual_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let (_, code, error) = run(&["man", pages.to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (0, ""));
    let page = std::fs::read_to_string(pages.join("sgctl-rule-add.1")).unwrap();
    assert!(page.contains("\\-\\-ports http,https"), "{page}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (_, code, error) = run(&["man", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains("cannot write manual pages to"), "{error}");
}

/// Every command without commands below it, with its words.
pub(super) fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    if command.get_subcommands().next().is_none() {
        found.push((path.to_owned(), command.clone()));
    }
    for sub in command.get_subcommands() {
        leaves(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

/// The words of an example, as a shell separates them.
fn words(example: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in example.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

#[test]
fn every_command_has_an_example_that_can_be_parsed() {
    let mut found = Vec::new();
    leaves(&tree(), "sgctl", &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{path} has no example"));
        let examples: Vec<&str> = examples.lines().skip(1).map(str::trim).collect();
        assert!(!examples.is_empty(), "{path}");
        for example in examples {
            assert!(example.starts_with(&path), "{path}: {example}");
            if let Err(error) = Args::parse_from_words(words(example)) {
                panic!("{example}: {error}");
            }
        }
    }
}

#[test]
fn help_has_one_line_a_flag_and_global_flags_in_one_group() {
    let (_, code, help) = run(&["rule", "add", "--help"]);
    assert_eq!(code, 0);
    let (_, global) = help.split_once("Global options:\n").unwrap_or_else(|| panic!("{help}"));
    let lines = |text: &str, flag: &str| {
        let is_its = |line: &&str| line.split_whitespace().take(2).any(|word| word == flag);
        text.lines().filter(is_its).count()
    };
    let flags = [
        "--instance",
        "--socket",
        "--server",
        "--access-key-file",
        "--timeout",
        "--output",
        "--json",
        "--columns",
        "--sort",
        "--no-headers",
        "--help",
        "--version",
    ];
    for flag in flags {
        assert_eq!((lines(&help, flag), lines(global, flag)), (1, 1), "{flag}: {help}");
    }
    assert!(help.contains("Priority, 1 (first) to 100 (last). Default: 1\n"), "{help}");
    assert!(help.contains("Required"), "{help}");
    assert!(!help.contains("[default:"), "{help}");
    let (_, _, short) = run(&["rule", "add", "-h"]);
    assert_eq!(short, help, "-h and --help are the same");
}

#[test]
fn the_exit_codes_are_those_of_the_help_and_of_the_documentation() {
    let (_, _, help) = run(&["--help"]);
    let page = include_str!("../../../../docs/use/sgctl.md");
    for (code, meaning) in EXIT_CODES {
        assert!(
            help.contains(&format!("  {code}  {meaning}\n")) || help.trim_end().ends_with(meaning),
            "{help}"
        );
        assert!(
            page.contains(&format!("| {code} | {meaning} |")),
            "{code} {meaning}: not so in docs/use/sgctl.md"
        );
    }
}

#[test]
fn services_are_those_of_the_documentation() {
    let page = include_str!("../../../../docs/use/sgctl.md");
    for (name, _, port) in sg_document::elsewhere::SERVICES {
        assert!(page.contains(&format!("`{name}` ({port})")), "{name} ({port}): not in docs/use/sgctl.md");
    }
}

#[test]
fn arguments_that_name_something_are_completed() {
    fn visit(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for arg in command.get_arguments() {
            match named_by(path, arg.get_id().as_str()) {
                Some(NamedBy::Member(collection)) => found.push(format!("{path} {collection}")),
                Some(NamedBy::Rule) => found.push(format!("{path} rules")),
                Some(NamedBy::Prefixed(_, prefixed)) => {
                    found.extend(prefixed.iter().map(|(prefix, _)| format!("{path} {prefix}")));
                }
                None => {}
            }
        }
        let below = |name| format!("{path} {name}").trim_start().to_owned();
        command.get_subcommands().for_each(|sub| visit(sub, &below(sub.get_name()), found));
    }
    let mut found = Vec::new();
    visit(&tree(), "", &mut found);
    for expected in [
        "group clone groups",
        "nic move nics",
        "nic join groups",
        "check packet nics",
        "nic register vpcs",
        "lint groups",
        "instance join instances",
        "instance leave instances",
        "instance show instances",
        "vpc show vpcs",
        "prefix-list show prefix-lists",
        "port-list delete port-lists",
        "rule revoke rules",
        "rule add group:",
        "rule modify prefix-list:",
        "rule add port-list:",
        "observe nics",
        "observe groups",
        "top nics",
    ] {
        assert!(found.iter().any(|found| found == expected), "{expected}: {found:?}");
    }
    for wrong in ["instance register nics", "instance join nics", "vpc create vpcs"] {
        assert!(!found.iter().any(|found| found == wrong), "{wrong}: {found:?}");
    }
}

/// What a shell offers for an empty word behind `words`.
fn offered(words: &[&str]) -> Vec<String> {
    let line: Vec<_> = [&["sgctl"], words, &[""]].concat().into_iter().map(Into::into).collect();
    let last = line.len() - 1;
    let found = clap_complete::engine::complete(&mut completing(tree), line, last, None).unwrap();
    found.into_iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_shell_offers_each_verb_by_its_name() {
    let command = tree();
    for noun in command.get_subcommands().filter(|noun| noun.has_subcommands()) {
        let offered = offered(&[noun.get_name()]);
        for verb in noun.get_subcommands() {
            assert!(offered.iter().any(|word| word == verb.get_name()), "{verb}: {offered:?}");
            let mut aliases = verb.get_all_aliases();
            assert!(aliases.all(|alias| !offered.iter().any(|word| word == alias)), "{verb}: {offered:?}");
        }
    }
}
