//! How a datapath is loaded: where it pins, how it attaches, how large its tables are, and which option to change if the kernel
//! cannot make one. It must never ask or change anything of the host. Called by `datapath` and whoever loads one.

use std::path::PathBuf;

use aya::{EbpfError, maps::MapError};
use sg_common::{
    abi::{Settings, denied_spares},
    flow::{DEFAULT_TIMEOUTS_SECONDS, Timeouts, ticket_counts},
    fragment,
};

use super::{KernelError, attach::Attachment, order::TcxOrder};

/// The sizes of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of NICs.
    pub nics: u32,
    /// The maximum number of established flows of all NICs, for each key width; of half-open flows, three eighths as many.
    pub flows: u32,
    /// The number of counters: 64 for the host, 64 for each NIC, one for each rule, one for each group with inner access.
    pub counters: u32,
    /// The number of entries for packets that do not pass; zero counts none by who sent what.
    pub denied: u32,
}

impl Limits {
    /// The maximum number of half-open flows of all NICs, for each key width. A third of them is divided among the NICs, see
    /// [`sg_common::flow::Shares`]; the rest, shared by all, is a quarter of [`Self::flows`].
    #[must_use]
    pub const fn half_open(&self) -> u32 {
        self.closed() / 2 * 3
    }

    /// The number of closed TCP connections, for each key width: beyond it, the least recently used are evicted.
    const fn closed(&self) -> u32 {
        // Every CPU reserves some for itself (`LOCAL_FREE_TARGET`, kernel/bpf/bpf_lru_list.c).
        const LEAST: u32 = 1 << 10;
        if self.flows / 4 > LEAST { self.flows / 4 } else { LEAST }
    }
}

/// The one of the [`Limits`] that sizes a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Nics,
    /// Those in force, and those before the change that is to be confirmed.
    Images,
    Flows,
    HalfOpen,
    Closed,
    Tickets,
    Counters,
    /// What a candidate is asked, counted by NIC and rule.
    Asked,
    Denied,
    DeniedEntries,
}

/// The maps sized by a limit.
pub(super) const SIZED: [(&str, Size); 30] = [
    ("NIC_BY_IFINDEX_OVERFLOW", Size::Nics),
    ("NIC_FLOWS", Size::Nics),
    ("REJECT_BUDGET", Size::Nics),
    ("FILTERED_SINCE", Size::Nics),
    ("EXCHANGES", Size::Nics),
    ("IMAGES_64K", Size::Images),
    ("IMAGES_1M", Size::Images),
    ("IMAGES_16M", Size::Images),
    ("IMAGES_64M", Size::Images),
    ("CANDIDATES_64K", Size::Nics),
    ("CANDIDATES_1M", Size::Nics),
    ("CANDIDATES_16M", Size::Nics),
    ("CANDIDATES_64M", Size::Nics),
    ("CANDIDATE_ASKED", Size::Asked),
    ("FLOWS_V6", Size::Flows),
    ("FLOWS_V4", Size::Flows),
    ("HALF_OPEN_V6", Size::HalfOpen),
    ("HALF_OPEN_V4", Size::HalfOpen),
    ("PLACES_V6", Size::HalfOpen),
    ("PLACES_V4", Size::HalfOpen),
    ("TICKETS", Size::Tickets),
    ("CLOSED_V6", Size::Closed),
    ("CLOSED_V4", Size::Closed),
    ("COUNTERS", Size::Counters),
    ("DENIED_V6", Size::Denied),
    ("DENIED_V4", Size::Denied),
    ("DENIED_HINTS", Size::Denied),
    ("DENIED_FREE", Size::Denied),
    ("DENIED", Size::DeniedEntries),
    ("DENIED_NICS", Size::Nics),
];

impl Size {
    /// What sizes the map named `map`; `None` if its size is fixed.
    fn of(map: &str) -> Option<Self> {
        SIZED.into_iter().find_map(|(name, size)| (name == map).then_some(size))
    }

    /// The resulting number of entries.
    pub(super) const fn entries(self, limits: &Limits) -> u32 {
        match self {
            Self::Nics => limits.nics,
            Self::Images => limits.nics * 2,
            Self::Flows => limits.flows,
            Self::HalfOpen => limits.half_open(),
            Self::Closed => limits.closed(),
            Self::Tickets => ticket_counts(limits.nics),
            Self::Counters => limits.counters,
            // Two directions, three verdicts now and three then, and those of rules.
            Self::Asked => limits.nics * 18 + (1 << 15),
            // No map has none.
            Self::Denied => {
                if limits.denied == 0 {
                    1
                } else {
                    limits.denied
                }
            }
            Self::DeniedEntries => limits.denied + denied_spares(limits.nics),
        }
    }

