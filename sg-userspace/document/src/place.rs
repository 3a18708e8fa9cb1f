//! Places: line and column for the editor, the path of keys for the reader.

use std::fmt;

use super::words::{Excerpt, plain_word};

/// A line and a column of the document, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl Position {
    /// The position of what follows `text`.
    pub(super) fn after(text: &str) -> Self {
        let line = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Self { line: line as u32, column: column as u32 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "{line}:{column}")
    }
}

/// One step from a node of the document to one of its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, counted from 0.
    Item(usize),
}

/// The path from the root of the document to a node, such as `groups.web.ingress[3].ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(
    /// The steps, from the root.
    pub Vec<Step>,
);

impl KeyPath {
    /// The same path with each key reduced to what may be shown of a text that is not a policy.
    pub(super) fn in_plain_words(self) -> Self {
        let shown = self.0.into_iter().map(|step| match step {
            Step::Key(key) => match plain_word(&key) {
                word if word.len() < key.len() => Step::Key(format!("{word}…")),
                _ => Step::Key(key),
            },
            item @ Step::Item(_) => item,
        });
        Self(shown.collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            match step {
                Step::Key(key) if is_bare(key) => write!(f, "{dot}{key}")?,
                Step::Key(key) => write!(f, "{dot}{}", Excerpt::of(key))?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// Whether a key needs no quotes within a path.
fn is_bare(key: &str) -> bool {
    (1..=Excerpt::LONGEST).contains(&key.len())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_code() {
        let key = |key: &str| Step::Key(key.to_owned());
        let path = KeyPath(vec![key("groups"), key("my group"), key("ingress"), Step::Item(3), key("ports")]);
        assert_eq!(path.to_string(), "groups.\"my group\".ingress[3].ports");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(Position::after(""), Position { line: 1, column: 1 });
        assert_eq!(Position::after("a\nüb"), Position { line: 2, column: 3 });
    }
}
