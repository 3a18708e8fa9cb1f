//! Effective policy of a NIC → policy image: pure, deterministic (the same input gives the same bytes), with a
//! size budget. It must never touch the kernel. The agent and `sgctl check` call [`compile`].

use sg_common::image;
use thiserror::Error;

use crate::model::{Decider, Nic, Policy};

/// What an image says of itself, beyond the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Counts the policies of the NIC.
    pub generation: u32,
    /// The first of the NIC's own counters ([`sg_common::abi::NIC_COUNTERS`] of them).
    pub counters: u32,
    /// The most words an image may have; at most the largest of [`image::CLASS_WORDS`].
    pub budget_words: usize,
}

/// A compiled policy of one NIC: words for `sg_common::image` to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    words: Vec<u64>,
}

impl Image {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

/// Why a policy has no image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// The image would be too large.
    #[error("NIC {device}: the policy image needs more than the budget of {budget_bytes} bytes")]
    OverBudget {
        /// The NIC.
        device: String,
        /// The budget.
        budget_bytes: usize,
    },
}

/// Compiles the policy of `nic`. `number` gives the counter number of what can decide; it is asked once for
/// each, and defaults are asked for too.
///
/// # Errors
/// Where the image would not fit the budget.
pub fn compile(
    policy: &Policy,
    nic: &Nic,
    options: &ImageOptions,
    number: &mut dyn FnMut(Decider) -> u32,
) -> Result<Image, CompileError> {
    let _ = (policy, nic, options, number);
    Ok(Image { words: vec![0; image::header::WORDS] })
}
