//! The interface of all engines.

use sg_compile::CompileError;
use sg_kernel::KernelError;
use sg_probe::{CheckResult, Probe};
use thiserror::Error;

/// Evaluates probes for one policy.
pub trait Engine {
    /// The verdict on `probe`.
    ///
    /// # Errors
    /// If the engine has no result. That is never a verdict.
    fn check(&mut self, probe: &Probe) -> Result<CheckResult, EngineError>;
}

/// Why an engine has no result.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The policy of a NIC cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The kernel refused the program or the test run.
    // Not as a source: its text has its causes, and whoever prints the chain would print it twice.
    #[error("the kernel engine: {0}")]
    Kernel(KernelError),
    /// A NIC that is not in the policy.
    #[error("NIC number {nic} is not in the policy")]
    NoNic {
        /// The position of the NIC.
        nic: usize,
    },
    /// An image that cannot be read: a defect of this program.
    #[error("NIC {device}: the compiled image is damaged: {fault}")]
    Image {
        /// The NIC's device.
        device: String,
        /// The defect found.
        fault: ImageFault,
    },
    /// The program's return value differs from the recorded decision, or no decision was recorded: a defect of this program.
    #[error("NIC {device}: the program let the packet {} without a decision that says so", if *passed { "pass" } else { "end" })]
    Undecided {
        /// The NIC's device.
        device: String,
        /// Whether the return value accepts the packet.
        passed: bool,
    },
    /// The frame of a probe that cannot be parsed: a defect of this program.
    #[error("the frame of the probe {probe} cannot be read")]
    Frame {
        /// The probe.
        probe: Box<Probe>,
    },
}

impl From<KernelError> for EngineError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

/// A defect of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageFault {
    /// The header is of another version.
    #[error("its header is of another version")]
    Version,
    /// A walk ended without a decision.
    #[error("a walk ends without a decision")]
    Walk,
    /// A decision with an unassigned number.
    #[error("a decision has the number {number}, which was given to nothing")]
    Number {
        /// The number in the decision.
        number: u32,
    },
    /// A decision whose reason does not fit the owner of its number.
    #[error("a decision has the reason {reason}, which does not fit its number {number}")]
    Reason {
        /// The number of the reason.
        reason: u8,
        /// The number in the decision.
        number: u32,
    },
}
