//! The bytes in maps, and their version.
//!
//! Every type here, and those of [`flow`](crate::flow) and [`fragment`](crate::fragment) that are in maps, is `repr(C)`, integers
//! only, padded by hand: kernel program and agent may be different builds, and every bit pattern that one writes must be valid
//! for the other. `sg-common/tests/abi.rs` fails when a layout changes and [`VERSION`] does not. Only [`Settings`] are in no map,
//! but in the object that the agent brings along.

use crate::{flow::Timeouts, verdict::Reason};

/// The version of everything in maps. Part of the path under which maps are pinned, so two versions never share a map.
pub const VERSION: u32 = 1;

/// Value of one counter on each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, including Ethernet headers.
    pub bytes: u64,
}

/// Settings of the agent for every NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Idle timeouts in jiffies, see [`crate::flow::timeout_index`].
    pub timeouts: Timeouts,
    /// Timeout for the next fragment of a datagram, in jiffies.
    pub fragment_timeout: u32,
    /// Maximum number of established flows per NIC.
    pub flows_per_nic: u32,
    /// Average interval between rejects of one NIC, in nanoseconds; zero disables rejects.
    pub reject_interval: u32,
    /// Secret that maps peers to their reject budgets, see [`crate::reject::RateLimit::peer`]: drawn at every start.
    pub peer_secret: [u32; 2],
    /// Jiffies per second.
    pub hertz: u32,
    /// Number of entries for packets that do not pass, without those of [`denied_spare`]; zero counts none.
    pub denied_entries: u32,
    /// The place of the first image before the change that is to be confirmed, behind those in force.
    pub previous_images: u32,
}

impl Settings {
    /// The initial value.
    pub const NONE: Self = Self {
        timeouts: [0; 8],
        fragment_timeout: 0,
        flows_per_nic: 0,
        reject_interval: 0,
        peer_secret: [0; 2],
        hertz: 0,
        denied_entries: 0,
        previous_images: 0,
    };
}

/// Devices with a lower index are looked up in an array, others in a hash map.
pub const NIC_BY_IFINDEX_LEN: u32 = 1 << 14;

/// Number of counters per NIC: 32 for each direction, by [`crate::verdict::Reason`].
pub const NIC_COUNTERS: u32 = 64;

/// Number of counters of the host, which come first: [`HOST_REASONS`], by [`host_counter`], and those of [`flows`].
pub const HOST_COUNTERS: u32 = 64;

/// Reasons to drop a packet that belongs to no NIC. Its direction is unknown.
pub const HOST_REASONS: [Reason; 4] =
    [Reason::NoNic, Reason::NoImage, Reason::ImageVersion, Reason::ImageFault];

/// The number of the host's counter for `reason`, one of [`HOST_REASONS`].
#[inline(always)]
#[must_use]
pub const fn host_counter(reason: Reason) -> u32 {
    reason as u32
}

/// Counters of the host for the flow tables. Their `packets` are flows.
pub mod flows {
    /// All of them.
    pub const ALL: [u32; 6] = [EVENTS_LOST, REPLACED, UNREAD, EVICTED, ESTABLISHED, HALF_OPEN];
    /// Events that found no room in their ring: counted by the program.
    pub const EVENTS_LOST: u32 = 56;
    /// Flows whose entry the program replaced or evicted, and whose last values it has sent to the agent: counted by the program.
    pub const REPLACED: u32 = 57;
    /// Likewise, and their last values are lost: the ring was full.
    pub const UNREAD: u32 = 58;
    /// Half-open flows evicted for others: counted by the program.
    pub const EVICTED: u32 = 59;
    /// Established flows found by the last ageing pass: written by the agent.
    pub const ESTABLISHED: u32 = 60;
    /// Half-open flows found by it.
    pub const HALF_OPEN: u32 = 61;
}

/// The number of the counter for `reason` in `direction`, for a NIC whose counters begin at `first`.
#[inline(always)]
#[must_use]
pub const fn reason_counter(first: u32, direction: crate::flow::Direction, reason: Reason) -> u32 {
    first + direction as u32 * 32 + reason as u32
}

/// Number of entries for packets that do not pass which need no name, behind the others: for when there is no other left.
#[must_use]
pub const fn denied_spares(nics: u32) -> u32 {
    1 + nics * 2
}

/// The index of the entry without a name for packets of NIC `slot` in `direction`, behind `named` others.
#[inline(always)]
#[must_use]
pub const fn denied_spare(named: u32, slot: u16, direction: crate::flow::Direction) -> u32 {
    named + 1 + slot as u32 * 2 + direction as u32
}

/// The same for packets of no NIC.
#[inline(always)]
#[must_use]
pub const fn denied_host(named: u32) -> u32 {
    named
}

/// Each of the host's counters has one meaning.
const _: () = {
    let mut taken = 0_u64;
    let mut at = 0;
    while at < HOST_REASONS.len() + flows::ALL.len() {
        let number = if at < HOST_REASONS.len() {
            host_counter(HOST_REASONS[at])
        } else {
            flows::ALL[at - HOST_REASONS.len()]
        };
        assert!(number < HOST_COUNTERS && taken & 1 << number == 0);
        taken |= 1 << number;
        at += 1;
    }
};

const _: () = {
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<Settings>() == 64);
};

/// The one place that promises aya that these types are plain bytes.
#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya asks for the promise as an unsafe impl")]
    use super::{Counter, Settings};
    use crate::{
        candidate::{DifferingEntry, DifferingKey},
        denied::{DeniedKey, DeniedKeyV4},
        event::{Event, ReplacedFlow, Watch},
        exchange::Exchanges,
        flow::{ClosedEntry, FlowEntry, FlowKey, FlowKeyV4, Shares},
        fragment::{FragmentEntry, FragmentKey},
    };

    // SAFETY: for this and the others: repr(C), integers only, no padding (sizes asserted above and in `flow`), so every
    // bit pattern is a value.
    unsafe impl aya::Pod for Counter {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for DifferingKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for DifferingEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for DeniedKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for DeniedKeyV4 {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Watch {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Event {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ReplacedFlow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Exchanges {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowKeyV4 {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ClosedEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Shares {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FragmentKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FragmentEntry {}
}
