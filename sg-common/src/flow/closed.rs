//! TCP connections that nobody has an entry of: those that have ended, of which only the original direction is remembered, and
//! those that are seen from their middle, which somebody may take over. The datapath asks here for a segment that is no SYN
//! and of no known flow; the agent's sweep makes the entries. It must never look at rules.

use super::{Direction, FlowEntry, Timeouts, flags};
use crate::clock::elapsed;

/// What is remembered of a connection that has ended. Without it a segment that comes late would be of nobody, and the end
/// that did not open the connection might open it anew. The table is an LRU: a connection that made room is of nobody.
/// 16 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ClosedEntry {
    /// When the last packet passed, or the connection was deleted, in jiffies.
    pub last_seen: u64,
    /// The [`Direction`] of the first packet, as a number, with the bits below.
    pub began: u64,
}

/// How a connection began that nobody has an entry of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// In this direction; and whether the rules of both must accept it, see [`flags::EITHER_WAY`].
    Way(Direction, bool),
    /// That does not matter any more: somebody who may do so ended it, whatever the rules say.
    Deleted,
}

impl ClosedEntry {
    /// Of a connection that has ended.
    #[must_use]
    pub const fn of(entry: &FlowEntry) -> Self {
        let either = if entry.flags & flags::EITHER_WAY == 0 { 0 } else { EITHER_WAY };
        Self { last_seen: entry.last_seen, began: entry.direction as u64 | either }
    }

    /// Of one that is ended `now`, although the rules accept it. That is remembered from now on, however long it had been silent.
    #[must_use]
    pub const fn deleted(now: u64) -> Self {
        Self { last_seen: now, began: DELETED }
    }

    /// How it began: for as long as an established connection would be known.
    #[inline(always)]
    #[must_use]
    pub const fn began(&self, timeouts: &Timeouts, now: u64) -> Option<Began> {
        if elapsed(now, self.last_seen) > timeouts[ESTABLISHED] as u64 {
            return None;
        }
        if self.began & DELETED != 0 {
            return Some(Began::Deleted);
        }
        Some(Began::Way(Direction::of(self.began & 1), self.began & EITHER_WAY != 0))
    }
}

// In `ClosedEntry::began`.
const EITHER_WAY: u64 = 2;
const DELETED: u64 = 4;

/// A time of takeover that never ends, in [`header::TAKEOVER`](crate::image::header::TAKEOVER).
pub const FOREVER: u32 = u32::MAX;

/// One as long as an established connection may be silent, likewise.
pub const AS_ESTABLISHED: u32 = u32::MAX - 1;

/// Whether a connection that nobody knows may be taken over by the rules of one direction only: for `takeover` seconds of
/// `hertz` jiffies after its NIC was first filtered at `since`, which is zero where nobody can tell. Later, one that
/// nobody knows has been silent for so long, or its rule is gone.
#[inline(always)]
#[must_use]
pub const fn takes_over(takeover: u32, timeouts: &Timeouts, hertz: u32, since: u64, now: u64) -> bool {
    let time = match takeover {
        FOREVER => return true,
        AS_ESTABLISHED => timeouts[ESTABLISHED] as u64,
        seconds => seconds as u64 * hertz as u64,
    };
    since != 0 && elapsed(now, since) <= time
}

/// The time of established TCP connections among [`Timeouts`].
const ESTABLISHED: usize = 1;

const _: () = assert!(size_of::<ClosedEntry>() == 16);
