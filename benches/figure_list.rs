//! Every family of figures: its unit and its targets, in the order of tables. `docs/design/performance.md` says what they mean.

use crate::report::Unit::{
    self, Bytes, Count, Megabits, Microseconds, Milliseconds, Nanoseconds, PacketsPerSecond, Ratio,
};

/// Figures with the same name before the `/`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The part of the names before the `/`.
    pub name: &'static str,
    /// The unit of the figures.
    pub unit: Unit,
    /// Targets for some of them, by the rest of the name ([`EVERY`]: for all), in the unit of the figure: a maximum, or a minimum
    /// ([`Unit::is_better_larger`]).
    targets: &'static [(&'static str, f64)],
}

/// In place of a name: every figure of the family.
const EVERY: &str = "*";

const fn family(name: &'static str, unit: Unit, targets: &'static [(&'static str, f64)]) -> Family {
    Family { name, unit, targets }
}

/// In the order of the layers: the host, a packet in the kernel, the whole path, changes, memory, a large host.
pub const FAMILIES: &[Family] = &[
    family("parse", Nanoseconds, &[]),
    family("lookup", Nanoseconds, &[]),
    family("lookup-ipv6", Nanoseconds, &[]),
    family("stage", Nanoseconds, &[]),
    family(
        "classify",
        Nanoseconds,
        &[("10", 15.0), ("1k", 25.0), ("10k", 35.0), ("100k", 70.0), ("1m", 250.0)],
    ),
    family("classify-ipv6", Nanoseconds, &[]),
    family("groups", Nanoseconds, &[("1", 25.0), ("5", 25.0), ("10", 25.0)]),
    family("deny", Nanoseconds, &[]),
    family("established", Nanoseconds, &[("16k", 60.0)]),
    family("established-ipv6", Nanoseconds, &[]),
    family("once", Nanoseconds, &[]),
    family("reject", Nanoseconds, &[]),
    family("counters", Nanoseconds, &[]),
    family("observe", Nanoseconds, &[("flow", 350.0), ("format-native", 1_000.0)]),
    family("observe-core", Milliseconds, &[("flow-log", 6.0), ("watch", 250.0)]),
    family("observe-lost", Count, &[("watch", 0.0)]),
    family("observe-rate", PacketsPerSecond, &[]),
    family("observe-kept", Ratio, &[("told", 0.999)]),
    family("observe-scrape", Milliseconds, &[("1k-rules", 20.0)]),
    family("observe-scrape-size", Bytes, &[("1k-rules", 2_000_000.0)]),
    family("verifier", Count, &[(EVERY, 100_000.0)]),
    family("path", Nanoseconds, &[]),
    family("path-again", Nanoseconds, &[]),
    family("path-known", Nanoseconds, &[]),
    family("path-denied", Nanoseconds, &[]),
    family("rate", PacketsPerSecond, &[]),
    family("bulk", Ratio, &[("filtered", 0.98), ("flow-log", 0.98)]),
    family("bulk-rate", Megabits, &[]),
    family("compile", Microseconds, &[("1k", 1_000.0), ("100k", 100_000.0)]),
    family("compile-rules", Microseconds, &[]),
    family("compile-prefixes", Microseconds, &[]),
    family("member-join", Microseconds, &[("100k", 5_000.0)]),
    family("publish", Microseconds, &[]),
    family("change", Microseconds, &[]),
    family("memory", Bytes, &[]),
    family("family-bytes", Bytes, &[]),
    family("family-compile", Microseconds, &[]),
    family(
        "diff",
        Milliseconds,
        &[("cloud-1k/100", 2.0), ("cloud-10k/100", 50.0), ("acl-10k/100", 1_500.0), ("fw-10k/100", 1_500.0)],
    ),
    family("nics-start", Milliseconds, &[]),
    family("nics-restart", Milliseconds, &[]),
    family("nics-change-one", Milliseconds, &[]),
    family("nics-change-all", Milliseconds, &[]),
    family("nics-detach", Milliseconds, &[]),
    family("nics-memory", Bytes, &[]),
    family("nics-agent", Bytes, &[]),
    family("store", Microseconds, &[]),
    family("service", Milliseconds, &[("start", 5_000.0)]),
    family("query", Milliseconds, &[(EVERY, 50.0)]),
    family("operation", Milliseconds, &[(EVERY, 100.0)]),
];

impl Family {
    /// The family of a figure.
    #[must_use]
    pub fn of(figure: &str) -> Option<&'static Self> {
        let name = figure.split('/').next()?;
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The target of a figure.
    #[must_use]
    pub fn target(&self, figure: &str) -> Option<f64> {
        let rest = figure.strip_prefix(self.name)?.strip_prefix('/')?;
        self.targets.iter().find(|(name, _)| *name == rest || *name == EVERY).map(|(_, target)| *target)
    }
}
