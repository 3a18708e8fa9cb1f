//! Why something in force cannot be shown.

use std::path::PathBuf;

use sg_kernel::KernelError;
use thiserror::Error;

/// Why a request for what is in force failed.
#[derive(Debug, Error)]
pub enum InspectError {
    /// No NIC of this name is in force.
    #[error("no NIC {nic:?} in the policy in force; there are: {}", known.join(", "))]
    NoNic {
        /// The name that was requested.
        nic: String,
        /// The devices of the NICs in force, some of them if there are many.
        known: Vec<String>,
    },
    /// A filter of flows that cannot be understood.
    #[error("{field}: {found:?} is none: {allowed}")]
    Filter {
        /// The field.
        field: &'static str,
        /// What it has.
        found: String,
        /// What it may have.
        allowed: String,
    },
    /// Every flow would be deleted, without a confirmation.
    #[error("the filter selects every flow: name a condition, or say `all`")]
    Everything,
    /// The agent has put nothing in force yet.
    #[error("nothing is in force yet: the agent has just started, ask again")]
    Nothing,
    /// The counters in the kernel cannot be read.
    #[error("cannot read the counters pinned in {}", pins.display())]
    Counters {
        /// The directory of their pins.
        pins: PathBuf,
        /// The kernel's error.
        source: KernelError,
    },
    /// The flows in the kernel cannot be read or deleted.
    #[error("cannot read or delete the flows pinned in {}", pins.display())]
    Flows {
        /// The directory of their pins.
        pins: PathBuf,
        /// The kernel's error.
        source: KernelError,
    },
    /// Deleting flows failed on the way.
    #[error("{deleted} flows were deleted, then deleting failed for one pinned in {}", pins.display())]
    Partly {
        /// How many were.
        deleted: usize,
        /// The directory of their pins.
        pins: PathBuf,
        /// The kernel's error.
        source: KernelError,
    },
}

/// The maximum number of devices that an error lists.
const LISTED: usize = 20;

impl InspectError {
    /// The error about a NIC that is not among `known`.
    pub(crate) fn no_nic<'a>(nic: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let mut known: Vec<String> = known.take(LISTED + 1).map(str::to_owned).collect();
        if let Some(last) = known.get_mut(LISTED) {
            "…".clone_into(last);
        }
        Self::NoNic { nic: nic.to_owned(), known }
    }
}
