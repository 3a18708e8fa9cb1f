//! What is in force, for readers: the API, metrics and the last hits of rules look here and never wait for the agent.
//!
//! A change makes a new [`InForce`] beside the old one. What is large in it is shared between the two, so that a host with many
//! rules and NICs pays for what it changes only. It must never decide what is in force: `apply` does, and `lifecycle` publishes it.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use sg_model::Policy;

use super::candidate::CandidateInForce;
use crate::host::catalog::{Catalog, NicRecord};

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A document.
    Document {
        /// Its absolute path.
        path: PathBuf,
        /// The UID of its owner, when it was read last; `None` if it could not be opened.
        owner: Option<u32>,
    },
    /// The holder of a [`Control`](crate::Control), as the store of `sgd serve`.
    Store,
}

/// Why something was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The first policy of this process.
    Start,
    /// Another policy.
    Policy,
    /// SIGHUP: the policy was read again.
    Signal,
    /// Devices came, went or changed.
    Devices,
    /// A step that failed before was tried again.
    Retry,
}

impl Cause {
    /// The word in status and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Policy => "policy",
            Self::Signal => "signal",
            Self::Devices => "devices",
            Self::Retry => "retry",
        }
    }
}

/// A change that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// When it was in force.
    pub at: Timestamp,
    /// What caused it.
    pub cause: Cause,
}

/// A policy that was refused; what was in force stayed in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// Why, in one or more lines. It may quote the document.
    pub reason: String,
}

/// An image that this process published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedImage {
    /// Its size, with the room for patches.
    pub bytes: u64,
    /// When it was published, or patched last.
    pub at: Timestamp,
}

/// What an agent enforces.
#[derive(Clone, Debug)]
pub(crate) struct Enforcing {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) images: Arc<[(u16, PublishedImage)]>,
    pub(crate) unreset: BTreeSet<u32>,
    pub(crate) candidate: Option<Arc<CandidateInForce>>,
}

/// What is in force at one moment. It never changes: after a change there is another one.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What the numbers in the maps mean, and every NIC with its hook, generation and attached device.
    pub catalog: Arc<Catalog>,
    /// The policy; `None` before this process has applied its first one. What could not be put in force is in [`Self::delayed`].
    pub policy: Option<Arc<Policy>>,
    /// The images that this process published, by slot, in ascending order.
    pub images: Arc<[(u16, PublishedImage)]>,
    /// Where policies come from.
    pub origin: Origin,
    /// When and why it came in force. `None` before the first policy of this process.
    pub applied: Option<Applied>,
    /// The last policy that was refused since then.
    pub refused: Option<Refused>,
    /// What should be in force and is not yet; the agent keeps trying.
    pub delayed: Arc<[String]>,
    /// Counters that have a new owner and could not be reset: they still hold the counts of the old one.
    pub unreset: BTreeSet<u32>,
    /// The policy that is asked beside it.
    pub candidate: Option<Arc<CandidateInForce>>,
}

impl InForce {
    /// What is in force before the first policy of this process.
    #[must_use]
    pub fn new(catalog: impl Into<Arc<Catalog>>, origin: Origin) -> Self {
        Self {
            catalog: catalog.into(),
            policy: None,
            images: Arc::default(),
            origin,
            applied: None,
            refused: None,
            delayed: Arc::default(),
            unreset: BTreeSet::new(),
            candidate: None,
        }
    }

    /// The image of a NIC, if this process published it.
    #[must_use]
    pub fn image(&self, nic: &NicRecord) -> Option<PublishedImage> {
        let place = self.images.binary_search_by_key(&nic.slot, |(slot, _)| *slot).ok()?;
        self.images.get(place).map(|(_, image)| *image)
    }
}
