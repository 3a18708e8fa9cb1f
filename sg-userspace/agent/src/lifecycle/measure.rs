//! What the agent measures of its own work, for whoever wants figures. It must never wait, and never decide anything. `session`
//! calls it; metrics implement it.

use std::{fmt::Debug, time::Duration};

use sg_kernel::LiveFlows;

use crate::error::RefusalCause;

/// Takes measurements. It is called on the agent's thread.
pub trait Measure: Debug + Send + Sync {
    /// A policy was put in force, or as much of it as could be. `took` is the time from the parsed policy on, without that in
    /// which the agent waited for an order.
    fn applied(&self, took: Duration);

    /// A policy was refused.
    fn refused(&self, cause: RefusalCause);

    /// A pass of flow ageing was completed. `took` is what the agent spent on it.
    fn aged(&self, took: Duration, live: LiveFlows);
}

/// Nobody wants figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmeasured;

impl Measure for Unmeasured {
    fn applied(&self, _: Duration) {}
    fn refused(&self, _: RefusalCause) {}
    fn aged(&self, _: Duration, _: LiveFlows) {}
}
