//! The commands of `cargo xtask` that pages and workflows name are commands that it has.
//!
//! A test only: it parses them, and runs none. It also compares what the nightly workflow lists with what there is to list.

use std::fs;

use clap::Parser as _;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{
    Cli,
    words::{is_of, root, tracked},
};

const COMMAND: &str = "cargo xtask ";

/// The commands of a page: in backticks, and lines of its blocks of code.
fn of_page(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut found = Vec::new();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => is_block = true,
            Event::End(TagEnd::CodeBlock) => is_block = false,
            Event::Code(code) => found.extend(of_line(&code)),
            Event::Text(text) if is_block => found.extend(text.lines().filter_map(of_line)),
            _ => {}
        }
    }
    found
}

/// The command in a line, without what is before it and a comment behind it.
fn of_line(line: &str) -> Option<String> {
    let command = &line[line.find(COMMAND)?..];
    let ends = [" #", " <", " &&", " |", ";", "`", ")"];
    let end = ends.iter().filter_map(|end| command.find(end)).min().unwrap_or(command.len());
    Some(command[..end].trim_end().to_owned())
}

/// The words of a command, with a value for each placeholder: `VERSION`, `${{ matrix.kernel }}`.
fn words(command: &str) -> Vec<String> {
    let mut text = command.to_owned();
    while let (Some(start), Some(end)) = (text.find("${{"), text.find("}}")) {
        text.replace_range(start..end + 2, "1");
    }
    let is_placeholder = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let value = |word: &str| if is_placeholder(word) { "1".to_owned() } else { word.to_owned() };
    std::iter::once("xtask".to_owned()).chain(text[COMMAND.len()..].split_whitespace().map(value)).collect()
}

#[test]
fn commands_that_pages_and_workflows_name_exist() {
    let (mut looked_at, mut wrong) = (0, Vec::new());
    // Reports and changes are about earlier commits.
    let is_dated = |file: &str| file.starts_with("docs/reports/") || file == "CHANGELOG.md";
    for file in tracked().into_iter().filter(|file| !is_dated(file)) {
        let is_page = is_of(&file, &["md"]);
        if !is_page && !is_of(&file, &["yml"]) && !file.starts_with(".ci/") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        let commands = if is_page { of_page(&text) } else { text.lines().filter_map(of_line).collect() };
        for command in commands {
            looked_at += 1;
            if let Err(error) = Cli::try_parse_from(words(&command)) {
                wrong.push(format!("{file}: `{command}`: {error}"));
            }
        }
    }
    assert!(looked_at > 30, "only {looked_at} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_nightly_workflow_fuzzes_every_target_and_every_shard_of_mutants() {
    let nightly = fs::read_to_string(root().join(".github/workflows/nightly.yml")).unwrap();
    let list = |name: &str| -> Vec<String> {
        let line = nightly.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('['));
        line.unwrap().trim_end_matches(']').split(',').map(|word| word.trim().to_owned()).collect()
    };
    let mut targets: Vec<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort();
    assert_eq!(list("target:"), targets);
    let shards = list("shard:");
    let numbered: Vec<String> = (0..shards.len()).map(|shard| shard.to_string()).collect();
    assert_eq!(shards, numbered);
    assert!(nightly.contains(&format!("}}}}/{}\n", shards.len())), "as many shards as are listed");
}

#[test]
fn a_command_is_taken_out_of_its_line() {
    assert_eq!(
        of_line("    - run: cargo xtask test --kernel ${{ matrix.kernel }}").map(|line| words(&line)),
        { Some(["xtask", "test", "--kernel", "1"].map(str::to_owned).into()) }
    );
    assert_eq!(of_line("cargo xtask demo    # hosts").as_deref(), Some("cargo xtask demo"));
    assert_eq!(of_line("cargo test"), None);
    assert_eq!(of_page("see `cargo xtask doctor`\n\n```sh\ncargo xtask demo && x\n```\n").len(), 2);
    assert!(Cli::try_parse_from(words("cargo xtask tets")).is_err());
}
