//! The kernel as the agent sees it: the few things it asks for, and the only place that asks them of the kernel room.
//! Behind a trait, so that what the agent does can be tested without root. It must never decide anything.

use std::{error::Error, path::Path, time::Duration};

use sg_common::abi::Counter;

use super::AgentError;
use crate::{
    compile::{Image, Patch},
    kernel::{Datapath, Device, KernelError, Swept, pins},
    model::Hook,
};

/// How often the program's own log is passed on, where it is on.
const PROGRAM_LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Why the kernel did not do it, for people.
pub type EnforcerError = Box<dyn Error + Send + Sync>;

/// What the agent asks of the kernel; see [`Datapath`] for what each means.
pub(super) trait Enforcer {
    /// Hooks the program into `device` as NIC `slot`, whose image is published already, or changes its hook.
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError>;
    /// Takes the program off; no error where the device is gone.
    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError>;
    /// Publishes images, each in one step, by slot; what became of each, in the same order.
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>>;
    /// Patches the image in force, at once. False where it cannot be patched, and nothing was changed.
    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError>;
    /// Takes the image away.
    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError>;
    /// Sets counters to zero.
    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError>;
    /// Forgets the flows of a NIC.
    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError>;
    /// Deletes flows that were silent for too long, in a part of the table.
    fn sweep_some(&mut self) -> Result<Swept, EnforcerError>;
    /// Removes what is left of those before, now that the program is on `hooked` and nothing is missing.
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

/// The counters `numbers` of an instance, in the same order, without loading a program: an agent may run or not.
///
/// # Errors
/// Where the pinned map cannot be read.
pub fn read_counters(pins: &Path, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
    pins::Counters::open(pins)?.read(numbers)
}

/// Takes the programs of an instance off `devices` and removes its pins.
pub(super) fn remove_pins(pins: &Path, devices: &[Device]) -> Result<(), AgentError> {
    pins::remove(pins, devices).map_err(|source| AgentError::Remove { path: pins.to_owned(), source })
}

/// Begins to pass what the program itself logs on to `log`. Called where `--bpf-log` is not off, inside the
/// runtime; the task it spawns owns what it needs and ends with the process.
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
