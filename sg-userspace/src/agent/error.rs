//! What can go wrong in the agent. Each message says what, where and what to do.

use std::{io, path::PathBuf};

use sg_common::abi;
use thiserror::Error;

use super::{enforcer::EnforcerError, trusted_file::Untrusted};
use crate::{
    compile::CompileError,
    kernel::{self, KernelError},
    lock_file::{Holder, LockError, user},
};

/// What went wrong in the agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// An instance whose name cannot be part of a path.
    #[error("instance name {name:?}: 1 to 64 letters, digits, '-' and '_' are allowed")]
    InstanceName {
        /// As written.
        name: String,
    },
    /// Another agent of this instance runs.
    #[error(
        "instance {instance}: an agent runs already ({}); stop it first, or name another --instance",
        pid_text(*pid)
    )]
    Running {
        /// The instance.
        instance: String,
        /// The process, where the lock file tells.
        pid: Option<u32>,
    },
    /// Somebody else than an agent of this instance holds its lock.
    #[error(
        "instance {instance}: no agent has it, but its lock {path:?} is held by {holder}: end that process"
    )]
    Locked {
        /// The instance.
        instance: String,
        /// The lock.
        path: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The lock cannot be had.
    #[error("{source}{}", lock_remedy(source))]
    Lock {
        /// Why.
        source: LockError,
    },
    /// A directory of the agent's that belongs to somebody else.
    #[error(
        "{path:?} is no directory of root's, but belongs to {}, who could put anything in it: remove it, or give it to root",
        user(*owner)
    )]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The filter is to outlive the agent, and may not.
    #[error("--require-pinned: {why}")]
    NotPinned {
        /// Why it may not, and what to do.
        why: &'static str,
    },
    /// A policy file that somebody else than root or the agent's user can change.
    #[error("{path:?}: {source}")]
    Untrusted {
        /// The policy file.
        path: PathBuf,
        /// Why not, and what to do.
        source: Untrusted,
    },
    /// What is in force is of a later version than this program.
    #[error(
        "instance {instance}: what is in force has layout {found} ({path:?}) and this sgd knows layouts up to {}: run the \
         sgd that left it, or end its filter with that version's `sgctl detach --instance {instance}`; nothing was changed",
        abi::VERSION
    )]
    Newer {
        /// The instance.
        instance: String,
        /// The layout.
        found: u32,
        /// Where it is pinned.
        path: PathBuf,
    },
    /// A file or directory that the agent needs.
    #[error("cannot {doing} {path:?}: {source}{}", remedy(source))]
    Io {
        /// "open", "write", …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Capabilities that the process does not have.
    #[error("{} missing: run sgd as root, or grant it (setcap, or AmbientCapabilities= of systemd)", missing.join(", "))]
    Privileges {
        /// Their names.
        missing: Vec<&'static str>,
    },
    /// A document that is no policy.
    #[error("{text}")]
    Policy {
        /// The document room's words, with file, line and column.
        text: String,
    },
    /// A policy with more NICs than there are slots.
    #[error(
        "the policy has {needed} NICs and this instance was made for {limit}: \
         run `sgctl detach` and start sgd with a larger --max-nics"
    )]
    TooManyNics {
        /// How many are wanted.
        needed: usize,
        /// How many fit.
        limit: u32,
    },
    /// A policy with more rules than there are counters.
    #[error(
        "the policy needs {needed} counters (one a rule) and this instance was made for {limit}: \
         run `sgctl detach` and start sgd with a larger --max-counters"
    )]
    TooManyRules {
        /// How many are wanted.
        needed: usize,
        /// How many fit.
        limit: u32,
    },
    /// A device whose packets begin with neither an Ethernet nor an IP header.
    #[error(
        "device {device}: its packets begin with neither an Ethernet nor an IP header (ARPHRD link type {link_type}), so it \
         cannot be filtered; give a GRE tunnel one remote address, name the device below it instead, or take it out of `nics`"
    )]
    OtherHeader {
        /// The device.
        device: String,
        /// ARPHRD number.
        link_type: u16,
    },
    /// `hook: xdp` on a device without Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so XDP cannot judge them; write `hook: tc` for this NIC"
    )]
    TunnelXdp {
        /// The device.
        device: String,
    },
    /// `ethertypes` on a device without Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so none has an EtherType; leave `ethertypes` out for this NIC"
    )]
    TunnelEthertypes {
        /// The device.
        device: String,
    },
    /// A policy that has no image.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The program could not be loaded.
    #[error("cannot load the filter program: {source}")]
    Load {
        /// Why.
        source: KernelError,
    },
    /// A step that failed. The agent tries again.
    #[error("cannot {doing}: {source}; it is tried again")]
    Step {
        /// The NIC, where the step is about one.
        device: Option<String>,
        /// The step, in words, with the NIC.
        doing: String,
        /// Why.
        source: EnforcerError,
    },
    /// A policy of which something is not in force. The agent goes on trying.
    #[error("not in force yet, and tried again: {}", list(delayed))]
    NotInForce {
        /// What, and why.
        delayed: Vec<Delayed>,
    },
    /// The agent has ended; nobody enforces what comes now.
    #[error("the agent has ended: what it put in force last stays in force, or was taken off on its way out")]
    Stopped,
    /// Old pins that could not be removed.
    #[error("cannot remove the pins {path:?}: {source}")]
    Remove {
        /// Where.
        path: PathBuf,
        /// Why.
        source: KernelError,
    },
    /// The policy file cannot be watched.
    #[error("cannot watch {path:?} for changes: {source}{}", watch_remedy(source))]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
    /// A source of events that does not start.
    #[error("cannot listen to {what}: {source}")]
    Source {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The agent's own thread does not start.
    #[error("cannot start the agent's thread: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// The devices of the host cannot be listed.
    #[error("cannot list the network devices of the host: {source}")]
    Devices {
        /// Why.
        source: io::Error,
    },
}

/// A part of a policy that is not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// The NIC; none where it concerns all of them.
    pub device: Option<String>,
    /// Why not, and what is to be done, for people. It names the NIC, too.
    pub reason: String,
}

impl AgentError {
    /// Errors of putting a policy in force, as one.
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

    /// Whether a policy was refused and nothing was changed for it. Otherwise it was taken, something of it is not
    /// in force, and the agent goes on trying; or the agent has ended.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::NotInForce { .. } | Self::Step { .. } | Self::Stopped)
    }

    /// Whether the policy is at fault, not the host: `sgd` ends with 2 then.
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

/// What to do where a watch cannot be had.
fn watch_remedy(error: &notify::Error) -> &'static str {
    match &error.kind {
        // EMFILE is also what inotify says where a user has too many instances of it.
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
