//! The kinds of differences that are explained. `docs/second-opinion.md` says why each is as it is; what fits none
//! fails the test.

use crate::{judges::Verdicts, rig::Step};

/// Why the filters differ about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Nothing,
}

/// The kind of the difference about packet `number`, where there is one.
pub(crate) fn of(_steps: &[Step], _verdicts: &[Verdicts], _number: usize) -> Option<Kind> {
    None
}
