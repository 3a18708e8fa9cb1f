//! What happened: the result of a reconciliation, and the lines on stdout that people and tests wait for. One line is one event,
//! the event's name first; fields are only ever added. Full errors go to the log on stderr. It must never decide what to report:
//! `agent` and `execute` fill reports in, `lifecycle` prints them.

use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use sg_kernel::Lasts;

use crate::error::AgentError;

/// The result of one reconciliation.
#[derive(Debug, Default)]
pub struct Report {
    /// What happened, to be printed.
    pub(crate) lines: Vec<StatusEvent>,
    /// Warnings about what may seem to be filtered and is not.
    pub(crate) warnings: Vec<String>,
    /// What failed, and is retried.
    pub errors: Vec<AgentError>,
    /// The number of published images.
    pub published: usize,
}

/// An event to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatusEvent {
    /// Every NIC whose device exists is attached and enforcing. Printed once.
    Ready { instance: String, nics: usize, attached: usize, pinned: Lasts },
    /// A change is in force.
    Applied { cause: &'static str, nics: usize, published: usize },
    /// A document was refused; the policy before it stays in force.
    Refused { path: PathBuf, reason: String },
    /// The program was attached to a device.
    Attached { device: String },
    /// A NIC of the policy has no device yet.
    Waiting { device: String },
    /// A device disappeared.
    Gone { device: String },
    /// A NIC left the policy.
    Detached { device: String },
    /// A change is in force until then, unless it is confirmed.
    Pending { id: u32, deadline: Timestamp },
    /// A change was confirmed.
    Confirmed { id: u32 },
    /// A change was taken back; its id, if it is known.
    Reverted { id: Option<u32>, cause: &'static str },
    /// A candidate is asked beside the policy in force; also after a change of either.
    CandidateSet { nics: usize },
    /// It is not any more.
    CandidateDropped { cause: &'static str },
    /// It is in force.
    CandidatePromoted { nics: usize },
}

impl fmt::Display for StatusEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { instance, nics, attached, pinned } => {
                let pinned = pinned.name();
                write!(f, "ready instance={instance} nics={nics} attached={attached} pinned={pinned}")
            }
            Self::Applied { cause, nics, published } => {
                write!(f, "applied cause={cause} nics={nics} published={published}")
            }
            Self::Refused { path, reason } => {
                let (path, reason) = (path.display().to_string(), reason.lines().next().unwrap_or_default());
                if reason.starts_with(&path) {
                    write!(f, "refused {reason}")
                } else {
                    write!(f, "refused {path}: {reason}")
                }
            }
            Self::Attached { device } => write!(f, "attached {device}"),
            Self::Waiting { device } => write!(f, "waiting for {device}"),
            Self::Gone { device } => write!(f, "gone {device}"),
            Self::Detached { device } => write!(f, "detached {device}"),
            Self::Pending { id, deadline } => write!(f, "pending id={id} deadline={deadline:.0}"),
            Self::Confirmed { id } => write!(f, "confirmed id={id}"),
            Self::Reverted { id: Some(id), cause } => write!(f, "reverted id={id} cause={cause}"),
            Self::Reverted { id: None, cause } => write!(f, "reverted cause={cause}"),
            Self::CandidateSet { nics } => write!(f, "candidate-set nics={nics}"),
            Self::CandidateDropped { cause } => write!(f, "candidate-dropped cause={cause}"),
            Self::CandidatePromoted { nics } => write!(f, "candidate-promoted nics={nics}"),
        }
    }
}

/// Prints a line and flushes. A closed stdout is no reason to stop filtering.
pub(crate) fn emit(line: &StatusEvent) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("stdout is closed: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line() {
        let line =
            StatusEvent::Refused { path: "p.yaml".into(), reason: "3:5: no such group\n  |\n3 | …".into() };
        assert_eq!(line.to_string(), "refused p.yaml: 3:5: no such group");
        let line = StatusEvent::Refused { path: "p.yaml".into(), reason: "p.yaml:3:5: no such group".into() };
        assert_eq!(line.to_string(), "refused p.yaml:3:5: no such group");
    }
}
