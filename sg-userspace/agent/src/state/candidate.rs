//! The candidate as readers see it, and what the kernel counts about it. It must never change it: `apply` does.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use sg_common::candidate::{Asked, DifferingEntry, DifferingKey};
use sg_model::Policy;

use crate::host::numbers::Numbers;

/// The SHA-256 of an image, without what depends on when it is published: its generation, the id of a change that is to be confirmed, and
/// the mark of a candidate beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ImageDigest(pub(crate) [u8; 32]);

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A NIC in force that the candidate is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateNic {
    /// The device.
    pub device: String,
    /// Its image under the candidate.
    pub digest: ImageDigest,
}

/// The candidate that is set.
#[derive(Debug)]
pub struct CandidateInForce {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The document that it was read from.
    pub text: Arc<[u8]>,
    /// The name of that document in a store.
    pub name: String,
    /// Who set it.
    pub owner: String,
    /// Since when it is compared with the policy that is in force.
    pub since: Timestamp,
    /// The meaning of its counters.
    pub numbers: Numbers,
    /// The NICs that are asked about, by slot.
    pub nics: BTreeMap<u16, CandidateNic>,
}

/// What the kernel has counted about a candidate.
#[derive(Clone, Debug, Default)]
pub struct CandidateCounts {
    /// How many packets were decided how.
    pub asked: Vec<(Asked, u64)>,
    /// Those that it judges differently, as far as there was room for their names.
    pub differing: Vec<(DifferingKey, DifferingEntry)>,
}
