//! The candidate: what another policy would decide, asked beside that in force. Images in force say whether there is one, see
//! [`Image::set_candidate`]; so set the candidate first, and publish then. It must never change a verdict. Called by the agent.

use sg_common::candidate::{Asked, DifferingEntry, DifferingKey};
use sg_compile::Image;

use super::Datapath;
use crate::KernelError;

impl Datapath {
    /// Makes `images`, by slot, those of the candidate, in place of any others, and counts from zero.
    ///
    /// # Errors
    /// If the kernel refuses; then there is no candidate.
    pub fn set_candidate(&mut self, images: &[(u16, &Image)]) -> Result<(), KernelError> {
        self.candidates.set(images)
    }

    /// Removes the candidate and what was counted. It is no error if there is none.
    ///
    /// # Errors
    /// If the kernel refuses. It may be called again.
    pub fn clear_candidate(&mut self) -> Result<(), KernelError> {
        self.candidates.clear()
    }

    /// How many packets were decided how by both policies.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn candidate_asked(&self) -> Result<Vec<(Asked, u64)>, KernelError> {
        self.candidates.asked()
    }

    /// The packets that the candidate judges differently, as far as there was room for their names.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn candidate_differing(&self) -> Result<Vec<(DifferingKey, DifferingEntry)>, KernelError> {
        self.candidates.differing()
    }
}
