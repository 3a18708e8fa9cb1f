//! The tables of closed TCP connections: entries that are closed in the flow tables move here, where the least recently used are
//! evicted. The program only reads them. It must never decide what is closed: `ageing` asks `sg_common`.

use std::path::Path;

use aya::{
    Ebpf, Pod,
    maps::{HashMap, Map, MapData, MapError},
};
use sg_common::flow::{ClosedEntry, FlowKey, FlowKeyV4, Width};

use super::{KernelError, error::absent_is_fine, object::open};

/// The map names.
pub(super) const TABLES: [&str; 2] = ["CLOSED_V6", "CLOSED_V4"];

/// The tables of both key widths.
pub(super) struct Closed {
    wide: HashMap<MapData, FlowKey, ClosedEntry>,
    narrow: HashMap<MapData, FlowKeyV4, ClosedEntry>,
}

impl Closed {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let [wide, narrow] = TABLES;
        Ok(Self { wide: open(ebpf, wide)?, narrow: open(ebpf, narrow)? })
    }

    /// Opens the tables pinned in `directory`, for readers that load no program.
    pub(super) fn open(directory: &Path) -> Result<Self, KernelError> {
        let [wide, narrow] = TABLES;
        Ok(Self { wide: pinned(directory, wide)?, narrow: pinned(directory, narrow)? })
    }

    /// Records a closed connection.
    pub(super) fn enter(&mut self, key: &FlowKey, entry: &ClosedEntry) -> Result<(), KernelError> {
        match key.width() {
            Width::Narrow => self.narrow.insert(FlowKeyV4::of(key), entry, 0),
            Width::Wide => self.wide.insert(key, entry, 0),
        }
        .map_err(KernelError::call("enter a closed connection"))
    }

    /// Makes all entries older.
    pub(super) fn age(&mut self, jiffies: u64) -> Result<(), KernelError> {
        age(&mut self.wide, jiffies)
            .and_then(|()| age(&mut self.narrow, jiffies))
            .map_err(KernelError::call("enter a closed connection"))
    }

    /// Deletes the entries of NIC `slot`.
    pub(super) fn forget(&mut self, slot: u16) -> Result<(), KernelError> {
        forget(&mut self.wide, |key| key.l4.nic() == slot)
            .and_then(|()| forget(&mut self.narrow, |key| key.l4.nic() == slot))
            .map_err(KernelError::call("forget closed connections"))
    }
}

fn pinned<K: Pod>(directory: &Path, name: &str) -> Result<HashMap<MapData, K, ClosedEntry>, KernelError> {
    let path = directory.join(name);
    let doing = format!("open the closed connections at {}", path.display());
    let map = MapData::from_pin(&path).map_err(KernelError::call(&doing))?;
    let map = Map::from_map_data(map).map_err(KernelError::call(&doing))?;
    HashMap::try_from(map).map_err(KernelError::call(&doing))
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
