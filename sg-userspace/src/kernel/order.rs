//! Where our programs run among other TCX programs of a device. Filters of a clsact qdisc have their preference for that.

use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};

use super::Device;

/// Before or after all others that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcxOrder {
    /// Before them: they see what we let pass.
    First,
    /// After them: we see what they let pass.
    Last,
}

impl TcxOrder {
    pub(super) fn place(self) -> LinkOrder {
        match self {
            Self::First => LinkOrder::first(),
            Self::Last => LinkOrder::last(),
        }
    }

    /// Whether the program numbered `program` has this place. Where that cannot be asked, it stays where it is.
    pub(super) fn holds(self, device: &Device, hook: TcAttachType, program: u32) -> bool {
        let Ok((_, programs)) = SchedClassifier::query_tcx(&device.name, hook) else { return true };
        let there = match self {
            Self::First => programs.first(),
            Self::Last => programs.last(),
        };
        there.is_none_or(|there| there.id() == program)
    }
}
