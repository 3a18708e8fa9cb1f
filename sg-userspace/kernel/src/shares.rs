//! The places of half-open flows: how they are divided among NICs, and entering flows that the program did not. It must never
//! evict a flow: only the program does. Called by `datapath` and `takeover`.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
};
use sg_common::flow::{FlowKey, FlowKeyV4, Shares, Width, common_tickets};

use super::{KernelError, object::open};

/// The maps that hold the places.
pub(super) struct Places {
    shares: Array<MapData, Shares>,
    tickets: Array<MapData, u64>,
    wide: Array<MapData, FlowKey>,
    narrow: Array<MapData, FlowKeyV4>,
    /// Slots that have a share, as far as this run knows.
    slots: BTreeSet<u16>,
}

impl Places {
    /// Places of an earlier run stay divided as they were; new ones belong to one NIC until there are more.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut places = Self {
            shares: open(ebpf, "SHARES")?,
            tickets: open(ebpf, "TICKETS")?,
            wide: open(ebpf, "PLACES_V6")?,
            narrow: open(ebpf, "PLACES_V4")?,
            slots: BTreeSet::new(),
        };
        if places.shares()? == Shares::default() {
            places.divide(1)?;
        }
        Ok(places)
    }

    /// Gives NIC `slot` a share at once.
    pub(super) fn join(&mut self, slot: u16) -> Result<(), KernelError> {
        self.slots.insert(slot);
        self.divide_among_at_least(u32::from(slot) + 1)
    }

    /// NIC `slot` keeps its share until the next [`Self::settle`].
    pub(super) fn leave(&mut self, slot: u16) {
        self.slots.remove(&slot);
    }

    /// Gives the shares of NICs that left to the others.
    pub(super) fn settle(&mut self) -> Result<(), KernelError> {
        match self.slots.last() {
            Some(&last) => self.divide(u32::from(last) + 1),
            None => Ok(()),
        }
    }

    /// Divides the places among `nics` NICs. A flow whose place becomes another NIC's stays there until that NIC needs it, and
    /// then moves to a place of its own NIC.
    fn divide(&mut self, nics: u32) -> Result<(), KernelError> {
        let wanted = Shares::of(self.narrow.len(), nics);
        if self.shares()? == wanted {
            return Ok(());
        }
        self.shares.set(0, wanted, 0).map_err(failed)
    }

    /// The same, unless they are divided among as many or more.
    fn divide_among_at_least(&mut self, nics: u32) -> Result<(), KernelError> {
        if self.shares()?.each > Shares::of(self.narrow.len(), nics).each {
            self.divide(nics)
        } else {
            Ok(())
        }
    }

    /// How the places are divided.
    fn shares(&self) -> Result<Shares, KernelError> {
        self.shares.get(&0, 0).map_err(failed)
    }

    /// Assigns common places to half-open flows that were inserted into the tables. A flow that the program inserts at the same
    /// moment may get the same place; then one of the two stays until it expires.
    pub(super) fn enter(&mut self, flows: &[FlowKey]) -> Result<(), KernelError> {
        let common = self.shares()?.in_common();
        for width in [Width::Narrow, Width::Wide] {
            let count = common_tickets(width);
            let mut ticket = self.tickets.get(&count, 0).map_err(failed)?;
            let before = ticket;
            for key in flows.iter().filter(|key| key.width() == width) {
                let Some(place) = common.place(ticket) else { break };
                match width {
                    Width::Narrow => self.narrow.set(place, FlowKeyV4::of(key), 0),
                    Width::Wide => self.wide.set(place, key, 0),
                }
                .map_err(failed)?;
                ticket = ticket.wrapping_add(1);
            }
            if ticket != before {
                self.tickets.set(count, ticket, 0).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn failed(error: MapError) -> KernelError {
    KernelError::call("divide the room of half-open flows")(error)
}
