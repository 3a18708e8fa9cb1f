//! Figures for Prometheus: what the kernel counts, what the agent measures, what observing traffic lost; as `OpenMetrics` 1.0 or as
//! text 0.0.4, on a listener of its own.
//!
//! ```text
//! counters in the kernel, what is in force, sums of records ── read at each scrape ──► sample ─┐
//! agent, APIs ── durations, refusals ──► measured ─────────────────────────────────────────────┼─► exposition ─► /metrics
//! /proc/self ──────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`table`] | every metric: its name, kind, labels and help |
//! | `labels` | what may be the value of a label |
//! | `measured` | what is measured as it happens |
//! | `sample` | what is read at a scrape |
//! | `exposition` | a sample as text |
//! | `process` | the process itself |
//! | `http` | the requests |
//!
//! It must never change what it reads, nor make the agent or a packet wait. `sgd` starts it.

mod exposition;
mod http;
mod labels;
mod measured;
mod process;
mod sample;
pub mod table;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use sg_inspect::{InspectError, last_hits::LastHits};
use sg_observe::sink::Sinks;
use sg_observer::Tally;
use thiserror::Error;

pub use http::{limits, router};
pub use measured::Measured;

/// The number of rules whose series are exported unless somebody says otherwise.
pub const RULES: u32 = 2_000;

/// The id of the NIC of a device, if a store has one.
pub type NicIds = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where figures come from.
pub struct Sources {
    /// What is in force, its counters, and when they moved.
    pub hits: LastHits,
    /// What observing traffic has counted.
    pub tally: Arc<Tally>,
    /// The sinks of the flow log.
    pub sinks: Arc<Sinks>,
    /// What was measured.
    pub measured: Measured,
    /// Ids of NICs.
    pub nic_ids: NicIds,
    /// How many rules have series at most.
    pub rules: u32,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The form of what is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' text format, version 0.0.4.
    Text,
}

impl Format {
    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_client::encoding::prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The counters cannot be read.
    #[error(transparent)]
    Counters(InspectError),
    /// They cannot be written as text.
    #[error("the figures cannot be written: {0}")]
    Text(#[from] fmt::Error),
}

/// The figures of this moment, in the given form. It reads as many counters as there are rules and NICs, so it takes milliseconds.
///
/// # Errors
/// If the counters cannot be read. Before anything is in force, the figures of the process are all there is.
pub fn scrape(sources: &Sources, format: Format) -> Result<String, MetricsError> {
    let sample = sample::take(sources)?;
    exposition::text(sample, &sources.measured, format)
}
