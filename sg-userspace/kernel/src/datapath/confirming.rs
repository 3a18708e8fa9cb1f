//! Changes that are to be confirmed. The order of calls is that of their effects: keep what is in force, begin, publish images with
//! the id; then confirm, cancel, or do nothing, and at last forget what was kept. Whoever stops in between leaves a filter that goes
//! back by itself. It must never decide when. Called by the agent.

use sg_compile::Image;

use super::Datapath;
use crate::{KernelError, pending::PendingChange};

impl Datapath {
    /// Keeps the images in force for NICs, by slot, as those before the next change that is to be confirmed.
    ///
    /// # Errors
    /// If the kernel refuses. It lets a process without `CAP_SYS_ADMIN` keep only what that process published.
    pub fn keep(&mut self, slots: &[u16]) -> Result<(), KernelError> {
        self.images.keep(&slots.iter().copied().map(u32::from).collect::<Vec<u32>>())
    }

    /// Makes `image` the one before that change: for a NIC that has none in force.
    ///
    /// # Errors
    /// If memory or the table is too small.
    pub fn keep_instead(&mut self, slot: u16, image: &Image) -> Result<(), KernelError> {
        self.images.keep_instead(u32::from(slot), image)
    }

    /// The change that is to be confirmed.
    #[must_use]
    pub fn pending_change(&self) -> PendingChange {
        self.pending.clone()
    }

    /// Forgets what was kept. The change was confirmed, or what was in force before it is published again.
    ///
    /// # Errors
    /// If the kernel refuses. It may be called again.
    pub fn forget_previous(&mut self) -> Result<(), KernelError> {
        self.images.forget_previous()
    }
}
