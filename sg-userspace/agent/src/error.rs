//! The agent's errors. Each message says what failed, where, and what to do. Those about the host's files, pins and devices are
//! [`HostError`]s. It must never decide what becomes of an error: callers ask [`AgentError::is_refusal`] and
//! [`AgentError::concerns_policy`].

use std::{io, path::PathBuf};

use jiff::Timestamp;
use sg_common::abi;
use sg_compile::CompileError;
use sg_guard::Lost;
use sg_kernel::KernelError;
use thiserror::Error;

use super::{
    apply::enforcer::EnforcerError, host::error::HostError, input::trusted_file::Untrusted,
    plan::leaving::Leavings,
};

#[derive(Debug, Error)]
pub enum AgentError {
    /// An instance, its files and pins, or the devices of the host.
    #[error(transparent)]
    Host(#[from] HostError),
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
         sgd that left it, or end its filter with `sgctl detach --instance {instance}`; nothing was changed",
        abi::VERSION
    )]
    Newer {
        instance: String,
        /// The layout in force.
        found: u32,
        /// Where it is pinned.
        path: PathBuf,
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
        /// The message of `sg-document`, with file, line and column.
        text: String,
    },
    /// A document without a NIC whose device exists and is filtered.
    #[error("{leaving}")]
    Unfiltered {
        /// The devices.
        leaving: Leavings,
    },
    /// A document whose policy does not accept what it keeps.
    #[error("{lost}; correct the policy, or take the probe out of `keep`")]
    LostProbe { lost: Lost },
    /// A document that would end a connection to the SSH server.
    #[error(
        "{lost}; let the policy accept it, or write `keep_ssh: false` in the document if such connections may end"
    )]
    LostSsh { lost: Lost },
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
        device: String,
        /// The ARPHRD number.
        link_type: u16,
    },
    /// `hook: xdp` on a device without an Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so XDP cannot judge them; write `hook: tc` for this NIC"
    )]
    TunnelXdp { device: String },
    /// `ethertypes` on a device without an Ethernet header.
    #[error(
        "device {device}: its packets have no Ethernet header, so none has an EtherType; leave `ethertypes` out for this NIC"
    )]
    TunnelEthertypes { device: String },
    /// A policy that cannot be compiled into an image.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The program could not be loaded.
    #[error("cannot load the filter program: {source}")]
    Load { source: KernelError },
    /// A step that failed. The agent retries it.
    #[error("cannot {doing}: {source}; it is tried again")]
    Step {
        /// The NIC, if the step is about one.
        device: Option<String>,
        /// The step, in words, including the NIC.
        doing: String,
        source: EnforcerError,
    },
    /// A policy of which something is not in force. The agent keeps retrying it.
    #[error("not in force yet, and tried again: {}", list(delayed))]
    NotInForce {
        /// What is not in force, and why.
        delayed: Vec<Delayed>,
    },
    /// Another change is to be confirmed first.
    #[error(
        "change {id} of {owner} is to be confirmed until {deadline}: `sgctl confirm` keeps it, `sgctl cancel` takes it back; \
         then try again"
    )]
    PendingConfirmation { id: u32, owner: String, deadline: Timestamp },
    /// A change is over, and what follows from that is not done yet.
    #[error(
        "change {id} is over, and what follows from that failed so far (see the errors before): it is tried again every few seconds; \
         then try again"
    )]
    Unsettled { id: u32 },
    /// The document before a change that is pending is gone.
    #[error(
        "change {id} is not confirmed, and the document before it is gone: {path:?} cannot be read. Start once without \
         --confirm-changes to put the document in force for good"
    )]
    NoConfirmedDocument { id: u32, path: PathBuf },
    /// No change is to be confirmed.
    #[error("no change is to be confirmed: it was confirmed, taken back, or never was one")]
    NothingPending,
    /// Another change than the one that was named is to be confirmed.
    #[error("change {id} is to be confirmed, and not change {asked}")]
    OtherPending {
        /// The id that was named.
        asked: u32,
        id: u32,
    },
    /// The first policy cannot be one that is to be confirmed.
    #[error("nothing is in force yet to go back to: apply a first policy without asking for a confirmation")]
    NothingBefore,
    /// What is in force cannot be kept.
    #[error("what is in force cannot be kept to go back to: {source}; nothing was changed")]
    CannotGoBack { source: EnforcerError },
    /// Something else changed between the preparation of a change and its beginning.
    #[error("something else changed meanwhile, and nothing was changed: try again")]
    Outdated,
    /// There is no candidate.
    #[error(
        "no candidate is set: it was dropped, put in force, or never was one; `sgctl candidate set` sets one"
    )]
    NoCandidate,
    /// What a promotion would publish is not what was observed.
    #[error(
        "NIC {device}: what would be published is not what was observed as the candidate, and nothing was changed: set the \
         candidate again"
    )]
    CandidateDiffers { device: String },
    /// The document cannot be replaced by the candidate.
    #[error(
        "cannot write {path:?}: {source}; nothing was changed. Put the candidate's document there yourself: as soon as it is read, it \
         is in force, and the same images are published"
    )]
    CandidateNotWritten {
        /// The document.
        path: PathBuf,
        source: io::Error,
    },
    /// The agent has ended; nobody enforces further policies.
    #[error("the agent has ended: what it put in force last stays in force, or was taken off on its way out")]
    Stopped,
    /// The policy file cannot be watched.
    #[error("cannot watch {path:?} for changes: {source}{}", watch_remedy(source))]
    Watch {
        /// The watched directory.
        path: PathBuf,
        source: notify::Error,
    },
    /// A source of events could not be started.
    #[error("cannot listen to {what}: {source}")]
    Source { what: &'static str, source: io::Error },
    /// The agent's thread could not be started.
    #[error("cannot start the agent's thread: {source}")]
    Thread { source: io::Error },
}

