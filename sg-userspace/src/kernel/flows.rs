//! The flow tables as a whole: forgetting flows, and entering them where a measurement needs a full table. Reading 200,000
//! flows takes 300 ms one by one and 85 ms in batches, and who has something else to do can do it between two batches.

use std::{fmt, io, os::fd::AsFd as _, path::Path};

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, MapError},
};
use sg_common::flow::{FlowEntry, FlowKey};

use super::{
    KernelError,
    datapath::{absent_is_fine, take_map},
    sys,
};

/// Entries that are read at a time.
const BATCH: usize = 4096;

/// What was done to a part of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) forgotten: usize,
    /// Where the next part begins; none where it was the last.
    pub(super) next: Option<Place>,
}

/// What became of flows that were to be entered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    pub(super) entered: usize,
    /// There was no room for these.
    pub(super) left: usize,
}

/// Where a part begins: which table, and where in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) table: usize,
    bucket: Option<u32>,
}

/// The flow tables: that of flows that were answered first, as the program looks at them.
pub struct Flows([Table; 2]);

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flows").finish_non_exhaustive()
    }
}

pub(super) const TABLES: [&str; 2] = ["FLOWS", "HALF_OPEN"];

/// One of them.
struct Table {
    entries: HashMap<MapData, FlowKey, FlowEntry>,
    /// `entries` again, as a plain map: for what aya's type does not offer.
    map: MapData,
}

impl Flows {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let [answered, asked] = TABLES;
        Ok(Self([Table::of(take_map(ebpf, answered)?, answered)?, Table::of(take_map(ebpf, asked)?, asked)?]))
    }

    /// Opens the tables that are pinned in `directory`, for readers that load no program.
    ///
    /// # Errors
    /// Where there are none, or they may not be read.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        let open = |name| {
            let path = directory.join(name);
            let doing = format!("open the flows at {}", path.display());
            let map = MapData::from_pin(&path).map_err(KernelError::call(&doing))?;
            Table::of(Map::from_map_data(map).map_err(KernelError::call(&doing))?, name)
        };
        let [answered, asked] = TABLES;
        Ok(Self([open(answered)?, open(asked)?]))
    }

    /// Forgets the flows that `which` names; returns how many.
    pub(super) fn forget(
        &mut self,
        which: impl Fn(&FlowKey, &FlowEntry) -> bool,
    ) -> Result<usize, KernelError> {
        let (mut from, mut forgotten) = (Place::default(), 0);
        loop {
            let part = self.forget_some(from, &which)?;
            forgotten += part.forgotten;
            match part.next {
                Some(next) => from = next,
                None => return Ok(forgotten),
            }
        }
    }

    /// Forgets the flows that `which` names in a part of a table.
    pub(super) fn forget_some(
        &mut self,
        from: Place,
        which: impl Fn(&FlowKey, &FlowEntry) -> bool,
    ) -> Result<Part, KernelError> {
        let Some(table) = self.0.get_mut(from.table) else { return Ok(Part { forgotten: 0, next: None }) };
        let (forgotten, next) = table.forget_some(from.bucket, which)?;
        let next = match next {
            Some(bucket) => Some(Place { bucket: Some(bucket), ..from }),
            None if from.table + 1 < self.0.len() => Some(Place { table: from.table + 1, bucket: None }),
            None => None,
        };
        Ok(Part { forgotten, next })
    }

    /// All of them.
    ///
    /// # Errors
    /// Where a table cannot be read.
    pub fn list(&self) -> Result<Vec<(FlowKey, FlowEntry)>, KernelError> {
        let entries = self.0.iter().flat_map(|table| table.entries.iter());
        entries.collect::<Result<_, _>>().map_err(KernelError::call("list the flows"))
    }

    /// Forgets one. No error where it is not there.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn forget_one(&mut self, key: &FlowKey) -> Result<(), KernelError> {
        self.0.iter_mut().try_for_each(|table| table.forget_one(key))
    }

    /// Copies the flows of `from` that `which` names and that are not here, each into the table it stands in there.
    pub(super) fn carry(
        &mut self,
        from: &Self,
        which: impl Fn(&FlowKey) -> bool,
    ) -> Result<Carried, KernelError> {
        let mut carried = Carried::default();
        for (table, from) in self.0.iter_mut().zip(&from.0) {
            for entry in &from.entries {
                let (key, entry) = entry.map_err(KernelError::call("list the flows"))?;
                if !which(&key) {
                    continue;
                }
                match table.entries.insert(key, entry, NO_EXIST) {
                    Ok(()) => carried.entered += 1,
                    Err(error) => match bottom_error(&error) {
                        Some(libc::EEXIST) => {}
                        Some(libc::E2BIG) => carried.left += 1,
                        _ => return Err(KernelError::call("enter a flow")(error)),
                    },
                }
            }
        }
        Ok(carried)
    }

    /// Enters a flow among those that were answered.
    pub(super) fn enter(&mut self, key: &FlowKey, entry: &FlowEntry) -> Result<(), KernelError> {
        self.0[0].entries.insert(key, entry, 0).map_err(KernelError::call("enter a flow"))
    }
}

