//! The position of our programs among other TCX programs of a device. Filters of a clsact qdisc have their preference instead.

use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};

use super::device::Device;

/// The position relative to all other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcxOrder {
    /// Before them: they see what we accept.
    First,
    /// After them: we see what they accept.
    Last,
}

impl TcxOrder {
    pub(super) fn place(self) -> LinkOrder {
        match self {
            Self::First => LinkOrder::first(),
            Self::Last => LinkOrder::last(),
        }
    }

    /// Whether the program with the id `program` has this position. If the kernel cannot be asked, it stays where it is.
    pub(super) fn holds(self, device: &Device, hook: TcAttachType, program: u32) -> bool {
        let Ok((_, programs)) = SchedClassifier::query_tcx(&device.name, hook) else { return true };
        let there = match self {
            Self::First => programs.first(),
            Self::Last => programs.last(),
        };
        there.is_none_or(|there| there.id() == program)
    }
}
