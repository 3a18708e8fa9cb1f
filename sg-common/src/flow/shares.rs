//! Division of the room for half-open flows among NICs, and the places of flows in it. A flow first has a place in the ring
//! shared by all NICs; when a newer flow takes that, it moves to the ring of its own NIC, and is evicted when a newer flow takes
//! that place. So a NIC may use whatever room the others leave, and nobody else can take its own ring. It must never touch a map:
//! the datapath and the agent do.

use super::Width;

/// Division of the places for flows of one [`Width`]. In a map: 8 bytes, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Shares {
    /// Number of places in the common ring, which come first.
    pub common: u32,
    /// Number of places of each NIC's own ring, behind those, in the order of slots.
    pub each: u32,
}

impl Shares {
    /// Divides `places` among `nics` NICs, those with lower slots: two thirds in common, the rest in equal shares.
    #[must_use]
    pub const fn of(places: u32, nics: u32) -> Self {
        let common = places - places / 3;
        let nics = if nics == 0 { 1 } else { nics };
        let each = (places - common) / nics;
        Self { common, each: if each == 0 { 1 } else { each } }
    }

    /// The ring shared by all NICs.
    #[inline(always)]
    #[must_use]
    pub const fn in_common(&self) -> Line {
        Line { first: 0, places: self.common }
    }

    /// The ring of the NIC with this slot.
    #[inline(always)]
    #[must_use]
    pub const fn own(&self, nic: u16) -> Line {
        Line { first: self.common + nic as u32 * self.each, places: self.each }
    }
}

/// A ring of places, which flows take in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    first: u32,
    places: u32,
}

impl Line {
    /// The place of the flow that has drawn `ticket`; `None` if the agent has made no places yet.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, ticket: u64) -> Option<u32> {
        if self.places == 0 {
            return None;
        }
        Some(self.first + (ticket % self.places as u64) as u32)
    }
}

/// Index of the ticket counter of the common ring of a width. Tickets count from zero, one per place taken.
#[inline(always)]
#[must_use]
pub const fn common_tickets(width: Width) -> u32 {
    index(width)
}

/// Index of the ticket counter of a NIC's own ring.
#[inline(always)]
#[must_use]
pub const fn own_tickets(width: Width, nic: u16) -> u32 {
    (nic as u32 + 1) * WIDTHS + index(width)
}

/// Number of ticket counters for this many NICs.
#[must_use]
pub const fn ticket_counts(nics: u32) -> u32 {
    (nics + 1) * WIDTHS
}

const WIDTHS: u32 = 2;

#[inline(always)]
const fn index(width: Width) -> u32 {
    match width {
        Width::Narrow => 0,
        Width::Wide => 1,
    }
}

const _: () = assert!(size_of::<Shares>() == 8);
