//! The kernel as the agent sees it: the few operations it needs, and their only calls into the kernel room. Behind a trait, so
//! that the agent can be tested without root. It must never decide anything.

use std::{error::Error, path::Path, time::Duration};

use sg_common::abi::Counter;

use super::AgentError;
use crate::{
    compile::{Image, Patch},
    kernel::{Datapath, Device, KernelError, Swept, pins},
    model::Hook,
};

/// How often the program's own log is forwarded, if it is on.
const PROGRAM_LOG_INTERVAL: Duration = Duration::from_millis(100);

/// An error of the kernel room, for people.
pub type EnforcerError = Box<dyn Error + Send + Sync>;

/// The kernel operations of the agent; see [`Datapath`] for their details.
pub(super) trait Enforcer {
    /// Attaches the program to `device` as NIC `slot`, whose image is already published, or changes its hook.
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError>;
    /// Detaches the program; it is no error if the device is gone.
    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError>;
    /// Publishes images by slot, each atomically; returns one result for each, in the same order.
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>>;
    /// Patches the image in force, at once. Returns false if it cannot be patched, and then nothing was changed.
    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError>;
    /// Removes the image.
    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError>;
    /// Resets counters to zero.
    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError>;
    /// Deletes the flows of a NIC.
    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError>;
    /// Deletes expired flows from a part of the table.
    fn sweep_some(&mut self) -> Result<Swept, EnforcerError>;
    /// Removes what earlier layouts left, once the program is on all of `hooked` and nothing is missing.
    fn remove_older(&mut self, hooked: &[Device]) -> Result<(), EnforcerError>;
}

impl Enforcer for Datapath {
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        Ok(Self::attach(self, slot, device, hook)?)
    }

    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError> {
        let _ = slot;
        Ok(Self::detach(self, device)?)
    }

    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        self.publish_all(images).into_iter().map(|result| Ok(result?)).collect()
    }

    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError> {
        Ok(Self::patch(self, slot, patch)?)
    }

    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError> {
        Ok(Self::withdraw(self, slot)?)
    }

    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError> {
        Ok(Self::reset_counters(self, numbers)?)
    }

    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError> {
        Self::forget_flows(self, slot)?;
        Ok(())
    }

    fn sweep_some(&mut self) -> Result<Swept, EnforcerError> {
        Ok(Self::sweep_some(self)?)
    }

    fn remove_older(&mut self, hooked: &[Device]) -> Result<(), EnforcerError> {
        Ok(Self::remove_older(self, hooked)?)
    }
}

/// Reads the counters `numbers` of an instance, in the same order, without loading a program: an agent may be running or not.
///
/// # Errors
/// If the pinned map cannot be read.
pub fn read_counters(pins: &Path, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
    pins::Counters::open(pins)?.read(numbers)
}

/// Detaches the programs of an instance from `devices` and removes its pins.
pub(super) fn remove_pins(pins: &Path, devices: &[Device]) -> Result<(), AgentError> {
    pins::remove(pins, devices).map_err(|source| AgentError::Remove { path: pins.to_owned(), source })
}

/// Starts forwarding the program's own log to `log`. Called inside the runtime, unless `--bpf-log` is off; the spawned task owns
/// what it needs and ends with the process.
pub(super) fn spawn_program_log(datapath: &mut Datapath) -> Result<(), KernelError> {
    let mut logger = datapath.logger()?;
    tokio::spawn(async move {
        let mut often = tokio::time::interval(PROGRAM_LOG_INTERVAL);
        loop {
            often.tick().await;
            logger.flush();
        }
    });
    Ok(())
}
