//! What an agent is started with, wherever its policies come from.

use super::Instance;
use crate::kernel::{Attachment, FlowOptions, Limits, RejectRate, TcxOrder};

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Whose files and pins.
    pub instance: Instance,
    /// How programs are hooked into devices.
    pub attachment: Attachment,
    /// Where it runs among other TCX programs; none: after those that are there, and then where it is.
    pub order: Option<TcxOrder>,
    /// Whether the filter ends with the agent.
    pub detach_on_exit: bool,
    /// Whether to refuse to start where the filter may not outlive the agent.
    pub require_pinned: bool,
    /// What the program itself logs: 0 off, 1 error … 5 trace.
    pub program_log: u8,
    /// The most words of an image.
    pub budget_words: usize,
    /// How much the tables hold, where they are made anew.
    pub limits: Limits,
    /// How long flows are remembered, and how many of one NIC.
    pub flows: FlowOptions,
    /// How many rejected packets are answered.
    pub rejects: RejectRate,
}
