//! The errors of this folder: instances, their files and pins, and the devices of the host. Each message says what failed, where,
//! and what to do. It must never know an agent or a policy. Every file here returns them.

use std::{io, path::PathBuf};

use sg_host::lock_file::{Holder, LockError, user};
use sg_kernel::KernelError;
use thiserror::Error;

/// An error about what is on the host.
#[derive(Debug, Error)]
pub enum HostError {
    /// An instance name that cannot be part of a path.
    #[error("instance name {name:?}: 1 to 64 letters, digits, '-' and '_' are allowed")]
    InstanceName {
        /// The name as given.
        name: String,
    },
    /// Another agent of this instance is running.
    #[error(
        "instance {instance}: an agent runs already ({}); stop it first, or name another --instance",
        pid_text(*pid)
    )]
    Running {
        instance: String,
        /// The PID, if the lock file has it.
        pid: Option<u32>,
    },
    /// A process that is not an agent of this instance holds its lock.
    #[error(
        "instance {instance}: no agent has it, but its lock {path:?} is held by {holder}: end that process"
    )]
    Locked {
        instance: String,
        /// The path of the lock.
        path: PathBuf,
        /// The process that holds it.
        holder: Holder,
    },
    /// The lock cannot be taken.
    #[error("{source}{}", lock_remedy(source))]
    Lock { source: LockError },
    /// A directory of the agent that belongs to another user.
    #[error(
        "{path:?} is no directory of root's, but belongs to {}, who could put anything in it: remove it, or give it to root",
        user(*owner)
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner, as a UID.
        owner: u32,
    },
    /// An operation on a file or directory failed.
    #[error("cannot {doing} {path:?}: {source}{}", remedy(source))]
    Io {
        /// "open", "write", …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        source: io::Error,
    },
    /// Pins could not be removed.
    #[error("cannot remove the pins {path:?}: {source}")]
    Remove {
        /// The path of the pins.
        path: PathBuf,
        source: KernelError,
    },
    /// The devices of the host could not be listed.
    #[error("cannot list the network devices of the host: {source}")]
    Devices { source: io::Error },
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "its pid is not known".to_owned(), |pid| format!("pid {pid}"))
}

/// What to do about an error of a system call, as the end of a sentence; empty if nothing is known to help.
pub(super) fn remedy(source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return " (run it as root)".to_owned();
    }
    sg_kernel::remedy(source).map(|remedy| format!(": {remedy}")).unwrap_or_default()
}

fn lock_remedy(error: &LockError) -> String {
    if let LockError::Io { source, .. } = error { remedy(source) } else { String::new() }
}
