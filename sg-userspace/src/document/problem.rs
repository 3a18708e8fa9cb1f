//! What can be wrong with a document, and what would be right.

use std::io;

use thiserror::Error;

use super::{
    load::MAX_BYTES,
    place::Position,
    words::{Excerpt, Names, Near},
    yaml::{MAX_DEPTH, MAX_NODES, MAX_REPEATED},
};
use crate::model::{InvalidReason, NoEthertype, PortRange, text::TextError};

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
    /// A text or a name that holds what it must not.
    #[error("found {found}: {why}")]
    Text {
        /// What is there.
        found: Excerpt,
        /// What is wrong with it.
        why: TextError,
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
    /// A name that is taken for another one.
    #[error(
        "{name} looks like {other}, the name of another {what} here: choose names that nobody takes for one another"
    )]
    Twin {
        /// Of what.
        what: &'static str,
        /// Which.
        name: Excerpt,
        /// What it is taken for.
        other: Excerpt,
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
    /// Frames that cannot be named.
    #[error("found {found}: {why}")]
    Ethertype {
        /// What is there.
        found: Excerpt,
        /// Why, and what to do.
        why: NoEthertype,
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
