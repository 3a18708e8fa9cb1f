//! The arguments of metrics, and their listener. `run` and `serve` call it; it must never know what a figure is.

use std::net::SocketAddr;

use anyhow::Result;
use sg_api::listen::{Exposure, ListenError, Listener};
use sg_inspect::last_hits::LastHits;
use sg_metrics::{Measured, NicIds, Sources};
use sg_observer::{Observer, WithLabels as _};

use crate::{lines, observe::StoredLabels};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub(super) struct MetricsArguments {
    /// Serve figures for Prometheus on this TCP address, at /metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Number of rules that have figures of their own; how many have none is a figure, too.
    #[arg(long, value_name = "N", default_value_t = sg_metrics::RULES, requires = "metrics")]
    metrics_rules: u32,
}

impl MetricsArguments {
    /// Whether there are to be any.
    pub(super) const fn are_wanted(&self) -> bool {
        self.metrics.is_some()
    }

    /// Listens, if there are to be any. Needs the runtime.
    pub(super) fn listen(&self, exposure: Exposure) -> Result<Option<Listener>, ListenError> {
        let Some(address) = self.metrics else { return Ok(None) };
        let listener = Listener::tcp(address, exposure, "--metrics")?;
        let address = listener.address().unwrap_or(address);
        lines::print(&format!("listening metrics=http://{address}/metrics"));
        Ok(Some(listener))
    }

    /// Where figures come from.
    pub(super) fn sources(
        &self,
        hits: &LastHits,
        observer: &Observer,
        measured: &Measured,
        labels: Option<StoredLabels>,
    ) -> Sources {
        let nic_ids: NicIds = match labels {
            Some(labels) => Box::new(move |device| Some(labels.labels(device)?.id)),
            None => Box::new(|_| None),
        };
        Sources {
            hits: hits.clone(),
            tally: observer.tally(),
            sinks: observer.sinks(),
            measured: measured.clone(),
            nic_ids,
            rules: self.metrics_rules,
        }
    }
}
