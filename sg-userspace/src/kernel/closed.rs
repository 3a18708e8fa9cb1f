//! The tables of TCP connections that have ended: what stands in the flow tables as closed moves here, where the oldest make
//! room. The program only reads them. It must never decide what is closed: the sweep asks `sg_common`.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData, MapError},
};
use sg_common::{
    flow::{ClosedEntry, FlowKey, NarrowKey},
    packet::Family,
};

use super::{
    KernelError,
    datapath::{absent_is_fine, open},
};

/// Their names.
pub(super) const TABLES: [&str; 2] = ["CLOSED", "CLOSED_16"];

/// The tables of both address families.
pub(super) struct Closed {
    wide: HashMap<MapData, FlowKey, ClosedEntry>,
    narrow: HashMap<MapData, NarrowKey, ClosedEntry>,
}

impl Closed {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let [wide, narrow] = TABLES;
        Ok(Self { wide: open(ebpf, wide)?, narrow: open(ebpf, narrow)? })
    }

    /// Remembers a connection that has ended.
    pub(super) fn enter(&mut self, key: &FlowKey, entry: &ClosedEntry) -> Result<(), KernelError> {
        match key.talk.family() {
            Family::V4 => self.narrow.insert(NarrowKey::of(key), entry, 0),
            Family::V6 => self.wide.insert(key, entry, 0),
        }
        .map_err(KernelError::call("enter a closed connection"))
    }

    /// Makes all of them older.
    pub(super) fn age(&mut self, jiffies: u64) -> Result<(), KernelError> {
        age(&mut self.wide, jiffies)
            .and_then(|()| age(&mut self.narrow, jiffies))
            .map_err(KernelError::call("enter a closed connection"))
    }

    /// Forgets those of NIC `slot`.
    pub(super) fn forget(&mut self, slot: u16) -> Result<(), KernelError> {
        forget(&mut self.wide, |key| key.talk.nic() == slot)
            .and_then(|()| forget(&mut self.narrow, |key| key.talk.nic() == slot))
            .map_err(KernelError::call("forget closed connections"))
    }
}

fn age<K: Pod>(table: &mut HashMap<MapData, K, ClosedEntry>, jiffies: u64) -> Result<(), MapError> {
    let all: Vec<(K, ClosedEntry)> = table.iter().collect::<Result<_, _>>()?;
    all.into_iter().try_for_each(|(key, mut entry)| {
        entry.last_seen = entry.last_seen.wrapping_sub(jiffies);
        table.insert(key, entry, 0)
    })
}

fn forget<K: Pod>(
    table: &mut HashMap<MapData, K, ClosedEntry>,
    which: impl Fn(&K) -> bool,
) -> Result<(), MapError> {
    let keys: Vec<K> = table.keys().collect::<Result<_, _>>()?;
    keys.iter().filter(|key| which(key)).try_for_each(|key| absent_is_fine(table.remove(key)))
}
