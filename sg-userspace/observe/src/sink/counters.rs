//! What a sink has delivered, and what it lost and why.
//!
//! Counts only grow. It must never hold a record or an address: kinds and causes are the labels of metrics. The sinks count,
//! metrics read.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::target::Target;
use crate::words::words;

words! {
    /// Kind of a sink.
    Kind, "sink" {
        /// A file.
        File = "file",
        /// A unix socket.
        Unix = "unix",
        /// An IPFIX collector.
        Ipfix = "ipfix",
    }
}

words! {
    /// Why records were lost.
    Why, "cause" {
        /// They came faster than the sink took them.
        QueueFull = "queue-full",
        /// The file could not be written for too long: the disk is full, or fails.
        Storage = "storage",
        /// The collector could not be reached, or did not read, for too long.
        Collector = "collector",
        /// The agent ended before they could be delivered.
        Ended = "ended",
    }
}

impl Why {
    /// As a `lost` record says it.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::QueueFull => "records came faster than the flow log was written",
            Self::Storage => "the flow log could not be written",
            Self::Collector => "the collector of the flow log did not take records",
            Self::Ended => "the agent ended",
        }
    }
}

/// Counts of a sink, shared with whoever reads them.
#[derive(Debug)]
pub struct Counters {
    kind: Kind,
    target: String,
    records: AtomicU64,
    bytes: AtomicU64,
    lost: [AtomicU64; Why::ALL.len()],
    /// What keeps it from delivering now.
    error: Mutex<Option<String>>,
}

/// Counts of a sink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its kind.
    pub sink: Kind,
    /// Where it delivers to, as `--flow-log` names it.
    pub target: String,
    /// Records that were delivered: to the kernel, for sockets.
    pub records: u64,
    /// Bytes that were delivered.
    pub bytes: u64,
    /// Records that were lost, for every cause.
    pub lost: Vec<LostBecause>,
    /// What keeps it from delivering now.
    pub error: Option<String>,
}

/// Records that were lost for one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBecause {
    /// The cause.
    pub why: Why,
    /// Records.
    pub records: u64,
}

impl Counters {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            kind: target.kind(),
            target: sg_model::text::escaped(&target.to_string()).into_owned(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lost: Why::ALL
                .iter()
                .map(|_| AtomicU64::new(0))
                .collect::<Vec<_>>()
                .try_into()
                .unwrap_or_default(),
            error: Mutex::new(None),
        }
    }

    pub(super) fn delivered(&self, records: u64, bytes: usize) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, records: u64, why: Why) {
        let cause = Why::ALL.iter().zip(&self.lost).find(|(cause, _)| **cause == why);
        if let Some((_, count)) = cause {
            count.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Says what keeps the sink from delivering, `None` that nothing does. The log is told when that changes.
    pub(super) fn fails(&self, error: Option<String>) {
        let mut now = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*now, &error) {
            (None, Some(error)) => tracing::warn!("flow log {}: {error}; it is tried again", self.target),
            (Some(_), None) => tracing::info!("flow log {}: records are delivered again", self.target),
            _ => {}
        }
        *now = error;
    }

    /// The counts.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let lost = Why::ALL.iter().zip(&self.lost);
        Counted {
            sink: self.kind,
            target: self.target.clone(),
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            lost: lost
                .map(|(why, count)| LostBecause { why: *why, records: count.load(Ordering::Relaxed) })
                .collect(),
            error: self.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
