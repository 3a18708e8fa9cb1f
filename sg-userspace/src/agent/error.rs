//! The agent's errors. Each message says what failed, where, and what to do.

use std::{io, path::PathBuf};

use sg_common::abi;
use thiserror::Error;

use super::{enforcer::EnforcerError, trusted_file::Untrusted};
use crate::{
    compile::CompileError,
    kernel::{self, KernelError},
    lock_file::{Holder, LockError, user},
};

/// An error of the agent.
#[derive(Debug, Error)]
pub enum AgentError {
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
        /// The instance.
        instance: String,
        /// The PID, if the lock file has it.
        pid: Option<u32>,
    },
    /// A process that is not an agent of this instance holds its lock.
    #[error(
        "instance {instance}: no agent has it, but its lock {path:?} is held by {holder}: end that process"
    )]
    Locked {
        /// The instance.
        instance: String,
        /// The path of the lock.
        path: PathBuf,
        /// The process that holds it.
        holder: Holder,
    },
    /// The lock cannot be taken.
    #[error("{source}{}", lock_remedy(source))]
    Lock {
        /// The cause.
        source: LockError,
    },
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
    /// The filter is required to outlive the agent, and may not.
    #[error("--require-pinned: {why}")]
    NotPinned {
        /// The reason, and what to do.
        why: &'static str,
    },
    /// A policy file that can be changed by others than root and the agent's user.
    #[error("{path:?}: {source}")]
    Untrusted {
        /// The policy file.
        path: PathBuf,
        /// The reason, and what to do.
        source: Untrusted,
    },
    /// A later version than this program is in force.
    #[error(
        "instance {instance}: what is in force has layout {found} ({path:?}) and this sgd knows layouts up to {}: run the \
         sgd that left it, or end its filter with that version's `sgctl detach --instance {instance}`; nothing was changed",
        abi::VERSION
    )]
    Newer {
        /// The instance.
        instance: String,
        /// The layout in force.
        found: u32,
        /// Where it is pinned.
        path: PathBuf,
    },
    /// An operation on a file or directory of the agent failed.
    #[error("cannot {doing} {path:?}: {source}{}", remedy(source))]
    Io {
        /// "open", "write", …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process lacks capabilities.
    #[error("{} missing: run sgd as root, or grant it (setcap, or AmbientCapabilities= of systemd)", missing.join(", "))]
    Privileges {
        /// The names of the missing capabilities.
        missing: Vec<&'static str>,
    },
    /// A document that is not a valid policy.
    #[error("{text}")]
    Policy {
        /// The message of the document room, with file, line and column.
        text: String,
    },
    /// A policy with more NICs than there are slots.
    #[error(
        "the policy has {needed} NICs and this instance was made for {limit}: \
         run `sgctl detach` and start sgd with a larger --max-nics"
    )]
    TooManyNics {
        /// The number of NICs.
        needed: usize,
        /// The number of slots.
        limit: u32,
    },
    /// A policy with more rules than there are counters.
    #[error(
        "the policy needs {needed} counters (one a rule) and this instance was made for {limit}: \
         run `sgctl detach` and start sgd with a larger --max-counters"
    )]
    TooManyRules {
        /// The number of counters needed.
        needed: usize,
        /// The number of counters available.
        limit: u32,
    },
    /// A device whose packets begin with neither an Ethernet nor an IP header.
    #[error(
        "device {device}: its packets begin with neither an Ethernet nor an IP header (ARPHRD link type {link_type}), so it \
         cannot be filtered; give a GRE tunnel one remote address, name the device below it instead, or take it out of `nics`"
    )]
    OtherHeader {
        /// The interface name.
        device: String,
        /// The ARPHRD number.
        link_type: u16,
    },
    /// `hook: xdp` on a device without an Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so XDP cannot judge them; write `hook: tc` for this NIC"
    )]
    TunnelXdp {
        /// The interface name.
        device: String,
    },
    /// `ethertypes` on a device without an Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so none has an EtherType; leave `ethertypes` out for this NIC"
    )]
    TunnelEthertypes {
        /// The interface name.
        device: String,
    },
    /// A policy that cannot be compiled into an image.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The program could not be loaded.
    #[error("cannot load the filter program: {source}")]
    Load {
        /// The cause.
        source: KernelError,
    },
    /// A step that failed. The agent retries it.
    #[error("cannot {doing}: {source}; it is tried again")]
    Step {
        /// The NIC, if the step is about one.
        device: Option<String>,
        /// The step, in words, including the NIC.
        doing: String,
        /// The cause.
        source: EnforcerError,
    },
    /// A policy of which something is not in force. The agent keeps retrying it.
    #[error("not in force yet, and tried again: {}", list(delayed))]
    NotInForce {
        /// What is not in force, and why.
        delayed: Vec<Delayed>,
    },
    /// The agent has ended; nobody enforces further policies.
    #[error("the agent has ended: what it put in force last stays in force, or was taken off on its way out")]
    Stopped,
    /// Old pins could not be removed.
    #[error("cannot remove the pins {path:?}: {source}")]
    Remove {
        /// The path of the pins.
        path: PathBuf,
        /// The cause.
        source: KernelError,
    },
    /// The policy file cannot be watched.
    #[error("cannot watch {path:?} for changes: {source}{}", watch_remedy(source))]
    Watch {
        /// The watched directory.
        path: PathBuf,
        /// The cause.
        source: notify::Error,
    },
    /// A source of events could not be started.
    #[error("cannot listen to {what}: {source}")]
    Source {
        /// The source.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The agent's thread could not be started.
    #[error("cannot start the agent's thread: {source}")]
    Thread {
        /// The cause.
        source: io::Error,
    },
    /// The devices of the host could not be listed.
    #[error("cannot list the network devices of the host: {source}")]
    Devices {
        /// The cause.
        source: io::Error,
    },
}