impl Table {
    fn of(map: Map, name: &'static str) -> Result<Self, KernelError> {
        let doing = format!("open map {name}");
        let (Map::HashMap(data) | Map::LruHashMap(data)) = &map else {
            return Err(KernelError::Missing { what: "hash map", name });
        };
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(KernelError::call(&doing))?;
        let duplicate = MapData::from_fd(fd).map_err(KernelError::call(&doing))?;
        let entries = HashMap::try_from(map).map_err(KernelError::call(&doing))?;
        Ok(Self { entries, map: duplicate })
    }

    fn forget_some(
        &mut self,
        from: Option<u32>,
        which: impl Fn(&FlowKey, &FlowEntry) -> bool,
    ) -> Result<(usize, Option<u32>), KernelError> {
        let (found, next) = match self.find(from, &which) {
            // No batches (before Linux 5.6), or more entries of one hash than a batch holds.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | UNSUPPORTED | libc::ENOSPC)) => {
                (self.find_one_by_one(&which).map_err(KernelError::call("list the flows"))?, None)
            }
            found => found.map_err(KernelError::call("read the flow table"))?,
        };
        let mut forgotten = 0;
        for key in found {
            // Read again right before the deletion: a packet may have passed since.
            let Ok(entry) = self.entries.get(&key, 0) else { continue };
            if which(&key, &entry) {
                self.forget_one(&key)?;
                forgotten += 1;
            }
        }
        Ok((forgotten, next))
    }

    fn forget_one(&mut self, key: &FlowKey) -> Result<(), KernelError> {
        absent_is_fine(self.entries.remove(key)).map_err(KernelError::call("delete a flow"))
    }

    /// The keys of the flows in a part of the table that `which` names, and where the next part begins.
    fn find(
        &self,
        from: Option<u32>,
        which: impl Fn(&FlowKey, &FlowEntry) -> bool,
    ) -> io::Result<(Vec<FlowKey>, Option<u32>)> {
        let mut keys = vec![FlowKey::default(); BATCH];
        let mut entries = vec![FlowEntry::default(); BATCH];
        let batch = sys::read_batch(self.map.fd().as_fd(), from, &mut keys, &mut entries)?;
        let read = keys.iter().zip(&entries).take(batch.count);
        let found = read.filter(|(key, entry)| which(key, entry)).map(|(key, _)| *key).collect();
        Ok((found, batch.next))
    }

    fn find_one_by_one(
        &self,
        which: impl Fn(&FlowKey, &FlowEntry) -> bool,
    ) -> Result<Vec<FlowKey>, MapError> {
        let keys: Vec<FlowKey> = self.entries.keys().collect::<Result<_, _>>()?;
        let is_it = |key: &FlowKey| self.entries.get(key, 0).is_ok_and(|entry| which(key, &entry));
        Ok(keys.into_iter().filter(is_it).collect())
    }
}

/// What the kernel said about an entry.
fn bottom_error(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h).
const NO_EXIST: u64 = 1;

/// ENOTSUPP of include/linux/errno.h: what a map says that has no such operation.
const UNSUPPORTED: libc::c_int = 524;
