//! The arguments of observing traffic, and starting the observer. `run` and `serve` call it; it must never look at a record.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use clap::value_parser;
use sg_agent::{AgentOptions, InForceReader, TrafficReceiver, TrafficSender, traffic};
use sg_observe::{
    aggregate::Fields,
    filter::Filter,
    format::Format,
    history::Limits,
    options::{FlowLogOptions, Interval, RotationOption},
    sink::{Sinks, Target},
};
use sg_observer::{NicLabels, NoLabels, Observer, ObserverOptions, WithLabels};
use sg_service::Service;

/// How long the past is kept.
const AGE: Duration = Duration::from_mins(15);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Observing traffic")]
pub(super) struct ObserveArguments {
    /// Where to write a flow log. May be repeated.
    #[arg(
        long,
        value_name = "TARGET",
        help = "Write a flow log there: file:PATH, unix:PATH, ipfix+udp://HOST:PORT, ipfix+tcp://HOST:PORT. May be repeated"
    )]
    flow_log: Vec<Target>,
    /// Format of the flow log in files and sockets: native, alibaba, azure, aws, or aws:'${version} ${srcaddr} …'.
    #[arg(long, value_name = "FORMAT", default_value = "native")]
    flow_log_format: Format,
    /// How often flows that go on are reported: 10s to 600s.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    flow_log_interval: Interval,
    /// Which records are written, as KEY=VALUE with commas between: verdict=drop,port=443. Default: all.
    #[arg(long, value_name = "FILTER")]
    flow_log_filter: Option<Filter>,
    /// Sum records by these fields before they are written: remote/24,port.
    #[arg(long, value_name = "FIELDS")]
    flow_log_aggregate: Option<Fields>,
    /// When files of the flow log are rotated: size=100M,age=24h,keep=10, or some of these.
    #[arg(long, value_name = "WHEN", default_value = "size=100M,age=24h,keep=10")]
    flow_log_rotate: RotationOption,
    /// Memory for the records of the last 15 minutes, which `sgctl observe --since` reads; 0 keeps none.
    #[arg(long, value_name = "MiB", default_value = "64", value_parser = value_parser!(u32).range(0..=4096))]
    history: u32,
}

/// Everything that observing needs before the agent starts.
#[derive(Debug)]
pub(super) struct Prepared {
    options: ObserverOptions,
    news: TrafficReceiver,
}

impl ObserveArguments {
    /// Starts the sinks, and tells the agent that it is observed. `are_counted`: somebody wants sums of flows.
    pub(super) fn prepare(&self, options: &mut AgentOptions, are_counted: bool) -> Result<Prepared> {
        let Self {
            flow_log,
            flow_log_format,
            flow_log_interval,
            flow_log_filter,
            flow_log_aggregate,
            flow_log_rotate,
            history,
        } = self;
        let log = FlowLogOptions {
            sinks: flow_log.clone(),
            format: flow_log_format.clone(),
            interval: *flow_log_interval,
            filter: flow_log_filter.clone().unwrap_or_default(),
            aggregate: flow_log_aggregate.clone(),
            rotation: *flow_log_rotate,
        };
        let sinks = Sinks::start(&log, std::process::id())?;
        let flow_interval = flow_log_interval.duration();
        // Without anybody to keep, write or sum them, flows are not reported.
        let wants_flows = *history > 0 || !sinks.is_empty() || are_counted;
        let (sender, news): (TrafficSender, _) = traffic(wants_flows.then_some(flow_interval));
        options.traffic = Some(sender);
        let history = Limits { age: AGE, bytes: *history as usize * (1 << 20) };
        Ok(Prepared { options: ObserverOptions { history, flow_interval, sinks }, news })
    }
}

impl Prepared {
    /// Starts the observer, with names from `labels`.
    pub(super) fn start(self, in_force: InForceReader, labels: Option<StoredLabels>) -> Result<Observer> {
        let labels: Box<dyn WithLabels> = match labels {
            Some(labels) => Box::new(labels),
            None => Box::new(NoLabels),
        };
        Ok(Observer::start(self.options, self.news, in_force, labels)?)
    }
}

/// The labels of NICs in the store, once there is a service and as long as it is lent.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredLabels(Arc<Mutex<Option<Service>>>);

impl StoredLabels {
    /// Lends the service. It must be taken back before anybody waits for the last handle of it.
    pub(super) fn lend(&self, service: Option<Service>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = service;
    }
}

impl WithLabels for StoredLabels {
    fn labels(&self, device: &str) -> Option<NicLabels> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.snapshot();
        let nic = state.nic_of_device(device)?;
        Some(NicLabels {
            id: nic.id.to_string(),
            instance: nic.instance.as_ref().map(ToString::to_string),
            vpc: nic.vpc.as_ref().map(ToString::to_string),
        })
    }
}