/// A part of a policy that is not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// The NIC; `None` if it concerns all of them.
    pub device: Option<String>,
    /// The reason and what to do, for people. It names the NIC, too.
    pub reason: String,
}

/// Why a policy was refused, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCause {
    /// The document is no valid policy.
    Document,
    /// Others than root and the agent's user can change the document.
    Untrusted,
    /// It would leave a filtered device unfiltered, or lose what must be kept.
    Guard,
    /// It has more NICs or rules than there is room for.
    Capacity,
    /// A device cannot be filtered as the policy wants it.
    Device,
    /// It cannot be compiled into an image.
    Image,
    /// The host, or the agent, is at fault.
    Host,
}

impl RefusalCause {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Document, Self::Untrusted, Self::Guard, Self::Capacity, Self::Device, Self::Image, Self::Host];

    /// The word in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Untrusted => "untrusted",
            Self::Guard => "guard",
            Self::Capacity => "capacity",
            Self::Device => "device",
            Self::Image => "image",
            Self::Host => "host",
        }
    }
}

impl AgentError {
    /// Why it refuses a policy, if it does.
    #[must_use]
    pub const fn refusal_cause(&self) -> RefusalCause {
        match self {
            Self::Policy { .. } => RefusalCause::Document,
            Self::Untrusted { .. } => RefusalCause::Untrusted,
            Self::Unfiltered { .. } | Self::LostProbe { .. } | Self::LostSsh { .. } => RefusalCause::Guard,
            Self::TooManyNics { .. } | Self::TooManyRules { .. } => RefusalCause::Capacity,
            Self::OtherHeader { .. } | Self::TunnelXdp { .. } | Self::TunnelEthertypes { .. } => {
                RefusalCause::Device
            }
            Self::Compile(_) => RefusalCause::Image,
            Self::Host(_)
            | Self::NotPinned { .. }
            | Self::Newer { .. }
            | Self::Privileges { .. }
            | Self::Load { .. }
            | Self::Step { .. }
            | Self::Watch { .. }
            | Self::Source { .. }
            | Self::NotInForce { .. }
            | Self::PendingConfirmation { .. }
            | Self::Unsettled { .. }
            | Self::NoConfirmedDocument { .. }
            | Self::NothingPending
            | Self::OtherPending { .. }
            | Self::NothingBefore
            | Self::CannotGoBack { .. }
            | Self::Outdated
            | Self::NoCandidate
            | Self::CandidateDiffers { .. }
            | Self::CandidateNotWritten { .. }
            | Self::Stopped
            | Self::Thread { .. } => RefusalCause::Host,
        }
    }

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

    /// Whether the policy is at fault, not the host: `sgd` then exits with status 2, or with 3 if the guard refuses it.
    #[must_use]
    pub fn concerns_policy(&self) -> bool {
        self.refusal_cause() != RefusalCause::Host
            || matches!(self, Self::Host(HostError::InstanceName { .. }))
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
