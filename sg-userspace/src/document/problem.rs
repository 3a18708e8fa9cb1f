//! What can be wrong with a document, and what would be right.

use std::{fmt, io};

use thiserror::Error;

use super::{
    load::MAX_BYTES,
    place::Position,
    yaml::{MAX_DEPTH, MAX_NODES, MAX_REPEATED},
};
use crate::model::{InvalidReason, PortRange};

/// What is wrong with a document. Every message says what was found and what is allowed.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The path is a directory.
    #[error("is a directory: name the policy file in it")]
    Directory,
    /// The file is larger than any policy.
    #[error("holds {}{size} bytes: a policy document holds at most {MAX_BYTES}", if *.more { "more than " } else { "" })]
    TooLarge {
        /// Bytes of the file, as far as they were counted.
        size: u64,
        /// The count was given up there.
        more: bool,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {offset} is not UTF-8: save the document as UTF-8")]
    NotUtf8 {
        /// Of the first such byte, from 0.
        offset: usize,
    },
    /// A NUL byte.
    #[error("byte {offset} is NUL: a document is text")]
    Nul {
        /// Of the first such byte, from 0.
        offset: usize,
    },
    /// Nothing in it but comments.
    #[error("the document is empty: a policy that protects nothing is written {{}}")]
    Empty,
    /// A second `---`.
    #[error("a second document begins: one file holds one policy, put the other in a file of its own")]
    SeveralDocuments,
    /// The reader of YAML does not understand it.
    #[error("cannot be read as YAML: {message}")]
    Syntax {
        /// In the reader's words, one line.
        message: String,
    },
    /// It is YAML, and would take too much time or memory.
    #[error("too much for a policy: {0}")]
    TooComplex(
        /// The limit that was reached.
        Limit,
    ),
    /// A key twice in one mapping.
    #[error("key {key} is there twice{}: write each key once", first.map(|at| format!(", first at {at}")).unwrap_or_default())]
    DuplicateKey {
        /// Which.
        key: Excerpt,
        /// Where it stands first, if that was found.
        first: Option<Position>,
    },
    /// A number where a key belongs, as in `{ ports: 22,80 }`.
    #[error("found {found} where a key belongs: quote it; a list of ports inside {{ }} is written \"22,80\"")]
    KeyNotText {
        /// What is there.
        found: Excerpt,
    },
    /// A key that means nothing here.
    #[error("unknown key {key}{near}: allowed are {}", .allowed.join(", "))]
    UnknownKey {
        /// Which.
        key: Excerpt,
        /// What may have been meant.
        near: Near,
        /// What there is.
        allowed: &'static [&'static str],
    },
    /// A key that must be there.
    #[error("{key} is missing: {allowed}")]
    Missing {
        /// Which.
        key: &'static str,
        /// What it may say.
        allowed: &'static str,
    },
    /// Something of another kind or another grammar.
    #[error("found {found}: {allowed}")]
    Unfit {
        /// What is there.
        found: Excerpt,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A word that is none of a few.
    #[error("found {found}: write {}", .allowed.join(" or "))]
    NotOneOf {
        /// What is there.
        found: Excerpt,
        /// What may stand there.
        allowed: Vec<&'static str>,
    },
    /// Not a whole number of a range.
    #[error("found {found}: {what} is a whole number from {low} to {high}, without quotes")]
    NotInRange {
        /// What is there.
        found: Excerpt,
        /// Of what.
        what: &'static str,
        /// The lowest allowed.
        low: u8,
        /// The highest allowed.
        high: u8,
    },
    /// A port beyond 65535, or no number.
    #[error("found {found}: a port is a number from 0 to 65535")]
    NotAPort {
        /// What is there.
        found: Excerpt,
    },
    /// A range from high to low.
    #[error("found {found}: a range goes from low to high, write {range}")]
    Reversed {
        /// What is there.
        found: Excerpt,
        /// What may have been meant.
        range: PortRange,
    },
    /// A prefix length that the family does not have.
    #[error("found {found}: the length of an {family} prefix is a number from 0 to {longest}")]
    PrefixLength {
        /// What is there.
        found: Excerpt,
        /// Of which family the address is.
        family: crate::model::FamilyName,
        /// 32 or 128.
        longest: u8,
    },
    /// An IPv4 address in IPv6 clothes, which no packet on the wire carries.
    #[error("found {found}, an IPv4-mapped IPv6 address, which no packet carries: write {instead}")]
    Mapped {
        /// What is there.
        found: Excerpt,
        /// The same in IPv4.
        instead: String,
    },
    /// A name that nothing has.
    #[error("no {what} is named {name}{near}{names}")]
    UnknownName {
        /// Of what.
        what: &'static str,
        /// Which.
        name: Excerpt,
        /// What may have been meant.
        near: Near,
        /// What there is.
        names: Names,
    },
    /// A name without a letter.
    #[error("found an empty name: {0} needs a name of one character or more")]
    EmptyName(
        /// What should have it.
        &'static str,
    ),
    /// A device name that Linux cannot have.
    #[error("found {found}: a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..")]
    DeviceName {
        /// What is there.
        found: Excerpt,
    },
    /// Ports or ICMP types where the protocol has none.
    #[error("{key} belongs to {owners}, and the protocol of this rule is {protocol}: leave it out")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The protocols that have it.
        owners: &'static str,
        /// What the rule says.
        protocol: String,
    },
    /// An ICMP code without a type.
    #[error("a code means nothing without a type: write icmp_type too, or leave icmp_code out")]
    CodeWithoutType,
    /// Well written, but it does not make a policy.
    #[error("{0}")]
    Invalid(
        /// Why.
        InvalidReason,
    ),
}

