//! What lint finds about a rule, and its words for people. It must never look for anything. `lint` and `open` make findings;
//! `sg-service` and `sgctl` show them.

use std::fmt;

use serde::Serialize;
use sg_common::verdict::Verdict;
use sg_model::{Action, Direction, Family, RuleIndex};

use super::{decider::By, words::Called};

/// What is found about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding<'a> {
    /// The direction of the rule.
    pub direction: Direction,
    /// Its group.
    pub group: &'a str,
    /// Its id.
    pub rule: &'a str,
    /// Where it is in the policy.
    pub index: RuleIndex,
    /// What it does.
    pub action: Action,
    /// What is found.
    pub what: What<'a>,
}

/// What decides packets in place of a rule, and how.
pub(super) type Instead<'a> = (By<'a>, Verdict);

/// What lint finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// The rule decides no packet. One that comes earlier matches all of them, or these decide them, in order. None if there was no
    /// time to find out which.
    Covered(Vec<Instead<'a>>),
    /// It decides packets, and without it these, which come later, would do the same with every one of them. In order.
    Dispensable(Vec<Instead<'a>>),
    /// It lets many addresses in.
    Open(Reachable<'a>),
    /// There was no time to find out.
    Undecided,
}

/// Who may connect to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable<'a> {
    /// The family of the addresses.
    pub family: Family,
    /// How many public addresses; `None`: all of them.
    pub addresses: Option<u128>,
    /// What: administration and data services; none is every port.
    pub services: Vec<&'static str>,
    /// Other rules that let these addresses in together with this one, which alone lets in fewer.
    pub with: Vec<By<'a>>,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The rule lets many addresses in.
    OverOpen,
    /// It decides nothing: the opposite happens to packets that it matches.
    Shadowed,
    /// Everything is judged alike without it.
    Redundant,
    /// There was no time to find out.
    Undecided,
}

/// So many rules are named in words.
const NAMED: usize = 3;

impl<'a> Finding<'a> {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.what {
            What::Covered(_) if self.is_opposite() => Kind::Shadowed,
            What::Covered(_) | What::Dispensable(_) => Kind::Redundant,
            What::Open(_) => Kind::OverOpen,
            What::Undecided => Kind::Undecided,
        }
    }

    /// The rules that decide in its place, or that let addresses in together with it.
    pub fn others(&self) -> impl Iterator<Item = By<'a>> {
        let (instead, with) = match &self.what {
            What::Covered(by) | What::Dispensable(by) => (by.as_slice(), &[][..]),
            What::Open(reachable) => (&[][..], reachable.with.as_slice()),
            What::Undecided => (&[][..], &[][..]),
        };
        instead.iter().map(|(by, _)| *by).chain(with.iter().copied())
    }

    /// Whether what decides in its place lets packets through that it does not, or the other way round.
    #[must_use]
    pub fn is_opposite(&self) -> bool {
        let accepts = self.action == Action::Accept;
        matches!(&self.what, What::Covered(by) if by.is_empty() || by.iter().any(|(_, verdict)| (*verdict == Verdict::Accept) != accepts))
    }

    /// What is found, in words for people, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        match &self.what {
            What::Covered(by) if by.is_empty() => {
                "this rule never decides: earlier ones match all that it matches; there was no time to find out which"
                    .to_owned()
            }
            What::Covered(by) => {
                let is_same = by.iter().all(|(_, verdict)| *verdict == Verdict::from(self.action));
                let (matches, does) = match (by.len() == 1, self.is_opposite(), is_same) {
                    (true, true, _) => ("is asked first, matches", "does the opposite"),
                    (true, false, true) => ("is asked first, matches", "does the same"),
                    (true, false, false) => ("is asked first, matches", "lets nothing through either"),
                    (false, true, _) => ("are asked first, match", "do the opposite with some of it"),
                    (false, false, true) => ("are asked first, match", "do the same"),
                    (false, false, false) => ("are asked first, match", "let nothing through either"),
                };
                format!("this rule never decides: {} {matches} all that this one matches, and {does}", names(by, called))
            }
            What::Dispensable(by) => {
                format!("this rule is not needed: without it, {} would do the same with every packet that it decides", names(by, called))
            }
            What::Open(reachable) => {
                let with: Vec<_> = reachable.with.iter().map(|by| (*by, Verdict::Accept)).collect();
                let with =
                    if with.is_empty() { String::new() } else { format!(", together with {}", names(&with, called)) };
                format!("{reachable}{with}")
            }
            What::Undecided => {
                "there was no time to find out whether this rule decides any packet and how many addresses it lets in".to_owned()
            }
        }
    }
}

fn names(by: &[Instead<'_>], called: Called<'_>) -> String {
    let names: Vec<String> = by.iter().take(NAMED).map(|(by, _)| by.words(called)).collect();
    match by.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

impl fmt::Display for Reachable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, addresses, services, with: _ } = self;
        match (addresses, family) {
            (None, _) => f.write_str("everybody")?,
            (Some(number), Family::V4) => write!(f, "{number} public IPv4 addresses")?,
            (Some(number), Family::V6) => write!(f, "at least 2^{} public IPv6 addresses", number.ilog2())?,
        }
        f.write_str(" may connect to ")?;
        if services.is_empty() { f.write_str("every port") } else { f.write_str(&services.join(", ")) }
    }
}
