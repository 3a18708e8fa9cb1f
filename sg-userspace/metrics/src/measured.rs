//! What is measured as it happens: how long policies, requests and passes of flow ageing take, and what was refused. Everything
//! else is read at a scrape. It must never wait. The agent and the APIs call it; `exposition` reads it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};
use sg_agent::{Measure, RefusalCause};
use sg_api::recording::Durations;
use sg_audit::Api;
use sg_kernel::LiveFlows;

/// Bounds in seconds. A policy takes milliseconds, or seconds with a hundred thousand members.
const APPLY: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// A pass over a full table of a million flows takes half a second.
const AGEING: [f64; 6] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];
/// There is one of these for each operation and code that occurs.
const REQUEST: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// The labels of a request's duration: all of them from tables, none from the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    api: &'static str,
    operation: String,
    code: u16,
}

/// Histograms of requests.
pub(crate) type Requests = Family<Request, Histogram, fn() -> Histogram>;

/// What was measured. Clones share it.
#[derive(Clone, Debug)]
pub struct Measured(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    apply: Histogram,
    ageing: Histogram,
    requests: Requests,
    refused: [AtomicU64; RefusalCause::ALL.len()],
    live: Mutex<Option<LiveFlows>>,
}

impl Default for Measured {
    fn default() -> Self {
        Self(Arc::new(Inner {
            apply: Histogram::new(APPLY),
            ageing: Histogram::new(AGEING),
            requests: Family::new_with_constructor(|| Histogram::new(REQUEST)),
            refused: RefusalCause::ALL.map(|_| AtomicU64::new(0)),
            live: Mutex::new(None),
        }))
    }
}

impl Measured {
    pub(crate) fn apply(&self) -> &Histogram {
        &self.0.apply
    }

    pub(crate) fn ageing(&self) -> &Histogram {
        &self.0.ageing
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// How many policies were refused, by cause.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (RefusalCause, u64)> {
        let counts = self.0.refused.iter().map(|count| count.load(Ordering::Relaxed));
        RefusalCause::ALL.into_iter().zip(counts)
    }

    /// The live flows, after the first pass.
    pub(crate) fn live(&self) -> Option<LiveFlows> {
        *self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Measure for Measured {
    fn applied(&self, took: Duration) {
        self.0.apply.observe(took.as_secs_f64());
    }

    fn refused(&self, cause: RefusalCause) {
        let mut counts = RefusalCause::ALL.iter().zip(&self.0.refused);
        if let Some((_, count)) = counts.find(|(found, _)| **found == cause) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn aged(&self, took: Duration, live: LiveFlows) {
        self.0.ageing.observe(took.as_secs_f64());
        *self.0.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }
}

impl Durations for Measured {
    fn took(&self, api: Api, operation: &str, status: u16, time: Duration) {
        let labels = Request { api: api.name(), operation: operation.to_owned(), code: status };
        self.0.requests.get_or_create(&labels).observe(time.as_secs_f64());
    }
}