/// A part of a policy that is not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// The NIC; `None` if it concerns all of them.
    pub device: Option<String>,
    /// The reason and what to do, for people. It names the NIC, too.
    pub reason: String,
}

impl AgentError {
    /// Merges the errors of enforcing a policy into one.
    pub(super) fn not_in_force(errors: impl IntoIterator<Item = Self>) -> Self {
        let delayed = errors.into_iter().map(|error| {
            let reason = error.to_string();
            let device = match error {
                Self::Step { device, .. } => device,
                Self::OtherHeader { device, .. }
                | Self::TunnelXdp { device }
                | Self::TunnelEthertypes { device }
                | Self::Compile(
                    CompileError::OverBudget { device, .. } | CompileError::TooDeep { device, .. },
                ) => Some(device),
                _ => None,
            };
            Delayed { device, reason }
        });
        Self::NotInForce { delayed: delayed.collect() }
    }

    /// Whether the policy was refused and nothing was changed. Otherwise it was accepted, something of it is not in force, and
    /// the agent keeps retrying; or the agent has ended.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::NotInForce { .. } | Self::Step { .. } | Self::Stopped)
    }

    /// Whether the policy is at fault, not the host: `sgd` then exits with status 2.
    #[must_use]
    pub fn concerns_policy(&self) -> bool {
        match self {
            Self::Policy { .. }
            | Self::Untrusted { .. }
            | Self::TooManyNics { .. }
            | Self::TooManyRules { .. }
            | Self::OtherHeader { .. }
            | Self::TunnelXdp { .. }
            | Self::TunnelEthertypes { .. }
            | Self::Compile(_)
            | Self::InstanceName { .. } => true,
            Self::Running { .. }
            | Self::Locked { .. }
            | Self::Lock { .. }
            | Self::NotOurs { .. }
            | Self::NotPinned { .. }
            | Self::Newer { .. }
            | Self::Io { .. }
            | Self::Privileges { .. }
            | Self::Load { .. }
            | Self::Step { .. }
            | Self::Remove { .. }
            | Self::Watch { .. }
            | Self::Source { .. }
            | Self::NotInForce { .. }
            | Self::Stopped
            | Self::Thread { .. }
            | Self::Devices { .. } => false,
        }
    }
}

/// The remedy if a watch cannot be created.
fn watch_remedy(error: &notify::Error) -> &'static str {
    match &error.kind {
        // EMFILE is also inotify's error for a user with too many instances of it.
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            ": raise the limit of open files (`ulimit -n`, LimitNOFILE= of a unit) or of \
             fs.inotify.max_user_instances"
        }
        notify::ErrorKind::MaxFilesWatch => ": raise fs.inotify.max_user_watches",
        _ => "",
    }
}

fn list(delayed: &[Delayed]) -> String {
    delayed.iter().map(|delayed| delayed.reason.as_str()).collect::<Vec<_>>().join("; ")
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "its pid is not known".to_owned(), |pid| format!("pid {pid}"))
}

pub(super) fn remedy(source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return " (run it as root)".to_owned();
    }
    kernel::remedy(source).map(|remedy| format!(": {remedy}")).unwrap_or_default()
}

fn lock_remedy(error: &LockError) -> String {
    if let LockError::Io { source, .. } = error { remedy(source) } else { String::new() }
}
