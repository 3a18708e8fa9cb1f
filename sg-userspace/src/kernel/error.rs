//! What can go wrong at the border to the kernel, and what to do about it.

use std::{fmt, io, path::PathBuf};

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use thiserror::Error;

use super::options::Size;

/// What went wrong between user space and the kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// This build has no eBPF programs inside.
    #[error(
        "this binary was built without the eBPF programs: run `cargo xtask setup`, then build again \
         (`cargo xtask build`)"
    )]
    NoPrograms,
    /// Capabilities are missing.
    #[error("{doing}: not permitted: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted {
        /// What was tried.
        doing: String,
    },
    /// The host gives too little of something.
    #[error("{doing}: {why}: {remedy}")]
    Lacking {
        /// What was tried.
        doing: String,
        /// What the kernel said.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The kernel lacks something.
    #[error("{feature} needs Linux {minimum} or newer{hint}")]
    Unsupported {
        /// What is missing.
        feature: &'static str,
        /// The first version that has it.
        minimum: &'static str,
        /// What to do instead, starting with a separator.
        hint: &'static str,
    },
    /// The verifier refused a program.
    #[error("the kernel refused program {program}: {summary} (the whole log: RUST_LOG=debug)")]
    Refused {
        /// Which.
        program: &'static str,
        /// The last lines of the verifier's log.
        summary: String,
    },
    /// The object has no program or map of this name: it was built from other sources.
    #[error("the eBPF object has no {what} {name}: build the project again from one checkout")]
    Missing {
        /// Program or map.
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// An image that fits no size class.
    #[error("an image of {words} words fits no size class: the compiler's budget is set above the largest")]
    TooLarge {
        /// How many words.
        words: usize,
    },
    /// A number outside a table.
    #[error("{what} {number} is outside the table of {size}: start sgd with a larger {option}")]
    OutOfRange {
        /// What.
        what: &'static str,
        /// Which.
        number: u32,
        /// How many there are.
        size: u32,
        /// The option that makes the table larger.
        option: &'static str,
    },
    /// A device went away under our hands, or was never there.
    #[error("device {device} does not exist (any more)")]
    NoDevice {
        /// Its name.
        device: String,
    },
    /// A driver that does not take an XDP program.
    #[error(
        "device {device}: its driver ({driver}) refuses native XDP: {why}; `hook: tc` works on every device"
    )]
    NoNativeXdp {
        /// The device.
        device: String,
        /// Its driver.
        driver: String,
        /// What it means.
        why: String,
    },
    /// A device that takes VLAN tags off before XDP sees them.
    #[error(
        "device {device} takes VLAN tags off before an XDP program could see them, and what is in one network would be judged as \
         of another: say `ethtool -K {device} rxvlan off`, or write `hook: tc`"
    )]
    TagsTakenOff {
        /// The device.
        device: String,
    },
    /// A device that has another XDP program: there is room for one.
    #[error("device {device} has an XDP program already, {program}: take that off it, or write `hook: tc`")]
    XdpTaken {
        /// The device.
        device: String,
        /// The program that is there, by number and name.
        program: String,
    },
    /// What is pinned would be in somebody else's hands.
    #[error("{path:?} belongs to {owner}, who could take away what is pinned in it: remove it")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// Something under a path failed.
    #[error("{doing} {path}: {source}")]
    Path {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A call failed.
    #[error("{doing}: {source}")]
    Call {
        /// What was tried.
        doing: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl KernelError {
    /// Makes an error of aya one of ours, naming what was tried and, where permissions are the cause, the remedy.
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

    /// An error of making the tables, of which the larger ones have a size that was asked for.
    pub(super) fn tables(source: EbpfError) -> Self {
        match &source {
            EbpfError::MapError(MapError::CreateError { name, io_error })
                if matches!(io_error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM | libc::EINVAL)) =>
            {
                let remedy = Size::of(name).map_or("give this host more memory", Size::remedy);
                Self::Lacking { doing: format!("make the table {name}"), why: io_error.to_string(), remedy }
            }
            _ => Self::call("make the tables")(source),
        }
    }

    /// An error of loading `program`.
    pub(super) fn load(program: &'static str) -> impl FnOnce(ProgramError) -> Self {
        move |source| match &source {
            ProgramError::LoadError { io_error, verifier_log }
                if io_error.raw_os_error() != Some(libc::EPERM) =>
            {
                let log = verifier_log.to_string();
                log::debug!("verifier log of {program}:\n{log}");
                Self::Refused { program, summary: format!("{io_error}: {}", last_words(&log)) }
            }
            _ => Self::call(format_args!("load program {program}"))(source),
        }
    }
}

/// The end of a verifier log that says what was wrong, without the statistics behind it.
fn last_words(log: &str) -> String {
    let statistics = ["verification time", "stack depth", "processed "];
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !line.is_empty() && !statistics.iter().any(|start| line.starts_with(start)))
        .collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

/// What the kernel said, at the bottom of an error.
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

/// What an operator does about what the kernel said, where it is the host that gives too little.
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
