//! Which devices are filtered at the moment, and by which policy, for whoever guards a change that may leave one unfiltered or shows
//! what a device is. It must never decide what may. `sg-service` asks.

use std::{collections::BTreeSet, sync::Arc};

use nix::net::if_::if_nametoindex;
use sg_model::Policy;
use tokio::sync::watch;

use super::in_force::InForce;

/// Tells whether a device is filtered.
#[derive(Clone, Debug)]
pub enum Filtered {
    /// As an agent has it.
    Agent(watch::Receiver<Arc<InForce>>),
    /// These devices are: for tests.
    These(Arc<BTreeSet<String>>),
}

impl Default for Filtered {
    /// None is.
    fn default() -> Self {
        Self::These(Arc::default())
    }
}

impl Filtered {
    /// Whether `device` exists and is filtered. One that was made anew under the same name is not.
    #[must_use]
    pub fn has(&self, device: &str) -> bool {
        match self {
            Self::Agent(in_force) => {
                let filtered = in_force.borrow().catalog.nic(device).and_then(|nic| nic.ifindex);
                filtered.is_some() && filtered == if_nametoindex(device).ok()
            }
            Self::These(devices) => devices.contains(device),
        }
    }

    /// The policy that is in force, with the facts about its devices; `None` before the first one.
    #[must_use]
    pub fn policy(&self) -> Option<Arc<Policy>> {
        match self {
            Self::Agent(in_force) => in_force.borrow().policy.clone(),
            Self::These(_) => None,
        }
    }
}
