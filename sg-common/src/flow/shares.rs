//! How the room of half-open flows is divided among NICs, and where in it a flow stands. Every half-open flow has a place in a
//! line that it is evicted by: first a place in the room that all NICs have in common, and when a newer flow takes that, one
//! in the share of its own NIC, where again a newer one takes it. So a NIC may use whatever room the others leave, and what it
//! keeps of its last half-open flows nobody else can take. It must never touch a map: the datapath and the agent do.

use super::Width;

/// How the places of flows of one [`Width`] are divided. In a map: 8 bytes, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Shares {
    /// Places that all NICs have in common, from the first one on.
    pub common: u32,
    /// Places behind them that each NIC has for itself, in the order of slots.
    pub each: u32,
}

impl Shares {
    /// Divides `places` among `nics` NICs, those with the slots below that: two thirds in common, the rest by equal shares.
    #[must_use]
    pub const fn of(places: u32, nics: u32) -> Self {
        let common = places - places / 3;
        let nics = if nics == 0 { 1 } else { nics };
        let each = (places - common) / nics;
        Self { common, each: if each == 0 { 1 } else { each } }
    }

    /// The places in common.
    #[inline(always)]
    #[must_use]
    pub const fn in_common(&self) -> Line {
        Line { first: 0, places: self.common }
    }

    /// Those of the NIC with this slot.
    #[inline(always)]
    #[must_use]
    pub const fn own(&self, nic: u16) -> Line {
        Line { first: self.common + nic as u32 * self.each, places: self.each }
    }
}

/// Places that flows take one after the other, and after the last one the first one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    first: u32,
    places: u32,
}

impl Line {
    /// The place of the flow that has drawn `ticket`; none where the agent has made no places yet.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, ticket: u64) -> Option<u32> {
        if self.places == 0 {
            return None;
        }
        Some(self.first + (ticket % self.places as u64) as u32)
    }
}

/// Which count of tickets the places in common of a width have. Tickets are drawn from zero on, one a place.
#[inline(always)]
#[must_use]
pub const fn common_tickets(width: Width) -> u32 {
    index(width)
}

/// Which one the share of a NIC has.
#[inline(always)]
#[must_use]
pub const fn own_tickets(width: Width, nic: u16) -> u32 {
    (nic as u32 + 1) * WIDTHS + index(width)
}

/// How many counts of tickets there are for so many NICs.
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
