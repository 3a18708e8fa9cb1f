//! How a command fails.

use std::{
    io::{self, ErrorKind},
    process::ExitCode,
};

use super::{faults, output::Format};
use crate::{
    check::{EngineError, StreamError},
    model::text::escaped_lines,
};

/// Why a command failed; the kind determines its exit code.
#[derive(Debug)]
pub(super) enum Failure {
    /// 2: the policy, a probe or an argument is wrong.
    Input(anyhow::Error),
    /// 1: anything else.
    Other(anyhow::Error),
    /// 1, without a message: the reader of our output is gone.
    BrokenPipe,
}

impl Failure {
    /// The input is wrong, for this reason.
    pub(super) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self::Input(error.into())
    }

    /// Something else failed, for this reason.
    pub(super) fn other(error: impl Into<anyhow::Error>) -> Self {
        Self::Other(error.into())
    }

    /// The same failure, about a file.
    pub(super) fn about(self, file: &str) -> Self {
        match self {
            Self::Input(error) => Self::Input(error.context(file.to_owned())),
            Self::Other(error) => Self::Other(error.context(file.to_owned())),
            Self::BrokenPipe => Self::BrokenPipe,
        }
    }

    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Other(_) | Self::BrokenPipe => 1,
        }
    }

    /// Prints it to standard error and returns the exit code. The faults of a document have the format of the output.
    pub(super) fn report(&self, format: Format) -> ExitCode {
        match self {
            Self::Input(error) | Self::Other(error) => match error.downcast_ref() {
                Some(document) => faults::report(document, format),
                None => eprintln!("sgctl: {}", escaped_lines(&format!("{error:#}"))),
            },
            Self::BrokenPipe => {}
        }
        ExitCode::from(self.code())
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
            | StreamError::Engine { error: EngineError::Compile(_), .. } => Self::input(error),
            StreamError::Write(error) => error.into(),
            StreamError::Engine { .. } | StreamError::Read { .. } => Self::other(error),
        }
    }
}
