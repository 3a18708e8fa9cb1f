//! What the benchmarks share.
//!
//! | file | owns |
//! |---|---|
//! | [`cloud`] | a policy as a cloud account grows it, for comparison with other filters |
//! | [`frames`] | packets to measure with |
//! | `policies` | policies to measure with |
//! | [`catalogue`] | every family of figures, its unit and its targets |
//! | `rehearsal` | an agent without devices |
//! | `report` | a figure, and how it reaches `cargo xtask bench` |
//! | `plan` | which figures a run is to take, and how long it may take |
//! | `sampling` | a figure from repeated measurements, more of them while the machine is slow |
//! | `timing` | criterion, and a figure from its runs |

pub mod catalogue;
pub mod cloud;
pub mod frames;
mod plan;
mod policies;
mod rehearsal;
mod report;
mod sampling;
mod timing;

pub use plan::Plan;
pub use policies::{
    LOCAL, LOCAL_V6, Sequence, host, listed, member, members, open, policy, policy_v6, ports, prefix,
    refused, refusing, unmatched, valid,
};
pub use rehearsal::Rehearsal;
pub use report::{Figure, Unit, read};
pub use sampling::{NoiseGuard, Samples};
pub use timing::{Of, Timing};
