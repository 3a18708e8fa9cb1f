//! Words that this project does not use: each has another name in the field, which is in `docs/glossary.md`.
//!
//! A test only. If such a word returns in code, help, docs or the name of a file, the test fails with the word to write instead.
//! [`WORDS`] are looked for as they are spelled, [`PARTS`] also within identifiers: in `sweep_some`, `SweepLine` and `SWEEP`.

use std::{fs, path::Path, process::Command};

/// What not to write, and what instead. Whole words, as spelled; none has one of [`PARTS`].
const WORDS: &[(&str, &str)] = &[
    ("FAR_NICS", "NIC_BY_IFINDEX_OVERFLOW"),
    ("NEAR_DEVICES", "NIC_BY_IFINDEX_LEN"),
    ("FLOWS_16", "FLOWS_V4"),
    ("HALF_OPEN_16", "HALF_OPEN_V4"),
    ("PLACES_16", "PLACES_V4"),
    ("CLOSED_16", "CLOSED_V4"),
    ("header::SENDERS", "header::ALLOWED_SOURCES"),
    ("header::SERVERS", "header::DHCP_SERVERS"),
    ("tells_nothing", "suppresses_reject"),
    ("asks_anew", "requests_connection"),
    ("speaks_of_a_flow", "is_error_about_flow"),
    ("Found::Stranger", "Found::Miss"),
    ("Found::Meets", "Found::NeedsPolicy"),
    ("Kind::Gives", "Kind::Assigns"),
    ("reject::Pace", "RateLimit"),
    ("NarrowKey", "FlowKeyV4"),
    ("look_plainly", "lookup_and_update_plain"),
    ("speaks_for", "is_allowed_source"),
    ("told_apart", "membership_rules"),
    ("come_or_gone", "symmetric_difference"),
    ("look_again", "resync"),
    ("put_in_force", "apply"),
    ("carry_out", "execute"),
    ("members_here", "local_members"),
    ("members_elsewhere", "remote_members"),
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
    ("A FAMILY AT MOST", "MAX-PER-FAMILY"),
    ("MADE ROOM", "EVICTED"),
    ("nobody can be asked here", "Refusing without confirmation: stdin is not a terminal"),
    ("--preview", "--dry-run"),
    ("may be said several times", "may be repeated"),
    ("what is not said stays", "unspecified fields are left unchanged"),
    ("the other end is", "the remote is"),
    ("this end is", "the local address is"),
];

/// What no identifier, comment, message or name of a file has as a part, and what to write instead by the meaning. A part ends at
/// whatever is no letter, and where the case changes; its own case does not matter.
const PARTS: &[(&[&str], &str)] = &[
    (
        &["answer", "answers", "answered", "answering", "answerer"],
        "reply (of a host), response (of an API), result (of an engine), verdict, or reject; established (a flow)",
    ),
    (&["talk", "talks", "talked", "talking"], "flow, connection, exchange, or connect"),
    (&["hear", "hears", "heard", "hearing", "unheard"], "receive, track, or read"),
    (
        &["cut", "cuts", "cutting"],
        "revoke (a flow), truncate (a text, a packet), reset (a connection), or split",
    ),
    (&["forest", "forests"], "partition"),
    (&["clause", "clauses"], "lowered rule"),
    (&["sweep", "sweeps", "swept", "sweeping"], "age, ageing, expired, or sweep line"),
    (&["road", "roads"], "forwarding path"),
    (&["catalogue", "catalogues"], "figures, or catalog (of the agent)"),
    (&["rehearsal", "rehearsals", "rehearse", "rehearses", "rehearsed"], "test double, or fill and discard"),
    (&["planted"], "mutation"),
    (&["untold", "unasked"], "no reply, or exceptions"),
    (&["sharpest", "bluntness"], "most selective, inverse selectivity"),
    (&["graph", "graphs"], "decision tree, or DAG"),
    (&["crowd", "crowds"], "concurrency, or cluster"),
    (&["manner", "manners"], "context"),
    (&["noted"], "recorded"),
    (&["census"], "flow table statistics"),
];

/// Texts that have such a part and may stay, each where it stands: files whose names begin so, the text, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("docs/", "HiCuts", "a name of the literature"),
    ("docs/", "EffiCuts", "a name of the literature"),
    ("", "sweep line", "the name of this algorithm in computational geometry"),
    ("sg-userspace/compile/src/", "sweep_line", "the same, as a file"),
    ("sg-userspace/compile/src/", "SweepLine", "the same, as a type"),
    ("docs/", "reports/planted.md", "a dated report keeps its name"),
    (
        "sg-userspace/records/src/caller.rs",
        "rename = \"answer\"",
        "a key of the store's records, which are not rewritten",
    ),
    ("sg-userspace/store/src/migrate.rs", "\"answer\"", "the same key, where it is migrated"),
    ("xtask/src/test.rs", "--hide-inclusion-graph", "an option of cargo-deny"),
];

