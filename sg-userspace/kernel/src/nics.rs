//! Maps devices to NICs.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use sg_common::abi::NIC_BY_IFINDEX_LEN;

use super::{
    Device, KernelError,
    datapath::{absent_is_fine, open},
};

/// The program's tables: an array for devices with small indexes, a hash for the others. Both hold the slot plus one.
pub(super) struct Nics {
    near: Array<MapData, u32>,
    far: HashMap<MapData, u32, u32>,
}

impl Nics {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { near: open(ebpf, "NIC_BY_IFINDEX")?, far: open(ebpf, "NIC_BY_IFINDEX_OVERFLOW")? })
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
}
