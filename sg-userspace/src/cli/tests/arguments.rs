//! Which arguments are accepted, and how they are described.

use clap::{CommandFactory as _, Parser as _};

use super::{super::Args, run};

#[test]
fn the_arguments_fit_together() {
    Args::command().debug_assert();
}

#[test]
fn every_noun_has_the_same_verbs() {
    let command = Args::command();
    let verbs = |noun: &str| -> Vec<String> {
        let noun = command.find_subcommand(noun).unwrap();
        let all = |verb: &clap::Command| {
            verb.get_all_aliases().chain([verb.get_name()]).map(str::to_owned).collect::<Vec<_>>()
        };
        noun.get_subcommands().flat_map(all).collect()
    };
    for noun in ["vpc", "group", "nic", "instance", "prefix-list", "port-list", "rule"] {
        for verb in ["list", "show", "create", "delete"] {
            assert!(verbs(noun).contains(&verb.to_owned()), "{noun} {verb}");
        }
    }
    for noun in ["member", "key"] {
        for verb in ["list", "create", "delete"] {
            assert!(verbs(noun).contains(&verb.to_owned()), "{noun} {verb}");
        }
    }
}

#[test]
fn every_command_says_what_it_is() {
    fn visit(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} says nothing about itself");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path} {} says nothing about itself", argument.get_id());
        }
        for sub in command.get_subcommands() {
            visit(sub, &format!("{path} {}", sub.get_name()));
        }
    }
    visit(&Args::command(), "sgctl");
}

#[test]
fn a_mistyped_word_is_answered_with_a_better_one() {
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
            &["rule", "add", "w", "--direction", "egress", "--protocol", "tcp", "--remote", "web"],
            "group:NAME",
        ),
        (
            &["rule", "add", "w", "--direction", "egress", "--protocol", "tcp", "--ports", "ssh"],
            "port-list:NAME",
        ),
        (&["rule", "revoke"], "required"),
        (&["rule", "show", ""], "required"),
        (&["nic", "move", "eth0", "web", "left"], "allowed are up, down"),
        (&["nic", "join", "eth0"], "--group"),
        (&["prefix-list", "create", "x"], "--max-entries"),
        (&["vpc", "modify", "x", "--tag", "a=b", "--no-tags"], "cannot be used with"),
        (&["vpc", "modify", "x", "--tag", "=b"], "KEY=VALUE"),
        (&["check", "packet", "eth0", "--protocol", "tcp"], "--remote"),
        (&["check", "packet", "eth0", "--policy", "x"], "unexpected argument"),
        (&["check"], "--policy"),
        (&["apply"], "--file"),
        (&["health", "--group", "a", "--nic", "b"], "cannot be used with"),
        (&["group", "clone", "a", "b", "--vpc", "c", "--classic"], "cannot be used with"),
        (&["limit", "modify", "rules_per_nic=many"], "is no number"),
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
        let typed = Args::try_parse_from(words).unwrap();
        assert_eq!(typed.common.format(), crate::cli::output::Format::Json, "{words:?}");
        assert_eq!(typed.common.socket.unwrap().to_str(), Some("/s"), "{words:?}");
    }
}

#[test]
fn completion_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, code, _) = run(&["completion", shell]);
        assert_eq!(code, 0, "{shell}");
        assert!(script.contains("prefix-list") && script.contains("set-groups"), "{shell}: {script}");
    }
}

#[test]
fn a_manual_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let (_, code, error) = run(&["man", pages.to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (0, ""));
    let page = std::fs::read_to_string(pages.join("sgctl-rule-add.1")).unwrap();
    assert!(page.contains("--ports 80,443") || page.contains("\\-\\-ports 80,443"), "{page}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (_, code, error) = run(&["man", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains("cannot write manual pages to"), "{error}");
}
