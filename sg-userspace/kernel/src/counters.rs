//! The counters of rules and of the host, which the programs write: reading, resetting and carrying them on. It must never know
//! what a number counts. `datapath`, `ageing` and `takeover` call it, and through `pins` readers that load no program.

use std::path::Path;

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
};
use sg_common::abi::Counter;

use super::{KernelError, object::open};

/// The table of counters. Opened from its pin, it is for readers that load no program.
pub struct Counters(PerCpuArray<MapData, Counter>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl Counters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        open(ebpf, "COUNTERS").map(Self)
    }

    /// Opens the counters pinned in `directory`.
    ///
    /// # Errors
    /// If there are none, or they are not readable.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        let path = directory.join("COUNTERS");
        let doing = format!("open the counters at {}", path.display());
        let map = MapData::from_pin(&path).map_err(KernelError::call(&doing))?;
        let map = Map::from_map_data(map).map_err(KernelError::call(&doing))?;
        PerCpuArray::try_from(map).map(Self).map_err(KernelError::call(&doing))
    }

    /// Reads the counters `numbers`, summed over the CPUs, in the same order.
    ///
    /// # Errors
    /// If a number is outside the table.
    pub fn read(&self, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
        numbers.iter().map(|&number| self.sum(number)).collect()
    }

    /// One counter, summed over the CPUs.
    pub(super) fn sum(&self, number: u32) -> Result<Counter, KernelError> {
        let values = self.0.get(&number, 0).map_err(failed(number))?;
        Ok(values.iter().fold(Counter::default(), |sum, cpu| Counter {
            packets: sum.packets + cpu.packets,
            bytes: sum.bytes + cpu.bytes,
        }))
    }

    pub(super) fn reset(&mut self, numbers: &[u32]) -> Result<(), KernelError> {
        let cpus = cpus()?;
        for &number in numbers {
            let zero = PerCpuValues::try_from(vec![Counter::default(); cpus])
                .map_err(KernelError::call("make zero counters"))?;
            self.0.set(number, zero, 0).map_err(failed(number))?;
        }
        Ok(())
    }

    /// Sets a counter that the program never writes.
    pub(super) fn write(&mut self, number: u32, packets: u64) -> Result<(), KernelError> {
        let mut values = vec![Counter::default(); cpus()?];
        if let Some(first) = values.first_mut() {
            first.packets = packets;
        }
        let values = PerCpuValues::try_from(values).map_err(KernelError::call("make counters"))?;
        self.0.set(number, values, 0).map_err(failed(number))
    }

    /// Copies the counts into another table, as far as both reach; returns how many counters were not zero.
    pub(super) fn carry(&self, into: &mut Self) -> Result<u32, KernelError> {
        let mut carried = 0;
        for number in 0..self.0.len().min(into.0.len()) {
            let counts = self.0.get(&number, 0).map_err(failed(number))?;
            if counts.iter().any(|count| *count != Counter::default()) {
                into.0.set(number, counts, 0).map_err(failed(number))?;
                carried += 1;
            }
        }
        Ok(carried)
    }
}

fn cpus() -> Result<usize, KernelError> {
    aya::util::nr_cpus().map_err(|(_, error)| KernelError::call("count the CPUs")(error))
}

fn failed(number: u32) -> impl FnOnce(MapError) -> KernelError {
    move |error| match error {
        MapError::OutOfBounds { max_entries, .. } => {
            KernelError::OutOfRange { what: "counter", number, size: max_entries, option: "--max-counters" }
        }
        error => KernelError::call(format_args!("counter {number}"))(error),
    }
}