/// What bounds the time and the memory that a document takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Limit {
    /// Of lists and mappings within each other.
    #[error("lists and mappings are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// Of values.
    #[error("it holds more than {MAX_NODES} values")]
    Nodes,
    /// Of what aliases and merge keys may stand for.
    #[error("its anchors, aliases and merge keys repeat more than {MAX_REPEATED} values; write them out")]
    Repeated,
}

/// A piece of the document, quoted and cut so that it fits into a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Longer texts are cut.
    pub(super) const LONGEST: usize = 64;

    /// A text, quoted.
    pub(super) fn of(text: &str) -> Self {
        let short: String = text.chars().take(Self::LONGEST).collect();
        let rest = if short.len() < text.len() { "…" } else { "" };
        Self(format!("{short:?}{rest}"))
    }

    /// A word that is not text: a number, or the name of a kind.
    pub(super) fn word(word: impl fmt::Display) -> Self {
        Self(word.to_string())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The word that was meant, where one is close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near(pub(super) Option<Excerpt>);

impl Near {
    /// The closest of `words`, if it is a typing error away.
    pub(super) fn to<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Self {
        let slips = |word: &str| {
            // Only words of about the same length can be close: with many words this saves nearly all work.
            (found.len().abs_diff(word.len()) <= 2 && word.len() <= Excerpt::LONGEST)
                .then(|| distance(found.as_bytes(), word.as_bytes()))
                .filter(|&slips| slips <= 2 && slips < word.len())
        };
        let best = words.filter_map(|word| Some((slips(word)?, word))).min_by_key(|&(slips, _)| slips);
        Self(best.map(|(_, word)| Excerpt::of(word)))
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |word| write!(f, " (did you mean {word}?)"))
    }
}

/// How many letters must be changed, added or left out to get from `a` to `b` (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The names there are: a few of them, and how many more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    few: Vec<Excerpt>,
    more: usize,
}

impl Names {
    /// The first few of `names`.
    pub(super) fn few<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        const FEW: usize = 5;
        let more = names.len().saturating_sub(FEW);
        Self { few: names.take(FEW).map(Excerpt::of).collect(), more }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { few, more } = self;
        let Some((first, rest)) = few.split_first() else { return f.write_str(": the document has none") };
        write!(f, ": the document has {first}")?;
        rest.iter().try_for_each(|name| write!(f, ", {name}"))?;
        if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_close_and_another_word_is_not() {
        let near = |found| Near::to(found, ["ingress", "egress", "type"].into_iter()).to_string();
        assert_eq!(near("ingres"), " (did you mean \"ingress\"?)");
        assert_eq!(near("Egress"), " (did you mean \"egress\"?)");
        assert_eq!(near("rules"), "");
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = Excerpt::of(&"x".repeat(1000)).to_string();
        assert!(text.len() < 100 && text.ends_with("\"…"), "{text}");
    }
}
