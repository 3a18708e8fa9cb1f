//! The lines of the text that faults are about, as people may see them.
//!
//! They are no part of a message: a log and an API must never show what a file holds, see `words`. `sgctl` shows them to the user
//! who named the file, and only those of a text that looks like a policy.

use sg_model::text::is_invisible;

use super::{
    error::{Fault, SourceLine},
    lower::{KEYS, SECTIONS},
    place::Position,
    words::Excerpt,
};

/// A longer line is not shown.
const LONGEST: usize = 2_000;

/// Adds to each fault the line it is about, and to a number that YAML reads as a fraction what is written there.
pub(super) fn add_lines(text: &str, faults: &mut [Fault]) {
    let mut lines = text.lines();
    let (mut next, mut line) = (1, lines.next());
    let shown = looks_like_policy(text);
    // Faults are in the order of the document.
    for fault in faults {
        let Some(at) = fault.at else { continue };
        while next < at.line && line.is_some() {
            (next, line) = (next + 1, lines.next());
        }
        let Some((line, token)) =
            line.filter(|_| next == at.line).and_then(|line| Some((line, token(line, at)?)))
        else {
            continue;
        };
        if let Some(found) = fault.problem.found_mut()
            && found.is_fraction()
            && let Some(written) = Excerpt::number(token)
        {
            *found = written;
        }
        if shown && line.len() <= LONGEST {
            let visible = |letter| if letter != '\t' && is_invisible(letter) { '\u{fffd}' } else { letter };
            fault.line = Some(SourceLine {
                text: line.chars().map(visible).collect(),
                length: token.chars().count().max(1),
            });
        }
    }
}

/// The value, key or mark that begins at a position of its line.
fn token(line: &str, at: Position) -> Option<&str> {
    let column = at.column.checked_sub(1)? as usize;
    let start = line.char_indices().nth(column).map_or(line.len(), |(start, _)| start);
    let rest = &line[start..];
    let length = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        Some('{' | '[') => 1,
        // The mark of an item, not a sign.
        Some('-' | '?') if !rest[1..].starts_with(|next: char| next.is_ascii_digit()) => 1,
        _ => {
            let ends = [": ", " #", ",", "}", "]"].iter().filter_map(|end| rest.find(end));
            ends.min().unwrap_or(rest.len())
        }
    };
    let token = rest[..length].trim_end();
    Some(token.strip_suffix(':').unwrap_or(token))
}

/// Whether a line begins with a section of a policy, as YAML or JSON, and none with a key that no policy has: a file of another
/// program, such as a cloud-config, has `groups` and passwords.
fn looks_like_policy(text: &str) -> bool {
    let is_foreign = |line: &str| {
        line.starts_with(|first: char| first.is_ascii_alphabetic())
            && line.split_once(':').is_some_and(|(key, _)| !KEYS.allowed.contains(&key.trim_end()))
    };
    !text.lines().any(is_foreign)
        && text.lines().any(|line| {
            let (quoted, key) = match line.trim_start_matches(['{', ' ', '\t']).strip_prefix('"') {
                Some(key) => (true, key),
                None => (false, line.trim_start_matches(['{', ' '])),
            };
            // Plain keys of a section stand at the margin, or in braces.
            (quoted || line.starts_with(['{']) || key.len() == line.len())
                && SECTIONS.iter().any(|section| {
                    let rest = key.strip_prefix(section);
                    rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_where_yaml_ends_it() {
        let token = |line, column| token(line, Position { line: 1, column });
        let line = "  - { protocol: tcp, ports: \"22, 80\", remote: 10.0.0.0/8 }  # all";
        for (column, wanted) in
            [(3, "-"), (5, "{"), (7, "protocol"), (17, "tcp"), (29, "\"22, 80\""), (47, "10.0.0.0/8")]
        {
            assert_eq!(token(line, column), Some(wanted));
        }
        assert_eq!(token("ports: [80, 443]", 8), Some("["));
        assert_eq!(token("web:", 1), Some("web"));
        assert_eq!(token("ports: -1", 8), Some("-1"));
        assert_eq!(token("ü: 022 # x", 4), Some("022"));
        assert_eq!((token("a", 2), token("a", 9), token("", 1)), (Some(""), Some(""), Some("")));
        assert_eq!(token("a", 0), None);
    }

    #[test]
    fn only_a_policy_is_shown() {
        for policy in ["# mine\ngroups:\n  web: {}\n", "{ groups: {} }", "{\n  \"nics\": []\n}", "nics : []"]
        {
            assert!(looks_like_policy(policy), "{policy}");
        }
        for other in [
            "root:$6$x:1::",
            "services:\n  groups: 1\n",
            "groups = x",
            "# groups: x",
            "",
            "groups: [sudo]\npassword: x\n",
        ] {
            assert!(!looks_like_policy(other), "{other}");
        }
    }
}
