//! The only importer of aya: load, attach, publish, pin, counters, test runs, feature probes. It must never
//! decide policy.

use std::path::PathBuf;

use sg_common::abi::Counter;
use thiserror::Error;

use crate::compile::Image;

/// How programs are hooked into a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// TCX where the kernel has it (6.6), clsact elsewhere.
    #[default]
    Auto,
    /// TCX links.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// How much the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// NICs.
    pub nics: u32,
    /// Flows of all NICs.
    pub flows: u32,
    /// Counters: 64 for the host, 64 a NIC, one a rule.
    pub counters: u32,
}

/// What a datapath is loaded with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory in bpffs where maps and links are pinned, so that the filter outlives the process. None:
    /// nothing is pinned and everything ends with the process (`sgctl check`, tests).
    pub pins: Option<PathBuf>,
    /// How programs are hooked into devices.
    pub attachment: Attachment,
    /// What the program itself logs: 0 off, 1 error … 5 trace.
    pub log_level: u8,
    /// How much the tables hold; a pinned table keeps the size it was made with.
    pub limits: Limits,
}

/// What went wrong between the agent and the kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// A placeholder until the room is furnished.
    #[error("not built yet")]
    Unbuilt,
}

/// A device as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
}

/// The program in the kernel with its maps.
#[derive(Debug)]
pub struct Datapath {
    _private: (),
}

impl Datapath {
    /// Loads the program; adopts the pinned maps of an earlier run where there are any, with their flows and
    /// counters.
    pub fn load(options: &Options) -> Result<Self, KernelError> {
        let _ = options;
        Err(KernelError::Unbuilt)
    }
    /// Hooks the program into both directions of `device`, as NIC `slot`. Where a pinned link of an earlier run
    /// is there, its program is replaced in one step. Publish an image first: a NIC without one drops.
    pub fn attach(&mut self, slot: u16, device: &Device) -> Result<(), KernelError> {
        let _ = (slot, device);
        Err(KernelError::Unbuilt)
    }
    /// Takes the program off a device again. No error where the device is gone.
    pub fn detach(&mut self, slot: u16, device: &Device) -> Result<(), KernelError> {
        let _ = (slot, device);
        Err(KernelError::Unbuilt)
    }
    /// Publishes the policy image of NIC `slot` in one step; returns when no packet is judged by the old one.
    pub fn publish(&mut self, slot: u16, image: &Image) -> Result<(), KernelError> {
        let _ = (slot, image);
        Err(KernelError::Unbuilt)
    }
    /// Takes the image of NIC `slot` away.
    pub fn withdraw(&mut self, slot: u16) -> Result<(), KernelError> {
        let _ = slot;
        Err(KernelError::Unbuilt)
    }
    /// The counters `numbers`, summed over the CPUs, in the same order.
    pub fn counters(&self, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
        let _ = numbers;
        Err(KernelError::Unbuilt)
    }
    /// Sets counters to zero: a number that is given to another rule starts from nothing.
    pub fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), KernelError> {
        let _ = numbers;
        Err(KernelError::Unbuilt)
    }
    /// Deletes flows that were silent for too long; returns how many. To be called every few seconds.
    pub fn sweep(&mut self) -> Result<usize, KernelError> {
        Err(KernelError::Unbuilt)
    }
    /// Forgets the flows of NIC `slot` (a slot that is given to another NIC).
    pub fn forget_flows(&mut self, slot: u16) -> Result<usize, KernelError> {
        let _ = slot;
        Err(KernelError::Unbuilt)
    }
}
