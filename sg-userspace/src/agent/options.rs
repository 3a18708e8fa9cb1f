//! The options of an agent, wherever its policies come from.

use super::Instance;
use crate::kernel::{Attachment, FlowOptions, Limits, RejectRate, TcxOrder};

/// The options of an agent.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The instance, which determines files and pins.
    pub instance: Instance,
    /// How programs are attached to devices.
    pub attachment: Attachment,
    /// The position among other TCX programs; `None`: last on first attach, unchanged on restart.
    pub order: Option<TcxOrder>,
    /// Whether the filter ends with the agent.
    pub detach_on_exit: bool,
    /// Whether to refuse to start if the filter may not outlive the agent.
    pub require_pinned: bool,
    /// The program's own log level: 0 off, 1 error … 5 trace.
    pub program_log: u8,
    /// The maximum size of an image in words.
    pub budget_words: usize,
    /// The sizes of tables, when they are created.
    pub limits: Limits,
    /// Timeouts and quotas of flows.
    pub flows: FlowOptions,
    /// How many rejects are sent.
    pub rejects: RejectRate,
}
