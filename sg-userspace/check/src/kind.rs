//! The engines there are, by name: which one to start. Those who let users choose an engine call it; no engine must know the others.

use std::{fmt, str::FromStr};

use sg_model::Policy;
use thiserror::Error;

use super::{Engine, EngineError, ImageEngine, KernelEngine, OracleEngine};

/// The available engines.
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
    /// The text as given.
    pub found: String,
}

impl EngineKind {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Oracle, Self::Image, Self::Kernel];

    /// Starts the engine for probes of `policy`.
    ///
    /// # Errors
    /// If it is not available: the kernel engine needs a kernel that accepts the program.
    pub fn start(self, policy: &Policy) -> Result<Box<dyn Engine + '_>, EngineError> {
        Ok(match self {
            Self::Oracle => Box::new(OracleEngine::new(policy)),
            Self::Image => Box::new(ImageEngine::new(policy)),
            Self::Kernel => Box::new(KernelEngine::new(policy)?),
        })
    }

    /// The name on the command line.
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
