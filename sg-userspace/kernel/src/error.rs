//! Errors at the boundary to the kernel, and their remedies. It must never know what a caller attempts, only be told. Every file of
//! this crate calls it.

use std::{fmt, io, path::PathBuf};

use aya::{maps::MapError, programs::ProgramError};
use thiserror::Error;

/// An error between user space and the kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// This build contains no eBPF programs.
    #[error(
        "this binary was built without the eBPF programs: run `cargo xtask setup`, then build again \
         (`cargo xtask build`)"
    )]
    NoPrograms,
    /// Capabilities are missing.
    #[error("{doing}: not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted { doing: String },
    /// A resource limit of the host is too low.
    #[error("{doing}: {why}: {remedy}")]
    Lacking { doing: String, why: String, remedy: &'static str },
    /// The kernel lacks a feature.
    #[error("{feature} needs Linux {minimum} or newer{hint}")]
    Unsupported {
        feature: &'static str,
        /// The first version that has it.
        minimum: &'static str,
        /// An alternative, starting with a separator; may be empty.
        hint: &'static str,
    },
    /// The verifier rejected a program.
    #[error("the kernel refused program {program}: {summary} (the whole log: RUST_LOG=debug)")]
    Refused {
        program: &'static str,
        /// The last lines of the verifier's log.
        summary: String,
    },
    /// The object has no program or map of this name: it was built from other sources.
    #[error("the eBPF object has no {what} {name}: build the project again from one checkout")]
    Missing {
        /// Program or map.
        what: &'static str,
        name: &'static str,
    },
    /// An image that fits no size class.
    #[error("an image of {words} words fits no size class: the compiler's budget is set above the largest")]
    TooLarge {
        /// The size of the image in words.
        words: usize,
    },
    /// A number outside a table.
    #[error("{what} {number} is outside the table of {size}: start sgd with a larger {option}")]
    OutOfRange {
        /// What the number counts.
        what: &'static str,
        number: u32,
        /// The size of the table.
        size: u32,
        /// The option that makes the table larger.
        option: &'static str,
    },
    /// A device disappeared meanwhile, or never existed.
    #[error("device {device} does not exist (any more)")]
    NoDevice { device: String },
    /// A driver that accepts no XDP program.
    #[error(
        "device {device}: its driver ({driver}) refuses native XDP: {why}; `hook: tc` works on every device"
    )]
    NoNativeXdp { device: String, driver: String, why: String },
    /// A device that strips VLAN tags before XDP sees them.
    #[error(
        "device {device} takes VLAN tags off before an XDP program could see them, and what is in one network would be judged as \
         of another: say `ethtool -K {device} rxvlan off`, or write `hook: tc`"
    )]
    TagsTakenOff { device: String },
    /// A device that already has another XDP program: it takes only one.
    #[error("device {device} has an XDP program already, {program}: take that off it, or write `hook: tc`")]
    XdpTaken {
        device: String,
        /// The program that is attached, by id and name.
        program: String,
    },
    /// A directory of pins that belongs to another user.
    #[error("{path:?} belongs to {owner}, who could take away what is pinned in it: remove it")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        owner: String,
    },
    /// An operation on a path failed.
    #[error("{doing} {path}: {source}")]
    Path { doing: &'static str, path: PathBuf, source: io::Error },
    /// A call failed.
    #[error("{doing}: {source}")]
    Call { doing: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl KernelError {
    /// Converts an error of aya, naming what was attempted and, for missing permissions, the remedy.
    pub(super) fn call<E>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| {
            let doing = doing.to_string();
            let bottom = bottom(&source);
            if bottom.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
                return Self::NotPermitted { doing };
            }
            if let Some((why, remedy)) = bottom.and_then(|io| Some((io.to_string(), remedy(io)?))) {
                return Self::Lacking { doing, why, remedy };
            }
            Self::Call { doing, source: Box::new(source) }
        }
    }

    /// Converts an error of loading `program`.
    pub(super) fn load(program: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| match &source {
            ProgramError::LoadError { io_error, verifier_log }
                if io_error.raw_os_error() != Some(libc::EPERM) =>
            {
                let log = verifier_log.to_string();
                tracing::debug!("verifier log of {program}:\n{log}");
                Self::Refused { program, summary: format!("{io_error}: {}", last_words(&log)) }
            }
            _ => Self::call(format_args!("load program {program}"))(source),
        }
    }
}

/// The result of a deletion, for which an absent key is no error.
pub(super) fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// The end of a verifier log that explains the rejection, without the statistics after it.
fn last_words(log: &str) -> String {
    let statistics = ["verification time", "stack depth", "processed "];
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !line.is_empty() && !statistics.iter().any(|start| line.starts_with(start)))
        .collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

/// The kernel's error at the bottom of an error chain.
fn bottom<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

/// The remedy for a kernel error, if the host provides too little of something.
#[must_use]
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => {
            Some("raise the limit of open files (`ulimit -n`, LimitNOFILE= of a unit)")
        }
        libc::EROFS => Some(
            "mount the file system there to be written (`mount -o remount,rw`, ReadWritePaths= of a unit)",
        ),
        _ => None,
    }
}
