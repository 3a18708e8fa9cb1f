//! The order of decision stands in `docs/use/exceptions.md` for users and above `decide` in `sg-ebpf/src/pipeline.rs` for
//! readers of the code. Neither may change alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use sg_common::verdict::Reason;

const DOCS: &str = include_str!("../../docs/use/exceptions.md");
const CODE: &str = include_str!("../../sg-ebpf/src/pipeline.rs");

/// A step: its number, its title, and the reasons that it names.
type Step = (usize, String, Vec<&'static str>);

/// The steps of a numbered list. A step goes on until the next one begins, or until the list ends.
fn steps<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        let head = line.split_once(". **").and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        if let Some((number, rest)) = head {
            let (title, _) = rest.split_once("**").unwrap();
            steps.push((number, title.trim_end_matches('.').to_owned(), Vec::new()));
        }
        let Some((_, _, reasons)) = steps.last_mut() else { continue };
        for named in line.split('`').skip(1).step_by(2) {
            let reason = Reason::ALL.iter().map(|reason| reason.name()).find(|name| *name == named);
            reasons.extend(reason.filter(|name| !reasons.contains(name)));
        }
    }
    steps
}

fn documented() -> Vec<Step> {
    let (_, order) = DOCS.split_once("## Order of decision\n").unwrap();
    let (list, _) = order.split_once("\nA rejected packet is dropped").unwrap();
    steps(list.lines())
}

fn above_decide() -> Vec<Step> {
    let (before, _) = CODE.split_once("\nfn decide(").unwrap();
    let lines: Vec<&str> = before.lines().collect();
    let comment = lines.iter().rposition(|line| !line.starts_with("///") && !line.starts_with('#')).unwrap();
    steps(lines[comment..].iter().filter_map(|line| line.strip_prefix("/// ")))
}

#[test]
fn the_code_lists_the_steps_that_the_docs_explain() {
    let documented = documented();
    assert_eq!(above_decide(), documented);
    let numbers: Vec<usize> = documented.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
}

/// Every step of `decide` stands in the code under its number and title, in this order.
#[test]
fn the_code_takes_the_steps_in_this_order() {
    let (_, mut code) = CODE.split_once("\nfn decide(").unwrap();
    let titles = above_decide().into_iter().skip(2).map(|(number, title, _)| (number, title));
    for (number, title) in titles {
        let is_a_name = title.starts_with("IP") || title.starts_with("ARP");
        let title = if is_a_name { title } else { lower_first(&title) };
        let mark = format!("Step {number}: {title}.");
        let at = code.find(&mark);
        code = &code[at.unwrap_or_else(|| panic!("{mark:?} does not stand behind the step before"))..];
    }
}

fn lower_first(title: &str) -> String {
    let mut characters = title.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// What the comparison depends on: it finds reasons, and only those.
#[test]
fn reasons_are_told_from_other_words() {
    let list = ["1. **One.** `no-nic`, `role: host`", "   goes on: `arp`, `arp`", "2. **Two.** nothing"];
    let expected = vec![(1, "One".to_owned(), vec!["no-nic", "arp"]), (2, "Two".to_owned(), vec![])];
    assert_eq!(steps(list.into_iter()), expected);
}
