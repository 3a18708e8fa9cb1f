//! Problems of a document, and what would be right.

use std::{borrow::Cow, io};

use ipnet::IpNet;
use sg_model::{AddressesError, InvalidReason, NoEthertype, PortRange, text::TextError};
use thiserror::Error;

use super::{
    limits::{Limit, MAX_BYTES},
    place::Position,
    words::{Excerpt, Names, Near},
};

/// A problem of a document. Every message says what was found and what is allowed.
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
        /// The size of the file in bytes, as far as it was counted.
        size: u64,
        /// Whether counting stopped there.
        more: bool,
    },
    /// Bytes that are not UTF-8.
    #[error("byte {offset} is not UTF-8: save the document as UTF-8")]
    NotUtf8 {
        /// The offset of the first such byte, from 0.
        offset: usize,
    },
    /// A NUL byte.
    #[error("byte {offset} is NUL: a document is text")]
    Nul {
        /// The offset of the first such byte, from 0.
        offset: usize,
    },
    /// The document contains nothing but comments.
    #[error("the document is empty: a policy that protects nothing is written {{}}")]
    Empty,
    /// A second `---`.
    #[error("a second document begins: one file holds one policy, put the other in a file of its own")]
    SeveralDocuments,
    /// The YAML parser refuses the text.
    #[error("cannot be read as YAML: {message}")]
    Syntax {
        /// The parser's message, on one line.
        message: String,
    },
    /// Valid YAML that would take too much time or memory.
    #[error("too much for a policy: {0}")]
    TooComplex(
        /// The limit that was reached.
        Limit,
    ),
    /// A key occurs twice in one mapping.
    #[error("key {key} is there twice{}: write each key once", first.map(|at| format!(", first at {at}")).unwrap_or_default())]
    DuplicateKey {
        /// The key.
        key: Excerpt,
        /// Its first occurrence, if that was found.
        first: Option<Position>,
    },
    /// A number instead of a key, as in `{ ports: 22,80 }`.
    #[error("found {found} where a key belongs: quote it; a list of ports inside {{ }} is written \"22,80\"")]
    KeyNotText {
        /// The value found.
        found: Excerpt,
    },
    /// An unknown key.
    #[error("unknown key {key}{near}: allowed are {}", .allowed.join(", "))]
    UnknownKey {
        /// The key.
        key: Excerpt,
        /// The key that may be meant.
        near: Near,
        /// The valid keys.
        allowed: &'static [&'static str],
    },
    /// A required key is missing.
    #[error("{key} is missing: {allowed}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Its valid values.
        allowed: &'static str,
    },
    /// A value of the wrong kind or syntax.
    #[error("found {found}: {allowed}")]
    Unfit {
        /// The value found.
        found: Excerpt,
        /// The valid values, or what is meant.
        allowed: Cow<'static, str>,
    },
    /// A text or a name with characters that it must not contain.
    #[error("found {found}: {why}")]
    Text {
        /// The text found.
        found: Excerpt,
        /// What is wrong with it.
        why: TextError,
    },
    /// A word that is not one of the valid words.
    #[error("found {found}{near}: write {}", alternatives(.allowed))]
    NotOneOf {
        /// The word found.
        found: Excerpt,
        /// The word that may be meant.
        near: Near,
        /// The valid words.
        allowed: Vec<&'static str>,
    },
    /// Not a whole number within the range.
    #[error("found {found}: {what} is a whole number from {low} to {high}, without quotes")]
    NotInRange {
        /// The value found.
        found: Excerpt,
        /// What the number means.
        what: &'static str,
        /// The lowest valid value.
        low: u8,
        /// The highest valid value.
        high: u8,
    },
    /// A port above 65535, or not a number.
    #[error("found {found}: a port is a number from 0 to 65535")]
    NotAPort {
        /// The value found.
        found: Excerpt,
    },
    /// A range from high to low.
    #[error("found {found}: a range goes from low to high, write {range}")]
    Reversed {
        /// The range found.
        found: Excerpt,
        /// The range that may be meant.
        range: PortRange,
    },
    /// `{ group: …, prefix_list: … }`.
    #[error("found both group and prefix_list: a remote is one of the two: write each apart")]
    TwoRemotes,
    /// A range of addresses where a prefix belongs.
    #[error("found {found}: {}", in_cidrs(.prefixes, *.more))]
    AddressRange {
        /// The range found.
        found: Excerpt,
        /// The same addresses, as far as they are shown.
        prefixes: Vec<IpNet>,
        /// Whether more prefixes follow.
        more: bool,
    },
    /// A range of addresses in a prefix list that is none.
    #[error("{0}")]
    WrongRange(AddressesError),
    /// A netmask where the length of a prefix belongs.
    #[error("found {found}: the length of a prefix is a number, write {instead}")]
    Netmask {
        /// The prefix found.
        found: Excerpt,
        /// The same prefix, or with host bits the same address and length.
        instead: IpNet,
    },
    /// A prefix length that the family does not have.
    #[error("found {found}: the length of an {family} prefix is a number from 0 to {longest}")]
    PrefixLength {
        /// The prefix found.
        found: Excerpt,
        /// The family of the address.
        family: sg_model::FamilyName,
        /// The longest valid length, 32 or 128.
        longest: u8,
    },
    /// An IPv4-mapped IPv6 address, which no packet on the wire carries.
    #[error("found {found}, an IPv4-mapped IPv6 address, which no packet carries: write {instead}")]
    Mapped {
        /// The address found.
        found: Excerpt,
        /// The same address in IPv4.
        instead: String,
    },
    /// A probe that is no packet, or that is about no NIC of the policy.
    #[error("{why}")]
    Probe {
        /// What was found, and what is allowed.
        why: String,
    },
    /// A name that does not exist.
    #[error("no {what} is named {name}{near}{names}")]
    UnknownName {
        /// The kind of object.
        what: &'static str,
        /// The name found.
        name: Excerpt,
        /// The name that may be meant.
        near: Near,
        /// The existing names.
        names: Names,
    },
    /// A name that can be mistaken for another one.
    #[error(
        "{name} looks like {other}, the name of another {what} here: choose names that nobody takes for one another"
    )]
    Twin {
        /// The kind of object.
        what: &'static str,
        /// The name found.
        name: Excerpt,
        /// The other name.
        other: Excerpt,
    },
    /// An empty name.
    #[error("found an empty name: {0} needs a name of one character or more")]
    EmptyName(
        /// The kind of object that needs a name.
        &'static str,
    ),
    /// A device name that Linux does not accept.
    #[error("found {found}: a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..")]
    DeviceName {
        /// The name found.
        found: Excerpt,
    },
    /// An EtherType that no NIC may name.
    #[error("found {found}: {why}")]
    Ethertype {
        /// The value found.
        found: Excerpt,
        /// Why, and what to do.
        why: NoEthertype,
    },
    /// Ports or ICMP types for a protocol that has none.
    #[error("{key} belongs to {owners}, and the protocol here is {protocol}: leave it out")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The protocols that have it.
        owners: &'static str,
        /// The protocol of the rule.
        protocol: String,
    },
    /// An ICMP code without a type.
    #[error("a code means nothing without a type: write icmp_type too, or leave icmp_code out")]
    CodeWithoutType,
    /// A test that does not hold.
    #[error("this test fails: {0}")]
    FailingTest(
        /// What was expected, and a packet that gets something else.
        String,
    ),
    /// Well-formed, but not a valid policy.
    #[error("{0}")]
    Invalid(
        /// The error of the model.
        InvalidReason,
    ),
}

impl Problem {
    /// What was found, if the problem is about one value.
    pub(super) const fn found_mut(&mut self) -> Option<&mut Excerpt> {
        match self {
            Self::Unfit { found, .. }
            | Self::NotOneOf { found, .. }
            | Self::NotInRange { found, .. }
            | Self::NotAPort { found }
            | Self::KeyNotText { found }
            | Self::Ethertype { found, .. } => Some(found),
            _ => None,
        }
    }
}

/// What to write for a range.
fn in_cidrs(prefixes: &[IpNet], more: bool) -> String {
    let all: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    let all = all.join(", ");
    match prefixes.len() {
        1 => format!("write the range as {all}"),
        _ => format!(
            "only prefix lists have ranges: write it in one, or as CIDRs: {all}{}",
            if more { ", …" } else { "" }
        ),
    }
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}
