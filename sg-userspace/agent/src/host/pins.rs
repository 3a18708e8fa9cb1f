//! What an instance has in the kernel, without its agent: reads counters, sets pins aside, removes everything. It must never run
//! beside a running agent, except for reading: callers hold the instance's lock. Called by `sgctl stats` and `sgctl detach`, and
//! by the agent as it starts and ends.

use std::{fs, path::Path};

use sg_common::abi::Counter;
use sg_kernel::{Device, KernelError, pins};

use super::{catalog::Catalog, error::HostError, instance::Instance};

/// Reads the counters `numbers` pinned in `directory`, in the same order, without loading a program: an agent may be running or
/// not.
///
/// # Errors
/// If the pinned map cannot be read.
pub fn read_counters(directory: &Path, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
    pins::Counters::open(directory)?.read(numbers)
}

/// Sets aside pins that cannot be continued: `vN` becomes `vN-1`, or the next free number.
///
/// # Errors
/// If they cannot be renamed.
pub(crate) fn set_aside(pins: &Path) -> Result<(), HostError> {
    let name = pins.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 1;
    let mut aside = pins.with_file_name(format!("{name}-{number}"));
    while aside.exists() {
        number += 1;
        aside = pins.with_file_name(format!("{name}-{number}"));
    }
    let failed = |source| HostError::Io { doing: "set aside", path: pins.to_owned(), source };
    fs::rename(pins, aside).map_err(failed)
}

/// Detaches the programs pinned in `directory` from `devices`, and removes the pins.
///
/// # Errors
/// If the kernel refuses.
pub(crate) fn remove_pins(directory: &Path, devices: &[Device]) -> Result<(), HostError> {
    pins::remove(directory, devices)
        .map_err(|source| HostError::Remove { path: directory.to_owned(), source })
}

/// What was removed.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing: the instance did not exist.
    Nothing,
    /// The filter, from these devices as far as the catalog knew.
    Filter {
        /// The interface names.
        devices: Vec<String>,
    },
}

/// Removes everything that `instance` has in the kernel, whatever its layout, and its catalog.
///
/// # Errors
/// If pins or the catalog cannot be removed.
pub fn teardown(instance: &Instance) -> Result<Removed, HostError> {
    let mut hooked: Vec<Device> = Catalog::load(&instance.catalog())
        .map(|catalog| catalog.nics)
        .unwrap_or_default()
        .iter()
        .filter_map(|nic| Some(Device { index: nic.ifindex?, name: nic.device.clone() }))
        .collect();
    let names: Vec<String> = hooked.iter().map(|device| device.name.clone()).collect();
    let mut pinned = instance.pinned();
    if pinned.is_empty() && !instance.catalog().exists() {
        instance.remove_directories()?;
        return Ok(Removed::Nothing);
    }
    if hooked.is_empty() {
        // No catalog records where the programs are: look on every device.
        hooked = Device::all().map_err(|source| HostError::Devices { source })?;
    }
    if pinned.is_empty() {
        // Filters of a clsact qdisc exist without a pin, too.
        pinned.push(instance.pins());
    }
    for directory in pinned {
        remove_pins(&directory, &hooked)?;
    }
    instance.remove_directories()?;
    let path = instance.catalog();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(HostError::Io { doing: "remove", path, source })
        }
        Ok(()) | Err(_) => Ok(Removed::Filter { devices: names }),
    }
}

#[cfg(test)]
mod tests {
    use sg_common::abi;

    use super::*;

    #[test]
    fn what_is_set_aside_keeps_out_of_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), &dir.path().join("bpf")).unwrap();
        for _ in 0..2 {
            fs::create_dir_all(instance.pins()).unwrap();
            fs::write(instance.pins().join("COUNTERS"), "").unwrap();
            set_aside(&instance.pins()).unwrap();
        }
        let names: Vec<_> =
            instance.pinned().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(
            names,
            [format!("v{}-1", abi::VERSION), format!("v{}-2", abi::VERSION)]
                .map(Into::<std::ffi::OsString>::into)
        );
    }
}
