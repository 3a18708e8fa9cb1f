//! Words that this project does not use: each has another name in the field, which is in `docs/glossary.md`.
//!
//! A test only. If such a word returns in code, help or docs, the test fails with the word to write instead.

use std::{fs, path::Path, process::Command};

/// What not to write, and what instead. Whole words, as spelled.
const WORDS: &[(&str, &str)] = &[
    ("AnswerLimit", "RejectRateLimited"),
    ("AnswerRate", "RejectRate"),
    ("ANSWERS", "REJECT_BUDGET"),
    ("ANSWER_MARK", "REJECT_MARK"),
    ("answers-per-second", "reject-rate"),
    ("answer-limit", "reject-rate-limited"),
    ("FAR_NICS", "NIC_BY_IFINDEX_OVERFLOW"),
    ("NEAR_DEVICES", "NIC_BY_IFINDEX_LEN"),
    ("FLOWS_16", "FLOWS_V4"),
    ("HALF_OPEN_16", "HALF_OPEN_V4"),
    ("PLACES_16", "PLACES_V4"),
    ("CLOSED_16", "CLOSED_V4"),
    ("flows::ANSWERED", "flows::ESTABLISHED"),
    ("FOREST_WORDS", "PARTITION_WORDS"),
    ("header::SENDERS", "header::ALLOWED_SOURCES"),
    ("header::SERVERS", "header::DHCP_SERVERS"),
    ("header::UNTOLD", "header::NO_REJECT"),
    ("tells_nothing", "suppresses_reject"),
    ("asks_anew", "requests_connection"),
    ("waits_for_an_answer", "awaits_reply"),
    ("speaks_of_a_flow", "is_error_about_flow"),
    ("Found::Stranger", "Found::Miss"),
    ("Found::Meets", "Found::NeedsPolicy"),
    ("Kind::Gives", "Kind::Assigns"),
    ("reject::Answer", "RejectPacket"),
    ("reject::Pace", "RateLimit"),
    ("NarrowKey", "FlowKeyV4"),
    ("Talk", "PortsProtoNic, or connection"),
    ("look_plainly", "lookup_and_update_plain"),
    ("hear_tcp", "update_tcp_state"),
    ("is_cut", "is_revoked"),
    ("note_cut", "note_revoked"),
    ("unasked", "exceptions"),
    ("speaks_for", "is_allowed_source"),
    ("Census", "FlowTableStats"),
    ("Clause", "LoweredRule"),
    ("told_apart", "membership_rules"),
    ("bluntness", "inverse_selectivity"),
    ("come_or_gone", "symmetric_difference"),
    ("forest", "partition"),
    ("look_again", "resync"),
    ("put_in_force", "apply"),
    ("carry_out", "execute"),
    ("members_here", "local_members"),
    ("members_elsewhere", "remote_members"),
    ("Manner", "ResponseContext"),
    ("Answering", "ActionFuture, or responder"),
    ("Paced", "TimeoutStream"),
    ("Typed", "Args"),
    ("--agent", "--instance"),
    ("sgctl key", "sgctl access-key"),
    ("sgctl limit", "sgctl quota"),
    ("sgctl health", "sgctl lint"),
    ("HealthQuery", "LintQuery"),
    ("ModifyLimits", "ModifyQuotas"),
    ("check_limits", "check_quotas"),
    ("CreateKey", "CreateAccessKey"),
    ("DeleteKey", "DeleteAccessKey"),
    ("NewKey", "NewAccessKey"),
    ("KeyView", "AccessKeyView"),
    ("KeyId", "AccessKeyId"),
    ("Once::new", "Idempotent::new"),
    ("most_answered", "max_established"),
    ("A FAMILY AT MOST", "MAX-PER-FAMILY"),
    ("MADE ROOM", "EVICTED"),
    ("nobody can be asked here", "Refusing without confirmation: stdin is not a terminal"),
    ("--preview", "--dry-run"),
    ("Unheard", "BrokenPipe"),
    ("may be said several times", "may be repeated"),
    ("what is not said stays", "unspecified fields are left unchanged"),
];

/// Where former words may be: in dated documents, in names of licences, and here.
const LEFT_OUT: [&str; 4] = ["docs/adr/", "docs/reports/", "deny.toml", "xtask/src/words.rs"];

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The files that git knows. One may have been removed since.
pub(crate) fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "`git ls-files`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whether a file's name ends with one of `extensions`.
pub(crate) fn is_of(file: &str, extensions: &[&str]) -> bool {
    Path::new(file).extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one))
}

#[test]
fn the_words_are_those_of_the_glossary() {
    let root = root();
    let read = |file: &String| {
        let is_text = is_of(file, &["rs", "md", "toml", "patch", "txt", "yml", "yaml", "service", "sh"]);
        is_text && !LEFT_OUT.iter().any(|place| file.starts_with(place))
    };
    let (mut looked_at, mut found) = (0, Vec::new());
    for file in tracked().into_iter().filter(read) {
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        looked_at += 1;
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in WORDS.iter().filter(|(word, _)| has(line, word)) {
                found.push(format!("{file}:{}: {word:?}: write {instead}", number + 1));
            }
        }
    }
    assert!(looked_at > 400, "only {looked_at} files");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether `line` has `word` as a whole word.
fn has(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].chars().next_back().is_some_and(is_part) && !after.chars().next().is_some_and(is_part)
    })
}

#[test]
fn only_whole_words_count() {
    assert!(has("a Talk.", "Talk") && has("Talk", "Talk") && has("(`is_cut`)", "is_cut"));
    assert!(!has("Talks", "Talk") && !has("this_cut", "is_cut") && !has("is_cutting", "is_cut"));
}
