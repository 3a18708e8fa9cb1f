//! The end of an instance: detaches the programs, removes pins and catalog. It must never run beside a running agent: callers
//! hold the instance's lock. Called by `sgctl detach` and `sgd --detach-on-exit`.

use std::fs;

use super::{
    AgentError, Catalog, Instance,
    devices::{self, Devices},
    enforcer::remove_pins,
};
use crate::kernel::Device;

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
pub fn teardown(instance: &Instance) -> Result<Removed, AgentError> {
    let mut hooked: Vec<Device> = Catalog::load(&instance.catalog())
        .map(|catalog| catalog.nics)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|nic| Some(Device { index: nic.ifindex?, name: nic.device }))
        .collect();
    let names: Vec<String> = hooked.iter().map(|device| device.name.clone()).collect();
    let mut pinned = instance.pinned();
    if pinned.is_empty() && !instance.catalog().exists() {
        instance.remove_directories()?;
        return Ok(Removed::Nothing);
    }
    if hooked.is_empty() {
        // No catalog records where the programs are: look on every device.
        hooked = every_device(&devices::scan()?);
    }
    if pinned.is_empty() {
        // Filters of a clsact qdisc exist without a pin, too.
        pinned.push(instance.pins());
    }
    for pins in pinned {
        remove_pins(&pins, &hooked)?;
    }
    instance.remove_directories()?;
    let path = instance.catalog();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(AgentError::Io { doing: "remove", path, source })
        }
        Ok(()) | Err(_) => Ok(Removed::Filter { devices: names }),
    }
}

fn every_device(devices: &Devices) -> Vec<Device> {
    devices.iter().map(|(name, found)| Device { name: name.clone(), index: found.index }).collect()
}
