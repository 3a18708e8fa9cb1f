//! What every engine is to those who ask.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{ImageEngine, KernelEngine, OracleEngine};
use crate::{
    compile::CompileError,
    kernel::KernelError,
    model::Policy,
    probe::{CheckResult, Probe},
};

/// Something that answers probes of one policy.
pub trait Engine {
    /// What happens to `probe`.
    ///
    /// # Errors
    /// Where the engine has no answer. That is never a verdict.
    fn answer(&mut self, probe: &Probe) -> Result<CheckResult, EngineError>;
}

/// Why an engine has no answer.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The policy of a NIC has no image.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The kernel refused.
    #[error("the kernel engine: {0}")]
    Kernel(#[from] KernelError),
    /// A NIC that is not in the policy.
    #[error("NIC number {nic} is not in the policy")]
    NoNic {
        /// The position.
        nic: usize,
    },
    /// An image that cannot be read: a defect of this program.
    #[error("NIC {device}: the compiled image is damaged: {fault}")]
    Image {
        /// The NIC.
        device: String,
        /// What was found.
        fault: ImageFault,
    },
    /// The program returned one thing and noted another, or nothing: a defect of this program.
    #[error("NIC {device}: the program let the packet {} without a decision that says so", if *passed { "pass" } else { "end" })]
    Undecided {
        /// The NIC.
        device: String,
        /// What the return value said.
        passed: bool,
    },
    /// The frame of a probe that cannot be read: a defect of this program.
    #[error("the frame of the probe {probe} cannot be read")]
    Frame {
        /// The probe.
        probe: Box<Probe>,
    },
}

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageFault {
    /// The header is of another version.
    #[error("its header is of another version")]
    Version,
    /// A walk ended without a decision.
    #[error("a walk ends without a decision")]
    Walk,
    /// A decision with a number that was never given to anything.
    #[error("a decision has the number {number}, which was given to nothing")]
    Number {
        /// The number.
        number: u32,
    },
    /// A decision with a reason that does not fit what its number stands for.
    #[error("a decision has the reason {reason}, which does not fit its number {number}")]
    Reason {
        /// The number of the reason.
        reason: u8,
        /// The number.
        number: u32,
    },
}

/// The engines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// [`OracleEngine`].
    Oracle,
    /// [`ImageEngine`].
    Image,
    /// [`KernelEngine`].
    Kernel,
}

/// A text that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no engine: there are oracle, image and kernel")]
pub struct UnknownEngine {
    /// The text.
    pub found: String,
}

impl EngineKind {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Oracle, Self::Image, Self::Kernel];

    /// The engine, ready for probes of `policy`.
    ///
    /// # Errors
    /// Where it cannot be had: the kernel engine needs a kernel that lets it in.
    pub fn start(self, policy: &Policy) -> Result<Box<dyn Engine + '_>, EngineError> {
        Ok(match self {
            Self::Oracle => Box::new(OracleEngine::new(policy)),
            Self::Image => Box::new(ImageEngine::new(policy)),
            Self::Kernel => Box::new(KernelEngine::new(policy)?),
        })
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Image => "image",
            Self::Kernel => "kernel",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownEngine { found: text.to_owned() })
    }
}
