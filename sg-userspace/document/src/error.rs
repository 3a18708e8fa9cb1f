//! A problem of a document and its place.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use sg_model::Carrier;
use thiserror::Error;

use super::{
    place::{KeyPath, Position},
    problem::Problem,
    words::Excerpt,
};

/// Why a document is not a valid policy: every fault in it, a line each, displayed as
/// `policy.yaml:12:18: groups.web.ingress[0].ports: found "90-80": a range goes from low to high, write 80-90`.
#[derive(Debug, Error)]
pub struct DocumentError {
    /// The name of the document, usually that of its file.
    pub file: String,
    /// The faults: one or more, in the order of the document.
    pub faults: Vec<Fault>,
    /// Whether there may be more faults than these: nobody reads on.
    pub more: bool,
}

/// A fault of a document.
#[derive(Debug)]
pub struct Fault {
    /// The position; `None` if the whole file is meant.
    pub at: Option<Position>,
    /// The path of keys. Empty at the root, and if the text could not be parsed into a tree.
    pub path: KeyPath,
    /// What is wrong, and what would be right.
    pub problem: Box<Problem>,
    /// The line of the text. For people who can read the file: it is no part of the message. `None` if the text does not look
    /// like a policy, and may hold secrets.
    pub line: Option<SourceLine>,
}

/// A line of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The line; what cannot be seen is replaced, character by character.
    pub text: String,
    /// The number of characters that the fault is about, from its column on.
    pub length: usize,
}

impl DocumentError {
    /// A document with one fault.
    pub(super) fn one(file: String, at: Option<Position>, path: KeyPath, problem: Box<Problem>) -> Self {
        Self { file, faults: vec![Fault { at, path, problem, line: None }], more: false }
    }

    /// What is said where there are more faults than those listed.
    #[must_use]
    pub fn rest(&self) -> Option<String> {
        let (file, shown) = (&self.file, self.faults.len());
        self.more.then(|| format!("{file}: there may be more errors than these {shown}: correct them first"))
    }

    /// The line about one of the faults.
    #[must_use]
    pub fn line(&self, fault: &Fault) -> String {
        let Fault { at, path, problem, line: _ } = fault;
        format!("{}{problem}", place(&self.file, *at, path))
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.faults.iter().enumerate() {
            let end = if position == 0 { "" } else { "\n" };
            write!(f, "{end}{}", self.line(fault))?;
        }
        self.rest().map_or(Ok(()), |rest| write!(f, "\n{rest}"))
    }
}

/// Something in a valid document that may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name of the document.
    pub file: String,
    /// The position.
    pub at: Position,
    /// The path of keys.
    pub path: KeyPath,
    /// What may be wrong.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, path, notice } = self;
        write!(f, "{}{notice}", place(file, Some(*at), path))
    }
}

/// The message of a [`Warning`], displayed like an error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Notice {
    /// A CIDR with host bits.
    #[error("{written} has bits beyond its length: read as {read}")]
    HostBits {
        /// The CIDR as written.
        written: Excerpt,
        /// The prefix as understood.
        read: IpNet,
    },
    /// A guest for which the document names no addresses.
    #[error(
        "guest {device} has no addresses here, and the host end of its NIC rarely has them: name them; \
         until one is known, anti-spoofing is off unless anti_spoofing says true"
    )]
    GuestWithoutAddresses {
        /// The NIC's device.
        device: String,
    },
    /// A member that is ignored.
    #[error(
        "{address} is link-local: on every link somebody may have it, so it makes nobody a member; a rule may name it \
         as its remote"
    )]
    LinkLocalMember {
        /// The member's address.
        address: IpAddr,
    },
    /// A rule for a protocol number that no IPv6 packet has.
    #[error(
        "protocol {protocol} is an extension header of IPv6: this matches IPv4 packets only, those of IPv6 have the \
         protocol that stands behind it"
    )]
    ExtensionHeader {
        /// The protocol number.
        protocol: u8,
    },
    /// An EtherType whose frames carry other packets.
    #[error("{0}")]
    Carrier(
        /// The EtherType.
        Carrier,
    ),
    /// A test of which no packet is.
    #[error(
        "this test says nothing: no packet is of it, because no NIC holds its group, its group or list has no addresses, or \
         its addresses and protocol are of different families"
    )]
    IdleTest,
    /// A document without NICs.
    #[error("the document has no nics: nothing is protected")]
    NothingProtected,
    /// A rule that never decides a packet.
    #[error(
        "this rule never decides: rule {by} is asked first, matches all that this one matches, and {does}"
    )]
    NeverDecides {
        /// The id of the rule that decides in its place.
        by: Excerpt,
        /// What the other one does.
        does: Instead,
    },
    /// What lint finds about a rule.
    #[error("{0}")]
    Lint(
        /// In words.
        String,
    ),
    /// More rules than are compared with one another.
    #[error(
        "the document has more rules than are looked at for those that never decide: not all of them were"
    )]
    NotAllCompared,
    /// More warnings than anyone reads.
    #[error("{count} more warnings of this document are not shown")]
    More {
        /// The number of warnings not shown.
        count: usize,
    },
}

/// What a rule does that decides in place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Instead {
    /// Both have the same action.
    #[error("does the same")]
    Same,
    /// One drops, and the other rejects.
    #[error("lets nothing through either")]
    Neither,
    /// One accepts, and the other does not.
    #[error("does the opposite")]
    Opposite,
}

fn place(file: &str, at: Option<Position>, path: &KeyPath) -> String {
    let at = at.map(|at| format!("{at}:")).unwrap_or_default();
    let path = if path.0.is_empty() { String::new() } else { format!("{path}: ") };
    format!("{file}:{at} {path}")
}
