//! Refused documents: each with its line, its column, its path, what was found and what is allowed.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::refused;

fn table(name: &str) -> String {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/refused");
    fs::read_to_string(tables.join(name)).unwrap()
}

/// The cases of a table, see its head: a text and its messages, a line each.
fn cases(table: &str) -> impl Iterator<Item = (&str, String)> {
    let blocks = table.split("\n\n").filter(|block| !block.starts_with('#'));
    blocks.map(|block| {
        let (text, messages) = block.trim_end().split_once("\n=> ").unwrap();
        let messages: Vec<String> =
            messages.split("\n=> ").map(|said| format!("policy.yaml:{said}")).collect();
        (text, messages.join("\n"))
    })
}

/// The cases of a table whose documents get other messages.
fn wrong(name: &str, document: impl Fn(&str) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    for (text, wanted) in cases(&table(name)) {
        let said = refused(document(text).as_bytes());
        if said != wanted {
            wrong.push(format!("{text}\nsaid:\n{said}\nwanted:\n{wanted}\n"));
        }
    }
    wrong
}

#[test]
fn documents() {
    let wrong = wrong("documents.txt", str::to_owned);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rules() {
    let wrong = wrong("rules.txt", |rule| format!("groups:\n  g: {{ ingress: [\n{rule}\n] }}\n  h:\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn more_faults_than_anybody_reads_are_not_looked_for() {
    let prefixes = "nothing, ".repeat(100_000);
    let said = refused(format!("prefix_lists: {{ l: [ {prefixes} ] }}").as_bytes());
    assert_eq!(said.lines().count(), 21);
    assert_eq!(
        said.lines().last(),
        Some("policy.yaml: there may be more errors than these 20: correct them first")
    );
}

#[test]
fn nothing() {
    for document in ["", " \n# a comment\n", "---\n", "~", "null"] {
        let message = "policy.yaml: the document is empty: a policy that protects nothing is written {}";
        assert_eq!(refused(document.as_bytes()), message);
    }
}

/// A policy path that leads to a file of secrets (by a link, a mount or a mistake): nothing of it gets into the log except plain
/// words that may be keys.
#[test]
fn files_that_are_no_policy_are_not_quoted() {
    const FILES: [&str; 14] = [
        "root:$6$SECRET$SECRETSECRET:19000:0:99999:7:::\nalice:$6$SECRET$zzz:19000:0:::::\n",
        "root: $6$SECRET\n",
        "password = SECRET\n[db]\ntoken: SECRET\n",
        "password = SECRET: x\n",
        "-----BEGIN PRIVATE KEY-----\nSECRETgIBADANBgkq\n-----END PRIVATE KEY-----\n",
        "machine: h\nlogin: joe\npassword: SECRET\n",
        "{\"secret\":\"SECRET\"}",
        "groups: {}\nnics:\n  - SECRET\n",
        "SECRET\n",
        "- SECRET\n",
        "groups: SECRET\n",
        "a: 'SECRET\nb: c",
        "token: &SECRET a\nother: *SECRETS\n",
        "password SECRET: 1\npassword SECRET: 2\n",
    ];
    for file in FILES {
        let message = refused(file.as_bytes());
        assert!(!message.contains("SECRET"), "{file}: {message}");
    }
    let of_key = refused(b"machine: h\npassword: x\n");
    assert!(of_key.starts_with("policy.yaml:1:1: machine: unknown key \"machine\": allowed are"), "{of_key}");
}

#[test]
fn bytes_that_are_no_text() {
    let cases: &[(&[u8], &str)] = &[
        (b"groups:\n  \xff: {}", "policy.yaml:2:3: byte 10 is not UTF-8: save the document as UTF-8"),
        (b"\xff\xfe{\0}\0", "policy.yaml:1:1: byte 0 is not UTF-8: save the document as UTF-8"),
        (b"groups: {}\nnics: \0", "policy.yaml:2:7: byte 17 is NUL: a document is text"),
    ];
    for (bytes, message) in cases {
        assert_eq!(refused(bytes), *message);
    }
}

/// A list of ten ones, a list of ten of those, and so on, `levels` times.
fn laughs(levels: u8) -> String {
    (1..levels).fold("l0: &l0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned(), |text, level| {
        let below = format!("*l{},", level - 1).repeat(10);
        text + &format!("l{level}: &l{level} [{below}]\n")
    })
}

/// Documents refused for their cost: the text, and the end of the message.
#[test]
fn bombs_are_refused_quickly() {
    let merges = (1..10).fold("m0: &m0 { k: 1 }\n".to_owned(), |text, level| {
        let below = format!("*m{},", level - 1).repeat(10);
        text + &format!("m{level}: &m{level} {{ k{level}: 1, <<: [{below}] }}\n")
    });
    let deep = "lists and mappings are nested deeper than 16";
    let repeated = "its anchors, aliases and merge keys repeat more than 100000 values; write them out";
    let cases = [
        (laughs(10), repeated),
        (merges, repeated),
        ("[".repeat(1_000_000), deep),
        ("{a: ".repeat(1_000_000), deep),
        ("- ".repeat(1_000_000), deep),
        ("? ".repeat(1_000_000), deep),
    ];
    for (text, end) in cases {
        let start = Instant::now();
        let message = refused(text.as_bytes());
        assert!(message.ends_with(&format!("too much for a policy: {end}")), "{message}");
        // Generous: this is a debug build, perhaps on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}: {message}", start.elapsed());
    }
}

#[test]
fn a_message_is_one_short_line_whatever_the_document_says() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{{ \"{long}\": 1 }}"),
        format!("precedence: {long}"),
        format!("? |\n  {long}\n  two lines\n: 1"),
        "groups: { \"a\\nb\\e[31m\": { typo: 1 } }".to_owned(),
        "groups: { g: !\u{1b}[31m x }".to_owned(),
    ] {
        let messages = refused(text.as_bytes());
        for message in messages.lines() {
            assert!(message.chars().count() < 400 && !message.contains(char::is_control), "{message:?}");
        }
    }
}
