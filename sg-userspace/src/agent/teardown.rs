//! The end of an instance: programs off the devices, pins and catalog away. It must never run beside a running
//! agent: callers hold the instance's lock. Called by `sgctl detach`, `sgd --detach-on-exit`, and where a
//! start cannot use what is there.

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
    /// There was nothing.
    Nothing,
    /// The filter, from these devices as far as the catalog knew.
    Filter {
        /// Their names.
        devices: Vec<String>,
    },
}

/// Removes everything that `instance` has in the kernel, and its catalog.
///
/// # Errors
/// Where pins or the catalog stay.
pub fn teardown(instance: &Instance, extra: &[Device]) -> Result<Removed, AgentError> {
    let mut hooked: Vec<Device> = Catalog::load(&instance.catalog())
        .map(|catalog| catalog.nics)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|nic| Some(Device { index: nic.ifindex?, name: nic.device }))
        .collect();
    let known = !hooked.is_empty();
    let names = hooked.iter().map(|device| device.name.clone()).collect();
    hooked.extend(extra.iter().filter(|device| !hooked.contains(device)).cloned().collect::<Vec<Device>>());
    let mut versions = instance.pinned_versions();
    let nothing = versions.is_empty() && !instance.catalog().exists();
    if nothing {
        return Ok(Removed::Nothing);
    }
    if versions.is_empty() && known {
        // Filters of a clsact qdisc are there without a pin, too.
        versions.push(instance.pins());
    }
    if !known && extra.is_empty() {
        // No catalog says where the programs are: look on every device.
        hooked = every_device(&devices::scan()?);
    }
    for pins in versions {
        remove_pins(&pins, &hooked)?;
    }
    let path = instance.catalog();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(AgentError::Io { doing: "remove", path, source })
        }
        Ok(()) | Err(_) => Ok(Removed::Filter { devices: names }),
    }
}

pub(super) fn every_device(devices: &Devices) -> Vec<Device> {
    devices.iter().map(|(name, found)| Device { name: name.clone(), index: found.index }).collect()
}
