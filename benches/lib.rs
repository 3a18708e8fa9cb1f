//! What the benchmarks share.
//!
//! | file | owns |
//! |---|---|
//! | [`cloud`] | a policy as a cloud account grows it, for comparison with other filters |
//! | [`frames`] | packets to measure with |
//! | `policies` | policies to measure with |
//! | [`kernel`] | the loaded programs, and how a run of one is timed |
//! | [`figure_list`] | every family of figures, its unit and its targets |
//! | `agent_double` | an agent without devices |
//! | `report` | a figure, and how it reaches `cargo xtask bench` |
//! | `plan` | which figures a run is to take, and how long it may take |
//! | `sampling` | a figure from repeated measurements, more of them while the machine is slow |
//! | `timing` | criterion, and a figure from its runs |

mod agent_double;
pub mod cloud;
pub mod figure_list;
pub mod frames;
pub mod kernel;
mod plan;
mod policies;
mod report;
mod sampling;
mod timing;

pub use agent_double::AgentDouble;
pub use plan::Plan;
pub use policies::{
    LOCAL, LOCAL_V6, Sequence, host, listed, member, members, open, policy, policy_v6, ports, prefix,
    refused, refusing, unmatched, valid,
};
pub use report::{Figure, Unit, read};
pub use sampling::{NoiseGuard, Samples};
pub use timing::{Of, Timing};
