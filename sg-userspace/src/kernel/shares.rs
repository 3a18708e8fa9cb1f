//! The places of half-open flows: how they are divided among NICs, and entering flows there that the program did not. It must
//! never evict a flow: the program alone does. Called by `datapath`.

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError},
};
use sg_common::flow::{FlowKey, FlowKeyV4, Shares, Width, common_tickets};

use super::{KernelError, datapath::open};

/// The maps that hold them.
pub(super) struct Places {
    shares: Array<MapData, Shares>,
    tickets: Array<MapData, u64>,
    wide: Array<MapData, FlowKey>,
    narrow: Array<MapData, FlowKeyV4>,
}

impl Places {
    /// Those of an earlier run go on as they were divided; new ones are one NIC's until there are more.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut places = Self {
            shares: open(ebpf, "SHARES")?,
            tickets: open(ebpf, "TICKETS")?,
            wide: open(ebpf, "PLACES")?,
            narrow: open(ebpf, "PLACES_16")?,
        };
        if places.shares()? == Shares::default() {
            places.divide(1)?;
        }
        Ok(places)
    }

    /// Divides them among `nics` NICs. Who stands in a place that becomes another NIC's stays there until that NIC needs it, and
    /// is given one of its own then.
    pub(super) fn divide(&mut self, nics: u32) -> Result<(), KernelError> {
        let wanted = Shares::of(self.narrow.len(), nics);
        if self.shares()? == wanted {
            return Ok(());
        }
        self.shares.set(0, wanted, 0).map_err(failed)
    }

    /// The same, where they are divided among fewer.
    pub(super) fn divide_among_at_least(&mut self, nics: u32) -> Result<(), KernelError> {
        if self.shares()?.each > Shares::of(self.narrow.len(), nics).each {
            self.divide(nics)
        } else {
            Ok(())
        }
    }

    /// How they are divided.
    pub(super) fn shares(&self) -> Result<Shares, KernelError> {
        self.shares.get(&0, 0).map_err(failed)
    }

    /// Gives half-open flows places in common, which were entered into the tables. A flow that the program enters at the same
    /// moment may be given the same one; then one of both stays until its time is over.
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
