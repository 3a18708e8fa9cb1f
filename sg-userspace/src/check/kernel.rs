//! The program in the kernel as an engine.

use super::{Engine, EngineError};
use crate::{
    kernel::KernelError,
    model::Policy,
    probe::{Answer, Probe},
};

/// Runs the eBPF program over real packets, through `BPF_PROG_TEST_RUN`.
#[derive(Debug)]
pub struct KernelEngine<'a> {
    _policy: &'a Policy,
}

impl<'a> KernelEngine<'a> {
    /// An engine for probes of `policy`.
    ///
    /// # Errors
    /// Where the kernel does not let the program in.
    pub const fn new(_policy: &'a Policy) -> Result<Self, EngineError> {
        Err(EngineError::Kernel(KernelError::Unbuilt))
    }
}

impl Engine for KernelEngine<'_> {
    fn answer(&mut self, _probe: &Probe) -> Result<Answer, EngineError> {
        Err(EngineError::Kernel(KernelError::Unbuilt))
    }
}
