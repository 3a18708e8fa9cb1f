//! Which device is which NIC, and since when a NIC is filtered. It must never attach anything. Called by `datapath`.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use sg_common::abi::NIC_BY_IFINDEX_LEN;

use super::{KernelError, device::Device, error::absent_is_fine, object::open};

/// The program's tables: an array for devices with small indexes, a hash for the others. Both hold the slot plus one.
pub(super) struct Nics {
    near: Array<MapData, u32>,
    far: HashMap<MapData, u32, u32>,
    /// When each NIC was first filtered, in jiffies, by slot; zero if it is not.
    filtered_since: Array<MapData, u64>,
}

impl Nics {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            near: open(ebpf, "NIC_BY_IFINDEX")?,
            far: open(ebpf, "NIC_BY_IFINDEX_OVERFLOW")?,
            filtered_since: open(ebpf, "FILTERED_SINCE")?,
        })
    }

    /// Whether a device is a NIC, of this run or an earlier one.
    pub(super) fn has(&self, device: &Device) -> Result<bool, KernelError> {
        let entry = if device.index < NIC_BY_IFINDEX_LEN {
            self.near.get(&device.index, 0)
        } else {
            match self.far.get(&device.index, 0) {
                Err(MapError::KeyNotFound) => Ok(0),
                entry => entry,
            }
        };
        Ok(entry.map_err(KernelError::call(format_args!("look up device {}", device.name)))? != 0)
    }

    pub(super) fn enter(&mut self, device: &Device, slot: u16) -> Result<(), KernelError> {
        let entry = u32::from(slot) + 1;
        let entered = if device.index < NIC_BY_IFINDEX_LEN {
            self.near.set(device.index, entry, 0)
        } else {
            self.far.insert(device.index, entry, 0)
        };
        entered.map_err(KernelError::call(format_args!("enter device {}", device.name)))
    }

    /// It is no error if the device is not in the tables.
    pub(super) fn remove(&mut self, device: &Device) -> Result<(), KernelError> {
        let removed = if device.index < NIC_BY_IFINDEX_LEN {
            self.near.set(device.index, 0, 0)
        } else {
            absent_is_fine(self.far.remove(&device.index))
        };
        removed.map_err(KernelError::call(format_args!("remove device {}", device.name)))
    }
    /// Records that NIC `slot` is filtered from `now` on, unless an earlier run did: older connections may be taken over.
    pub(super) fn begin(
        &mut self,
        slot: u16,
        now: impl FnOnce() -> Result<u64, KernelError>,
    ) -> Result<(), KernelError> {
        let slot = u32::from(slot);
        let since = self.filtered_since.get(&slot, 0);
        if since.map_err(KernelError::call("ask since when a NIC is filtered"))? != 0 {
            return Ok(());
        }
        let failed = KernelError::call("note since when a NIC is filtered");
        self.filtered_since.set(slot, now()?, 0).map_err(failed)
    }

    /// NIC `slot` is given to another NIC, which is not filtered yet.
    pub(super) fn forget(&mut self, slot: u16) -> Result<(), KernelError> {
        self.filtered_since.set(slot.into(), 0, 0).map_err(KernelError::call("begin a NIC anew"))
    }

    /// Makes the beginning of every NIC older.
    pub(super) fn age(&mut self, jiffies: u64) -> Result<(), KernelError> {
        for slot in 0..self.filtered_since.len() {
            let since =
                self.filtered_since.get(&slot, 0).map_err(KernelError::call("ask for a NIC's start"))?;
            if since != 0 {
                // Zero means unknown.
                let since = since.wrapping_sub(jiffies).max(1);
                self.filtered_since.set(slot, since, 0).map_err(KernelError::call("set a NIC's start"))?;
            }
        }
        Ok(())
    }
}
