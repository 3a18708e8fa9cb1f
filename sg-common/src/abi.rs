//! The bytes in maps, and their version.
//!
//! Every type here, and those of [`flow`](crate::flow) and [`fragment`](crate::fragment) that stand in maps, is `repr(C)`,
//! integers only, padded by hand: the kernel and the agent may be of different builds, and a bit pattern that one writes
//! must mean something to the other. `sg-common/tests/abi.rs` fails when a layout changes and [`VERSION`] does not.
//! [`Settings`] alone stand in no map, but in the object that the agent brings along.

use crate::{flow::Timeouts, verdict::Reason};

/// The version of everything that stands in maps. Part of the path under which maps are pinned, so two versions
/// never share a map.
pub const VERSION: u32 = 6;

/// What one counter holds, on each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, with Ethernet headers.
    pub bytes: u64,
}

/// What the agent sets for every NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// In jiffies, see [`crate::flow::timeout_index`].
    pub timeouts: Timeouts,
    /// How long a datagram may wait for its next fragment, in jiffies.
    pub fragment_timeout: u32,
    /// The most answered flows of one NIC.
    pub flows_per_nic: u32,
    /// How far answers to rejected packets of one NIC are apart in the long run, in nanoseconds; zero: there are none.
    pub reject_interval: u32,
    /// By which peers are given budgets of answers, see [`crate::reject::Pace::peer`]: drawn at every start.
    pub peer_secret: [u32; 2],
    /// Jiffies a second.
    pub hertz: u32,
}

impl Settings {
    /// None yet.
    pub const NONE: Self = Self {
        timeouts: [0; 8],
        fragment_timeout: 0,
        flows_per_nic: 0,
        reject_interval: 0,
        peer_secret: [0; 2],
        hertz: 0,
    };
}

/// Devices with a lower number are found in an array, others in a hash.
pub const NEAR_DEVICES: u32 = 1 << 14;

/// Counters that a NIC has for itself: 32 for each direction, by [`crate::verdict::Reason`].
pub const NIC_COUNTERS: u32 = 64;

/// Counters below this number belong to the host: [`HOST_REASONS`], by [`host_counter`], and those of [`flows`].
pub const HOST_COUNTERS: u32 = 64;

/// Why a packet that belongs to no NIC is dropped. Which way it goes is not known.
pub const HOST_REASONS: [Reason; 4] =
    [Reason::NoNic, Reason::NoImage, Reason::ImageVersion, Reason::ImageFault];

/// The number of the host's counter for `reason`, one of [`HOST_REASONS`].
#[inline(always)]
#[must_use]
pub const fn host_counter(reason: Reason) -> u32 {
    reason as u32
}

/// Numbers of the host's counters that tell of the flow tables. In `packets` stands a number of flows.
pub mod flows {
    /// All of them. Layouts before 6 also had 56 to 58, for something else.
    pub const ALL: [u32; 3] = [EVICTED, ANSWERED, HALF_OPEN];
    /// Half-open flows that made room for others: counted by the program.
    pub const EVICTED: u32 = 59;
    /// How many answered flows the last sweep found: written by the agent.
    pub const ANSWERED: u32 = 60;
    /// How many others.
    pub const HALF_OPEN: u32 = 61;
}

/// The number of the counter for `reason` in `direction` of a NIC whose counters begin at `first`.
#[inline(always)]
#[must_use]
pub const fn reason_counter(first: u32, direction: crate::flow::Direction, reason: Reason) -> u32 {
    first + direction as u32 * 32 + reason as u32
}

/// No number of the host's counters means two things.
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
    assert!(size_of::<Settings>() == 56);
};

/// The one place that promises aya that these types are plain bytes.
#[cfg(feature = "user")]
mod pod {
    #![expect(unsafe_code, reason = "aya asks for the promise as an unsafe impl")]
    use super::{Counter, Settings};
    use crate::{
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
