//! How a command fails, and its exit code. It must never print anything: `render` does. Everything in this crate calls it.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use sg_check::{EngineError, StreamError};
use sg_inspect::InspectError;

/// The exit codes of every command.
pub(crate) const EXIT_CODES: [(u8, &str); 4] = [
    (0, "done"),
    (1, "failed: sgd or the kernel refuses, `--expect` is not met, `diff` or `search` finds"),
    (2, "wrong input: an argument, document, probe, refused change, or a file that cannot be read"),
    (3, "not found: what the command names; or guarded: a change that loses a filter or your access"),
];

/// Why a command failed; the kind determines its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 2: the policy, a probe or an argument is wrong, a file cannot be read, or a comparison failed.
    Input(anyhow::Error),
    /// 3: an object that the command names does not exist.
    NotFound(anyhow::Error),
    /// 3: the change would leave a device unfiltered, or lose what must be kept.
    Guarded(anyhow::Error),
    /// 1: anything else.
    Other(anyhow::Error),
    /// 1, without a message: the reader of our output is gone.
    BrokenPipe,
    /// 1, without a message: what was compared differs.
    Different,
}

impl Failure {
    /// The input is wrong, for this reason.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self::Input(error.into())
    }

    /// Something that was named does not exist, for this reason.
    pub(crate) fn not_found(error: impl Into<anyhow::Error>) -> Self {
        Self::NotFound(error.into())
    }

    /// The change is guarded against, for this reason.
    pub(crate) fn guarded(error: impl Into<anyhow::Error>) -> Self {
        Self::Guarded(error.into())
    }

    /// Something else failed, for this reason.
    pub(crate) fn other(error: impl Into<anyhow::Error>) -> Self {
        Self::Other(error.into())
    }

    /// The same failure, of a command whose 1 means that it found something.
    pub(crate) fn not_1(self) -> Self {
        match self {
            Self::Other(error) => Self::Input(error),
            other => other,
        }
    }

    /// The same failure, about a file.
    pub(crate) fn about(self, file: &str) -> Self {
        match self {
            Self::Input(error) => Self::Input(error.context(file.to_owned())),
            Self::NotFound(error) => Self::NotFound(error.context(file.to_owned())),
            Self::Guarded(error) => Self::Guarded(error.context(file.to_owned())),
            Self::Other(error) => Self::Other(error.context(file.to_owned())),
            Self::BrokenPipe => Self::BrokenPipe,
            Self::Different => Self::Different,
        }
    }

    /// The error of this type that it is.
    pub(crate) fn is_a<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        match self {
            Self::Input(error) | Self::NotFound(error) | Self::Guarded(error) | Self::Other(error) => {
                error.downcast_ref()
            }
            Self::BrokenPipe | Self::Different => None,
        }
    }

    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::NotFound(_) | Self::Guarded(_) => 3,
            Self::Other(_) | Self::BrokenPipe | Self::Different => 1,
        }
    }
}

impl From<io::Error> for Failure {
    /// Errors of writing the output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Other(anyhow::Error::new(error).context("writing the output")),
        }
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::NoNic { .. } => Self::not_found(error),
            InspectError::Filter { .. } | InspectError::Everything => Self::input(error),
            InspectError::Nothing
            | InspectError::Counters { .. }
            | InspectError::Flows { .. }
            | InspectError::Partly { .. } => Self::other(error),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            // A policy without an image is a bad policy.
            EngineError::Compile(_) => Self::input(error),
            error => Self::other(error),
        }
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            // A policy without an image is a bad policy.
            StreamError::Line { .. }
            | StreamError::LongLine { .. }
            | StreamError::Read { .. }
            | StreamError::Engine { error: EngineError::Compile(_), .. } => Self::input(error),
            StreamError::Write(error) => error.into(),
            StreamError::Engine { .. } => Self::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use sg_kernel::KernelError;

    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_said_once() {
        let Failure::Other(error) = Failure::from(EngineError::from(KernelError::NoPrograms)) else {
            panic!()
        };
        assert_eq!(format!("{error:#}").matches("built without").count(), 1, "{error:#}");
    }
}