    /// The remedy if the kernel cannot create a map of that size.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Nics | Self::Images | Self::Tickets | Self::Asked => {
                "start sgd with a smaller --max-nics, or give this host more memory"
            }
            Self::Flows | Self::HalfOpen | Self::Closed => {
                "start sgd with a smaller --max-flows, or give this host more memory"
            }
            Self::Counters => "start sgd with a smaller --max-counters, or give this host more memory",
            Self::Denied | Self::DeniedEntries => {
                "start sgd with a smaller --max-denied, or give this host more memory"
            }
        }
    }
}

/// Converts an error of making the maps, the larger of which have a configured size.
pub(super) fn maps_error(source: EbpfError) -> KernelError {
    match &source {
        EbpfError::MapError(MapError::CreateError { name, io_error })
            if matches!(io_error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM | libc::EINVAL)) =>
        {
            let remedy = Size::of(name).map_or("give this host more memory", Size::remedy);
            KernelError::Lacking {
                doing: format!("make the table {name}"),
                why: io_error.to_string(),
                remedy,
            }
        }
        _ => KernelError::call("make the tables")(source),
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { nics: 1024, flows: 1 << 18, counters: 1 << 17, denied: 1 << 16 }
    }
}

/// Options for loading a datapath.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory in bpffs where maps and links are pinned, so that the filter outlives the process. `None`: nothing is
    /// pinned, and everything ends with the process (`sgctl check`, tests).
    pub pins: Option<PathBuf>,
    /// Pins of the same instance that have another layout or cannot be continued; what they hold is replaced. `None`: there are
    /// no others than those in `pins`.
    pub older: Option<Vec<PathBuf>>,
    /// How programs are attached to devices.
    pub attachment: Attachment,
    /// The position among other TCX programs; `None`: last on first attach, unchanged on restart.
    pub order: Option<TcxOrder>,
    /// The program's own log level: 0 off, 1 error … 5 trace.
    pub log_level: u8,
    /// The sizes of tables; a pinned table keeps the size it was created with.
    pub limits: Limits,
    /// Timeouts and quotas of flows.
    pub flows: FlowOptions,
    /// How many rejects are sent.
    pub rejects: RejectRate,
}

impl Options {
    /// The settings that programs are loaded with; times are in jiffies, of which a second has `hertz`.
    pub(super) fn settings(&self, hertz: u32, peer_secret: [u32; 2]) -> Settings {
        let jiffies = |seconds: u32| seconds.saturating_mul(hertz);
        Settings {
            timeouts: self.flows.timeouts.map(jiffies),
            fragment_timeout: jiffies(fragment::TIMEOUT_SECONDS),
            flows_per_nic: self.flows.per_nic,
            reject_interval: self.rejects.interval(),
            peer_secret,
            hertz,
            denied_entries: self.limits.denied,
            previous_images: self.limits.nics,
        }
    }
}

/// The maximum number of rejects sent per NIC and second; after a pause up to 50 at once. Zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectRate(
    /// Rejects per second.
    pub u32,
);

impl Default for RejectRate {
    fn default() -> Self {
        Self(1_000)
    }
}

impl RejectRate {
    /// The interval between rejects in nanoseconds; zero if none are sent.
    fn interval(self) -> u32 {
        1_000_000_000_u32.checked_div(self.0).map_or(0, |interval| interval.max(1))
    }
}

/// Timeouts of flows, and their quota per NIC. Unlike the sizes of tables they may change from one start to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowOptions {
    /// How long flows may be idle, in seconds, see [`sg_common::flow::timeout_index`].
    pub timeouts: Timeouts,
    /// The maximum number of established flows of one NIC.
    pub per_nic: u32,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self { timeouts: DEFAULT_TIMEOUTS_SECONDS, per_nic: u32::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::SIZED;
    use crate::object::{OBJECT, has_programs};

    /// A name that no map has would be ignored silently. Names end with a zero in an object's string table.
    #[test]
    fn every_sized_map_is_in_the_object() {
        if !has_programs() {
            eprintln!(
                "skipped: this build has no eBPF programs (`cargo xtask setup` installs what builds them)"
            );
            return;
        }
        for (name, _) in SIZED {
            let name = format!("\0{name}\0");
            assert!(OBJECT.windows(name.len()).any(|window| window == name.as_bytes()), "{name:?}");
        }
    }
}
