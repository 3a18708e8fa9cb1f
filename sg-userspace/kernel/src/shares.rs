//! The places of half-open flows: how they are divided among NICs, and entering flows that the program did not. It must never
//! evict a flow: only the program does. Called by `datapath`.

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
};
use sg_common::flow::{FlowKey, FlowKeyV4, Shares, Width, common_tickets};

use super::{KernelError, datapath::open};

/// The maps that hold the places.
pub(super) struct Places {
    shares: Array<MapData, Shares>,
    tickets: Array<MapData, u64>,
    wide: Array<MapData, FlowKey>,
    narrow: Array<MapData, FlowKeyV4>,
}

impl Places {
    /// Places of an earlier run stay divided as they were; new ones belong to one NIC until there are more.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut places = Self {
            shares: open(ebpf, "SHARES")?,
            tickets: open(ebpf, "TICKETS")?,
            wide: open(ebpf, "PLACES_V6")?,
            narrow: open(ebpf, "PLACES_V4")?,
        };
        if places.shares()? == Shares::default() {
            places.divide(1)?;
        }
        Ok(places)
    }

    /// Divides the places among `nics` NICs. A flow whose place becomes another NIC's stays there until that NIC needs it, and
    /// then moves to a place of its own NIC.
    pub(super) fn divide(&mut self, nics: u32) -> Result<(), KernelError> {
        let wanted = Shares::of(self.narrow.len(), nics);
        if self.shares()? == wanted {
            return Ok(());
        }
        self.shares.set(0, wanted, 0).map_err(failed)
    }

    /// The same, unless they are divided among as many or more.
    pub(super) fn divide_among_at_least(&mut self, nics: u32) -> Result<(), KernelError> {
        if self.shares()?.each > Shares::of(self.narrow.len(), nics).each {
            self.divide(nics)
        } else {
            Ok(())
        }
    }

    /// How the places are divided.
    pub(super) fn shares(&self) -> Result<Shares, KernelError> {
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
