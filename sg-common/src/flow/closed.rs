//! TCP connections without a flow entry: closed ones, of which only the first packet is kept, and unknown ones that are
//! first seen mid-stream and may be taken over. The datapath calls this for a segment that is no SYN and belongs to no known
//! flow; the agent's ageing pass creates the entries. It must never look at rules.

use super::{First, FlowEntry, Timeouts, flags};
use crate::clock::elapsed;

/// Entry of a closed connection. Without it, a late segment would belong to no connection, and the side that did not open the
/// connection might open it anew. The table is an LRU: an evicted connection is unknown. 16 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ClosedEntry {
    /// Time of the last packet that passed, or of the deletion, in jiffies.
    pub last_seen: u64,
    /// The [`First`] packet, as a word, with the bits below.
    pub began: u64,
}

/// How a connection without a flow entry began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// With this packet; and whether the rules of both directions must accept it, see [`flags::EITHER_WAY`].
    With(First, bool),
    /// Irrelevant: an operator deleted the connection, whatever the rules say.
    Deleted,
}

impl ClosedEntry {
    /// The entry of a closed flow.
    #[must_use]
    pub const fn of(entry: &FlowEntry) -> Self {
        let either = if entry.status & flags::EITHER_WAY == 0 { 0 } else { EITHER_WAY };
        Self { last_seen: entry.last_seen, began: entry.first.word() | either }
    }

    /// The entry of a connection that is deleted `now`, although the rules accept it. Remembered from now on, however long it was
    /// idle before.
    #[must_use]
    pub const fn deleted(now: u64) -> Self {
        Self { last_seen: now, began: DELETED }
    }

    /// How the connection began, or `None` once an established connection would have expired too.
    #[inline(always)]
    #[must_use]
    pub const fn began(&self, timeouts: &Timeouts, now: u64) -> Option<Began> {
        if elapsed(now, self.last_seen) > timeouts[ESTABLISHED] as u64 {
            return None;
        }
        if self.began & DELETED != 0 {
            return Some(Began::Deleted);
        }
        Some(Began::With(First::from_word(self.began), self.began & EITHER_WAY != 0))
    }
}

// Bits of `ClosedEntry::began`.
const EITHER_WAY: u64 = 2;
const DELETED: u64 = 4;

/// Value of [`header::TAKEOVER`](crate::image::header::TAKEOVER) for a takeover period that never ends.
pub const FOREVER: u32 = u32::MAX;

/// Value of the same word for a period as long as the timeout of established connections.
pub const AS_ESTABLISHED: u32 = u32::MAX - 1;

/// Whether an unknown connection may be taken over by the rules of one direction only: for `takeover` seconds of `hertz` jiffies
/// after its NIC was first filtered at `since`, which is zero if unknown. Later, an unknown connection has been idle for that
/// long, or its rule is gone.
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

/// Index of the timeout of established TCP connections in [`Timeouts`].
const ESTABLISHED: usize = 1;

const _: () = assert!(size_of::<ClosedEntry>() == 16 && First::WORD & (EITHER_WAY | DELETED) == 0);
