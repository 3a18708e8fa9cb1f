//! What a datapath is loaded with: where it pins, how it is hooked, how much its tables hold. Nothing is done here.

use std::path::PathBuf;

use sg_common::flow::{DEFAULT_TIMEOUTS_SECONDS, Timeouts, ticket_counts};

use super::{attach::Attachment, order::TcxOrder};

/// How much the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// NICs.
    pub nics: u32,
    /// Flows of all NICs that were answered, with keys of each width, and three eighths as many that were not yet.
    pub flows: u32,
    /// Counters: 64 for the host, 64 a NIC, one a rule, one a group whose members may talk.
    pub counters: u32,
}

impl Limits {
    /// Half-open flows of all NICs, with keys of each width. A third of them is divided among the NICs, see
    /// [`sg_common::flow::Shares`]; the rest, in common, is a quarter of [`Self::flows`].
    #[must_use]
    pub const fn half_open(&self) -> u32 {
        self.closed() / 2 * 3
    }

    /// TCP connections that have ended, with keys of each width: beyond, the least recently used are forgotten.
    const fn closed(&self) -> u32 {
        // Every processor takes some for itself (`LOCAL_FREE_TARGET`, kernel/bpf/bpf_lru_list.c).
        const LEAST: u32 = 1 << 10;
        if self.flows / 4 > LEAST { self.flows / 4 } else { LEAST }
    }
}

/// Which of the [`Limits`] a map has its size from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Nics,
    Flows,
    HalfOpen,
    Closed,
    Tickets,
    Counters,
}

/// The maps that have their size from a limit.
pub(super) const SIZED: [(&str, Size); 19] = [
    ("FAR_NICS", Size::Nics),
    ("NIC_FLOWS", Size::Nics),
    ("REJECT_BUDGET", Size::Nics),
    ("FILTERED_SINCE", Size::Nics),
    ("EXCHANGES", Size::Nics),
    ("IMAGES_64K", Size::Nics),
    ("IMAGES_1M", Size::Nics),
    ("IMAGES_16M", Size::Nics),
    ("IMAGES_64M", Size::Nics),
    ("FLOWS", Size::Flows),
    ("FLOWS_16", Size::Flows),
    ("HALF_OPEN", Size::HalfOpen),
    ("HALF_OPEN_16", Size::HalfOpen),
    ("PLACES", Size::HalfOpen),
    ("PLACES_16", Size::HalfOpen),
    ("TICKETS", Size::Tickets),
    ("CLOSED", Size::Closed),
    ("CLOSED_16", Size::Closed),
    ("COUNTERS", Size::Counters),
];

impl Size {
    /// What the map named `map` has its size from; none where that is fixed.
    pub(super) fn of(map: &str) -> Option<Self> {
        SIZED.into_iter().find_map(|(name, size)| (name == map).then_some(size))
    }

    /// How many entries that makes.
    pub(super) const fn entries(self, limits: &Limits) -> u32 {
        match self {
            Self::Nics => limits.nics,
            Self::Flows => limits.flows,
            Self::HalfOpen => limits.half_open(),
            Self::Closed => limits.closed(),
            Self::Tickets => ticket_counts(limits.nics),
            Self::Counters => limits.counters,
        }
    }

    /// What to do where the kernel cannot make that many.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Nics | Self::Tickets => {
                "start sgd with a smaller --max-nics, or give this host more memory"
            }
            Self::Flows | Self::HalfOpen | Self::Closed => {
                "start sgd with a smaller --max-flows, or give this host more memory"
            }
            Self::Counters => "start sgd with a smaller --max-counters, or give this host more memory",
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { nics: 1024, flows: 1 << 18, counters: 1 << 17 }
    }
}

/// What a datapath is loaded with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory in bpffs where maps and links are pinned, so that the filter outlives the process. None:
    /// nothing is pinned and everything ends with the process (`sgctl check`, tests).
    pub pins: Option<PathBuf>,
    /// Pins of the same instance that are of another layout or cannot be continued: what they hold is replaced. None: nobody
    /// was there before, or what is in `pins` is all there is.
    pub older: Option<Vec<PathBuf>>,
    /// How programs are hooked into devices.
    pub attachment: Attachment,
    /// Where it runs among other TCX programs; none: after those that are there, and then where it is.
    pub order: Option<TcxOrder>,
    /// What the program itself logs: 0 off, 1 error … 5 trace.
    pub log_level: u8,
    /// How much the tables hold; a pinned table keeps the size it was made with.
    pub limits: Limits,
    /// How long flows are remembered, and how many.
    pub flows: FlowOptions,
    /// How many rejected packets are answered.
    pub rejects: RejectRate,
}

/// How many rejected packets of one NIC are answered in a second; after a pause up to 50 at once. Zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectRate(
    /// Answers in a second.
    pub u32,
);

impl Default for RejectRate {
    fn default() -> Self {
        Self(1_000)
    }
}

impl RejectRate {
    /// How far answers are apart, in nanoseconds; zero where there are none.
    pub(super) fn interval(self) -> u32 {
        1_000_000_000_u32.checked_div(self.0).map_or(0, |interval| interval.max(1))
    }
}

/// How long flows are remembered, and how many of one NIC. Unlike the sizes of tables they may change from one start
/// to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowOptions {
    /// How long a flow may be silent, in seconds, see [`sg_common::flow::timeout_index`].
    pub timeouts: Timeouts,
    /// The most answered flows of one NIC.
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
    use crate::kernel::datapath::OBJECT;

    /// A name that no map has would be passed over in silence. Names end with a zero in an object's table of them.
    #[test]
    fn every_sized_map_is_in_the_object() {
        for (name, _) in SIZED {
            let name = format!("\0{name}\0");
            assert!(OBJECT.windows(name.len()).any(|window| window == name.as_bytes()), "{name:?}");
        }
    }
}
