//! Every metric: its name, kind, labels and help. `exposition` writes no other, and `docs/use/metrics.md` has the same table. It
//! must never hold a value.

/// Which kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations, by their size.
    Histogram,
    /// It says something by its labels, and is always 1.
    Info,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name as queries have it, without the suffixes of a histogram.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl Metric {
    /// The name without the suffix of its kind, which the text gets from the kind.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }
}

macro_rules! table {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            pub(crate) const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )+

        /// All of them, in the order in which they are written.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

table! {
    BUILD: Info "sgd_build_info" ["version", "abi"] "Version of sgd, and of the layout of its maps.";
    PACKETS: Counter "sgd_packets_total" ["nic", "direction", "verdict"]
        "Packets of flows (accept) and packets that did not pass (drop, reject), since sgd started, as they are reported.";
    BYTES: Counter "sgd_bytes_total" ["nic", "direction", "verdict"] "The same in bytes, including Ethernet headers.";
    RULE_PACKETS: Counter "sgd_rule_packets_total" ["group", "rule", "direction", "action"]
        "Packets that a rule decided; rule intra-group: between members of the group.";
    RULE_BYTES: Counter "sgd_rule_bytes_total" ["group", "rule", "direction", "action"]
        "The same in bytes, including Ethernet headers.";
    RULE_LAST_HIT: Gauge "sgd_rule_last_hit_timestamp_seconds" ["group", "rule", "direction", "action"]
        "When a rule was seen to decide a packet last; without a series: not since it is observed.";
    RULES_NOT_EXPORTED: Gauge "sgd_rules_not_exported" [] "Rules without series, because there are more than --metrics-rules.";
    REASON_PACKETS: Counter "sgd_reason_packets_total" ["nic", "direction", "reason"]
        "Packets by what decided them, or what happened to them, where that is no rule; of no NIC: without nic and direction.";
    FLOWS: Gauge "sgd_flows" ["family", "state"] "Live flows, as the last pass of flow ageing found them.";
    FLOW_CAPACITY: Gauge "sgd_flow_capacity" ["family"] "The maximum number of established flows.";
    FLOW_FULL: Counter "sgd_flow_full_packets_total" ["nic", "why"]
        "Packets that were judged without storing their flow, because there was no room.";
    AGEING: Histogram "sgd_flow_ageing_duration_seconds" [] "Time spent on a pass of flow ageing.";
    GENERATION: Gauge "sgd_policy_generation" ["nic"] "The generation of the NIC's policy.";
    APPLIED: Gauge "sgd_policy_applied_timestamp_seconds" [] "When what is in force was put in force.";
    APPLY: Histogram "sgd_policy_apply_duration_seconds" [] "Time from a parsed policy to its being in force.";
    REFUSED: Counter "sgd_policy_refused_total" ["cause"] "Policies that were refused.";
    IMAGE_BYTES: Gauge "sgd_image_bytes" ["nic"] "Size of the NIC's image.";
    EVENTS_LOST: Counter "sgd_events_lost_total" ["where"] "What observing traffic has lost, by where; enforcement loses nothing.";
    FLOW_LOG_RECORDS: Counter "sgd_flow_log_records_total" ["sink"] "Records that a sink of the flow log delivered.";
    FLOW_LOG_LOST: Counter "sgd_flow_log_lost_total" ["sink", "why"] "Records that a sink of the flow log lost.";
    API_REQUEST: Histogram "sgd_api_request_duration_seconds" ["api", "operation", "code"]
        "Time from a request's head to the head of its response.";
    CPU: Counter "process_cpu_seconds_total" [] "Processor time, of user and system.";
    RESIDENT: Gauge "process_resident_memory_bytes" [] "Resident memory.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" [] "Virtual memory.";
    OPEN_FDS: Gauge "process_open_fds" [] "Open file descriptors.";
    MAX_FDS: Gauge "process_max_fds" [] "The maximum number of open file descriptors.";
    THREADS: Gauge "process_threads" [] "Threads.";
    START: Gauge "process_start_time_seconds" [] "When the process started.";
}
