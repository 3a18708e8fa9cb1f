//! What the pages of the project refer to exists: other pages, their headings, and files of the repository.
//!
//! A test only. It reads every Markdown page that git knows, so a page that moves, a heading that changes its words or a file
//! that is renamed shows here. It must never reach for the network: links that leave the repository are not followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::words::{is_of, root, tracked};

/// Pages about a commit of the past: their links hold, the files that they name may be gone.
const DATED: [&str; 3] = ["docs/adr/", "docs/reports/", "docs/design/optimisation-log.md"];

/// What a page has and what it refers to.
#[derive(Default)]
struct Page {
    headings: BTreeSet<String>,
    links: Vec<String>,
    /// Texts in backticks, outside blocks of code.
    codes: Vec<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        for event in Parser::new_ext(text, options) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let repeated = (1..).map(|number| format!("{slug}-{number}"));
                    let mut names = std::iter::once(slug.clone()).chain(repeated);
                    page.headings.extend(names.find(|name| !page.headings.contains(name)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.codes.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }
}

/// The name of a heading in a link, as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = |character: &char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// `page`'s directory and `path`, without `..`.
fn beside(page: &str, path: &str) -> PathBuf {
    let mut place = PathBuf::new();
    for part in Path::new(page).parent().unwrap_or(Path::new("")).join(path).components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
    }
    place
}

/// Whether a text in backticks is one path of this repository: it begins with one of the folders at its top.
fn is_path(code: &str, folders: &BTreeSet<&str>) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    // `abi-vN.txt` and `NAME.rs` stand for a family of files.
    let stands_for_many = code.contains("NAME") || code.contains("vN");
    code.chars().all(plain)
        && !stands_for_many
        && code.split_once('/').is_some_and(|(top, _)| folders.contains(top))
}

#[test]
fn what_the_pages_refer_to_exists() {
    let root = root();
    let files = tracked();
    let folders: BTreeSet<&str> = files.iter().filter_map(|file| Some(file.split_once('/')?.0)).collect();
    let pages: BTreeMap<&str, Page> = files
        .iter()
        .filter(|file| is_of(file, &["md"]))
        .filter_map(|file| Some((file.as_str(), Page::read(&fs::read_to_string(root.join(file)).ok()?))))
        .collect();
    let (mut links, mut paths, mut broken) = (0, 0, Vec::new());
    for (file, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            links += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { PathBuf::from(file) } else { beside(file, path) };
            if !root.join(&target).exists() {
                broken.push(format!("{file}: {link}: there is no {}", target.display()));
            } else if let Some(page) = target.to_str().and_then(|target| pages.get(target))
                && !heading.is_empty()
                && !page.headings.contains(heading)
            {
                broken.push(format!("{file}: {link}: {} has no such heading", target.display()));
            }
        }
        if DATED.iter().any(|place| file.starts_with(place)) {
            continue;
        }
        for code in page.codes.iter().filter(|code| is_path(code, &folders)) {
            paths += 1;
            if !root.join(code).exists() {
                broken.push(format!("{file}: `{code}`: there is no such file"));
            }
        }
    }
    assert!(links > 150 && paths > 50, "only {links} links and {paths} paths");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pages_that_code_and_messages_name_exist() {
    let root = root();
    let mut broken = Vec::new();
    let mut named = 0;
    for file in tracked() {
        let is_read = is_of(&file, &["rs", "toml", "service", "yml", "patch"]);
        let Some(text) = is_read.then(|| fs::read_to_string(root.join(&file)).ok()).flatten() else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                let path = &line[at..];
                let end = path.find(|character: char| {
                    !(character.is_ascii_alphanumeric() || "/._-".contains(character))
                });
                let path = &path[..end.unwrap_or(path.len())];
                if let Some(end) = path.find(".md") {
                    named += 1;
                    if !root.join(&path[..end + 3]).exists() {
                        broken.push(format!("{file}:{}: there is no {path}", number + 1));
                    }
                }
            }
        }
    }
    assert!(named > 20, "only {named} pages are named");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn headings_and_links_are_read_as_they_are_shown() {
    let page = Page::read(
        "# `sgctl`: what's new?\n\n## Rules\n\n[a](b.md#c) ![d](e.svg) `f/g.rs`\n\n```sh\n[no](link.md)\n# no heading\n```\n\n## Rules\n",
    );
    assert_eq!(page.headings, BTreeSet::from(["sgctl-whats-new", "rules", "rules-1"].map(str::to_owned)));
    assert_eq!((page.links, page.codes.len()), (vec!["b.md#c".to_owned(), "e.svg".to_owned()], 2));
    assert_eq!(beside("docs/use/policy.md", "../../README.md"), Path::new("README.md"));
    let folders = BTreeSet::from(["docs", "tests"]);
    assert!(is_path("docs/x.svg", &folders) && is_path("tests/src", &folders));
    assert!(!is_path("dir/x", &folders) && !is_path("tests/*.rs", &folders) && !is_path("tests", &folders));
}