/// Where former words may be: in dated documents, in names of licences, in what other programs wrote, and here.
const LEFT_OUT: [&str; 6] = [
    "docs/adr/",
    "docs/reports/",
    "deny.toml",
    "fuzz/corpus/",
    "tests/clients/package-lock.json",
    "xtask/src/words.rs",
];

/// Extensions of files that are text. Files without one are scripts and corpora.
const TEXT: [&str; 17] = [
    "bash", "js", "json", "jsonl", "md", "patch", "ps1", "py", "rs", "service", "sh", "toml", "txt", "yaml",
    "yml", "cfg", "in",
];

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
    let read = |file: &String| !LEFT_OUT.iter().any(|place| file.starts_with(place));
    let (mut looked_at, mut found) = (0, Vec::new());
    for file in tracked().into_iter().filter(read) {
        found.extend(
            parts_found(&file, &file)
                .map(|(part, instead)| format!("{file}: its name has {part:?}: write {instead}")),
        );
        let is_script = file.starts_with(".ci/") || file.starts_with(".github/");
        if !is_script && !is_of(&file, &TEXT) {
            continue;
        }
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        looked_at += 1;
        for (number, line) in text.lines().enumerate() {
            let words = WORDS.iter().copied().filter(|(word, _)| has(line, word));
            let parts = parts_found(&file, line);
            let wrong = words.map(|(word, instead)| (word.to_owned(), instead)).chain(parts);
            found.extend(
                wrong.map(|(word, instead)| format!("{file}:{}: {word:?}: write {instead}", number + 1)),
            );
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

/// The parts of `line`, a line of `file`, that are refused, in lower case, with what to write instead.
fn parts_found(file: &str, line: &str) -> impl Iterator<Item = (String, &'static str)> {
    let mut line = line.to_owned();
    for (place, text, _) in ALLOWED {
        if file.starts_with(place) && line.contains(text) {
            line = line.replace(text, " ");
        }
    }
    parts(&line).into_iter().filter_map(|part| {
        let (_, instead) = PARTS.iter().find(|(refused, _)| refused.contains(&part.as_str()))?;
        Some((part, *instead))
    })
}

/// What a line consists of: `sweep_some`, `SweepSome` and `SWEEP_SOME` of `sweep` and `some`.
fn parts(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = line.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let ends_capitals =
            before.is_uppercase() && characters.peek().is_some_and(|next| next.is_lowercase());
        if !character.is_alphabetic() || character.is_uppercase() && (before.is_lowercase() || ends_capitals)
        {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut()
            && character.is_alphabetic()
        {
            part.extend(character.to_lowercase());
        }
        before = character;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn only_whole_words_count() {
    assert!(has("a Talk.", "Talk") && has("Talk", "Talk") && has("(`is_cut`)", "is_cut"));
    assert!(!has("Talks", "Talk") && !has("this_cut", "is_cut") && !has("is_cutting", "is_cut"));
}

#[test]
fn identifiers_are_split_into_their_parts() {
    for line in
        ["an_answer", "AnAnswer", "AN_ANSWER", "anAnswer", "(an, answer)", "\"An answer\"", "an2answer"]
    {
        assert_eq!(parts(line), ["an", "answer"], "{line}");
    }
    assert_eq!(parts("HTTPAnswer::of(V4Talk)"), ["http", "answer", "of", "v", "talk"]);
    assert_eq!(parts("execute Cutoff broad"), ["execute", "cutoff", "broad"]);
}

#[test]
fn refused_parts_are_found_wherever_they_stand() {
    let found = |line: &str| parts_found("a/b.rs", line).map(|(part, _)| part).collect::<Vec<_>>();
    assert_eq!(
        found("fn a_forest_says_what_its_clauses_say() { Swept::of(\"talk\") } // It answers."),
        ["forest", "clauses", "swept", "talk", "answers"]
    );
    assert_eq!(found("an executed, broad, cutoff paragraph about a talkative clausewitz"), [""; 0]);
    let instead = parts_found("tests/planted/a.patch", "tests/planted/a.patch").next();
    assert_eq!(instead, Some(("planted".to_owned(), "mutation")));
}

#[test]
fn what_is_allowed_is_so_where_it_stands_and_nowhere_else() {
    let found = |file: &str, line: &str| parts_found(file, line).count();
    assert_eq!(found("docs/glossary.md", "HiCuts, HyperSplit, EffiCuts and cuts"), 1);
    assert_eq!(found("sg-common/src/x.rs", "HiCuts"), 1);
    assert_eq!(found("sg-userspace/compile/src/tree.rs", "SweepLine is a sweep line; a sweep is not"), 1);
    for (place, text, reason) in ALLOWED {
        assert!(
            parts(text).iter().any(|part| PARTS.iter().any(|(refused, _)| refused.contains(&part.as_str()))),
            "{text}"
        );
        assert!(!reason.is_empty() && root().join(place).exists(), "{text}: {place}");
    }
}
