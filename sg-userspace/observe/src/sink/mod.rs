//! Where records go: files, unix sockets, IPFIX collectors.
//!
//! Each sink has a thread and a bounded queue: whoever offers records never waits, and what cannot be delivered is counted by
//! why. It must never decide what a record is. `sgd` starts the sinks, the observer offers records, metrics read the counters.

mod backlog;
mod counters;
mod delivery;
mod file;
mod interface;
mod ipfix;
mod target;
mod unix;

use std::sync::Arc;

use thiserror::Error;

pub use self::{
    counters::{Counted, Counters, Kind, LostBecause, Why},
    delivery::{Batch, Receipt},
    target::{Target, TargetError, Transport},
};
use self::{
    delivery::{Delivery, Work},
    file::FileSink,
    interface::Sink,
    ipfix::IpfixSink,
    unix::UnixSink,
};
use crate::{options::FlowLogOptions, record::Record};

/// Why the flow log could not begin.
#[derive(Debug, Error)]
pub enum SinkError {
    /// There is no thread for it.
    #[error("flow log: cannot start a thread for {target}: {source}")]
    Thread {
        /// The target.
        target: Target,
        /// The cause.
        source: std::io::Error,
    },
}

/// The sinks of a flow log. Dropping it delivers what can be delivered at once.
#[derive(Debug, Default)]
pub struct Sinks {
    deliveries: Vec<Delivery>,
}

impl Drop for Sinks {
    fn drop(&mut self) {
        // All at once: each may take its time.
        self.deliveries.iter_mut().for_each(Delivery::close);
    }
}

impl Sinks {
    /// Starts every sink of `options`. `domain` is the observation domain of IPFIX: several agents behind one address need
    /// different ones.
    ///
    /// # Errors
    /// There is no thread. Whether anything can be delivered shows later: it is logged, counted and tried again, and traffic is
    /// filtered all the same.
    pub fn start(options: &FlowLogOptions, domain: u32) -> Result<Self, SinkError> {
        let FlowLogOptions { sinks, format, interval, filter, aggregate, rotation } = options;
        let mut deliveries = Vec::new();
        for target in sinks {
            let counters = Arc::new(Counters::new(target));
            let shared = Arc::clone(&counters);
            let sink: Box<dyn Sink> = match target {
                Target::File(path) => {
                    Box::new(FileSink::new(path.clone(), rotation.rotation(), format.clone(), shared))
                }
                Target::Unix(path) => Box::new(UnixSink::new(path, format.clone(), shared)),
                Target::Ipfix { transport, host, port } => {
                    Box::new(IpfixSink::new(*transport, host, *port, domain, shared))
                }
            };
            let summed = aggregate.as_ref().map(|fields| (fields, interval.duration()));
            let delivery = Delivery::start(sink, filter.clone(), summed, counters);
            deliveries.push(delivery.map_err(|source| SinkError::Thread { target: target.clone(), source })?);
        }
        Ok(Self { deliveries })
    }

    /// Offers records to every sink. Never waits: a sink with a full queue loses them, and counts that. `receipt` is dropped once
    /// every sink has written the records, lost them, or keeps them to try again.
    pub fn offer(&self, batch: &Batch, receipt: Option<&Receipt>) {
        for delivery in &self.deliveries {
            delivery.offer(Work::Records(Arc::clone(batch), receipt.cloned()));
        }
    }

    /// Offers that the NIC of `interval` had no traffic between its start and end. Only formats that say so write it.
    pub fn offer_no_data(&self, interval: &Arc<Record>) {
        for delivery in &self.deliveries {
            delivery.offer(Work::NoData(Arc::clone(interval)));
        }
    }

    /// What every sink has delivered and lost.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        self.deliveries.iter().map(|delivery| delivery.counters().counted()).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

#[cfg(test)]
mod tests;
