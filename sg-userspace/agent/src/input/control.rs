//! The interface of the agent for callers that have policies of their own: prepare the next one, then enforce it; or try one until
//! it is confirmed.
//!
//! A [`Control`] sends orders to the agent's thread and waits for the response. It blocks, so it must never be used inside the
//! agent's own runtime. The owner of the policies holds one; tests replace it, behind [`Enforcement`].

use std::sync::{
    Arc,
    mpsc::{SyncSender, sync_channel},
};

use jiff::Timestamp;
use sg_model::Policy;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    apply::{
        candidate::WantedCandidate,
        enforcer::Settle,
        pending::{Confirm, Standing},
    },
    error::AgentError,
    state::{
        Filtered,
        candidate::{CandidateCounts, CandidateInForce, CandidateNic},
    },
};

/// What is in force now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The number of NICs whose policy changed.
    pub published: usize,
    /// The number of NICs in the policy.
    pub nics: usize,
    /// The number of NICs that have a device and are filtered.
    pub attached: usize,
}

/// A policy that is in force until it is confirmed.
#[derive(Debug)]
pub struct Tried {
    /// The id of the change.
    pub id: u32,
    /// When what was in force before is in force again.
    pub deadline: Timestamp,
    /// What is not in force yet; the agent keeps retrying it.
    pub delayed: Option<AgentError>,
}

/// Returns the policy that is in force at the moment.
pub type PolicyInForce = Arc<dyn Fn() -> Option<Arc<Policy>> + Send + Sync>;

/// Enforces policies.
pub trait Enforcement: Send {
    /// Checks `policy` for everything that can refuse it, before anything is changed. On success it becomes the next policy; on
    /// an error the policy prepared before stays the next one.
    ///
    /// # Errors
    /// Why it cannot be in force on this host: [`AgentError::is_refusal`]. Nothing was changed.
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError>;

    /// The devices that are filtered, now and at any later time it is asked.
    fn filtered(&self) -> Filtered {
        Filtered::default()
    }

    /// Returns the policy that is in force with the facts about its devices, whenever it is called, without waiting; `None` before the
    /// first one.
    fn policy(&self) -> PolicyInForce {
        let filtered = self.filtered();
        Arc::new(move || filtered.policy())
    }

    /// Puts the policy prepared last in force. When it returns, no packet is judged by the previous policy. If nothing was
    /// prepared since the last call, it retries what failed.
    ///
    /// # Errors
    /// What is not in force yet; the agent keeps retrying it.
    fn enforce(&mut self) -> Result<Enforced, AgentError>;

    /// Puts `policy` in force until it is confirmed. Those who cannot go back refuse it.
    ///
    /// # Errors
    /// Why it is not in force: nothing was changed.
    fn try_until(&mut self, policy: Policy, confirm: Confirm) -> Result<Tried, AgentError> {
        let _ = (policy, confirm);
        Err(AgentError::NothingBefore)
    }

    /// Confirms, cancels or extends the change that is pending, or the one with this id. When it returns, packets are judged by
    /// what it says.
    ///
    /// # Errors
    /// If nothing is pending, or another change is.
    fn settle(&mut self, id: Option<u32>, how: Settle) -> Result<Standing, AgentError> {
        let _ = (id, how);
        Err(AgentError::NothingPending)
    }

    /// What became of the change `id`, which may be that of an earlier agent.
    ///
    /// # Errors
    /// If it cannot be known now.
    fn standing(&mut self, id: u32) -> Result<Standing, AgentError> {
        Ok(Standing::Reverted { id })
    }

    /// As [`Self::prepare`], of the first policy, which is that of a change which an earlier agent began and which is pending.
    /// `before` is the policy to go back to. Without this, the first policy takes back what is pending.
    ///
    /// # Errors
    /// As there.
    fn resume(&mut self, policy: Policy, before: Policy) -> Result<(), AgentError> {
        let _ = before;
        self.prepare(policy)
    }
}

/// A handle of an agent that runs on another thread.
#[derive(Clone, Debug)]
pub struct Control {
    orders: UnboundedSender<Order>,
    filtered: Filtered,
}

/// Receives the orders of a [`Control`].
#[derive(Debug)]
pub struct Orders {
    receiver: UnboundedReceiver<Order>,
}

/// An order to the agent.
#[derive(Debug)]
pub(crate) enum Order {
    Prepare { policy: Box<Policy>, reply: Reply<()> },
    Enforce { reply: Reply<Enforced> },
    Try { policy: Box<Policy>, confirm: Confirm, reply: Reply<Tried> },
    Settle { id: Option<u32>, how: Settle, reply: Reply<Standing> },
    Standing { id: u32, reply: Reply<Standing> },
    Resume { policy: Box<Policy>, before: Box<Policy>, reply: Reply<()> },
    SetCandidate { wanted: Box<WantedCandidate>, reply: Reply<Arc<CandidateInForce>> },
    PromoteCandidate { reply: Reply<Vec<CandidateNic>> },
    ExpectPromotion { expected: bool, reply: Reply<()> },
    DropCandidate { reply: Reply<()> },
    CandidateCounts { reply: Reply<CandidateCounts> },
    Stop { why: &'static str },
}

/// Where the response to an order goes.
#[derive(Debug)]
pub(crate) struct Reply<T>(SyncSender<Result<T, AgentError>>);

impl<T> Reply<T> {
    pub(crate) fn send(self, result: Result<T, AgentError>) {
        // The caller may have gone away.
        let _ = self.0.send(result);
    }
}

/// Creates a handle and the receiver of its orders.
#[must_use]
pub fn control() -> (Control, Orders) {
    let (orders, receiver) = unbounded_channel();
    (Control { orders, filtered: Filtered::default() }, Orders { receiver })
}

impl Control {
    /// The same, of an agent that filters these devices.
    pub(crate) fn with(self, filtered: Filtered) -> Self {
        Self { filtered, ..self }
    }

    /// See [`Enforcement::prepare`].
    ///
    /// # Errors
    /// As there, and if the agent has ended.
    pub fn prepare(&self, policy: Policy) -> Result<(), AgentError> {
        self.ask(|reply| Order::Prepare { policy: Box::new(policy), reply })
    }

    /// See [`Enforcement::enforce`].
    ///
    /// # Errors
    /// As there, and if the agent has ended.
    pub fn enforce(&self) -> Result<Enforced, AgentError> {
        self.ask(|reply| Order::Enforce { reply })
    }

    /// Confirms, cancels or extends the change that is pending, or the one with this id. When it returns, packets are judged by
    /// what it says.
    ///
    /// # Errors
    /// If nothing is pending, or another change is, and if the agent has ended.
    pub fn settle(&self, id: Option<u32>, how: Settle) -> Result<Standing, AgentError> {
        self.ask(|reply| Order::Settle { id, how, reply })
    }

    /// Sets the candidate, in place of any other. When it returns, it is asked beside the policy in force.
    ///
    /// # Errors
    /// Why it cannot be, and if the agent has ended.
    pub fn set_candidate(&self, wanted: WantedCandidate) -> Result<Arc<CandidateInForce>, AgentError> {
        self.ask(|reply| Order::SetCandidate { wanted: Box::new(wanted), reply })
    }

    /// Puts the candidate in force in place of the document that the agent follows. Returns the NICs whose images were published, all
    /// of them as they were observed. With confirmed changes, it is in force until it is confirmed, as any other form of the document.
    ///
    /// # Errors
    /// Why it is not in force, and if the agent has ended, or follows no document.
    pub fn promote_candidate(&self) -> Result<Vec<CandidateNic>, AgentError> {
        self.ask(|reply| Order::PromoteCandidate { reply })
    }

    /// The next policy that is prepared is the candidate, or refused. Its rules may have other ids: a store draws those of new ones.
    ///
    /// # Errors
    /// If there is no candidate, and if the agent has ended.
    pub fn expect_promotion(&self, expected: bool) -> Result<(), AgentError> {
        self.ask(|reply| Order::ExpectPromotion { expected, reply })
    }

    /// Drops the candidate.
    ///
    /// # Errors
    /// If there is none, and if the agent has ended.
    pub fn drop_candidate(&self) -> Result<(), AgentError> {
        self.ask(|reply| Order::DropCandidate { reply })
    }

    /// What is counted about the candidate.
    ///
    /// # Errors
    /// If there is none, the kernel refuses, or the agent has ended.
    pub fn candidate_counts(&self) -> Result<CandidateCounts, AgentError> {
        self.ask(|reply| Order::CandidateCounts { reply })
    }

    /// Tells the agent to end, in the way its options say. `why` is logged.
    pub fn stop(&self, why: &'static str) {
        // The agent may have ended already.
        let _ = self.orders.send(Order::Stop { why });
    }

    fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, AgentError> {
        let (reply, result) = sync_channel(1);
        self.orders.send(order(Reply(reply))).map_err(|_| AgentError::Stopped)?;
        result.recv().map_err(|_| AgentError::Stopped)?
    }
}

impl Enforcement for Control {
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        Self::prepare(self, policy)
    }

    fn filtered(&self) -> Filtered {
        self.filtered.clone()
    }

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        Self::enforce(self)
    }

    fn try_until(&mut self, policy: Policy, confirm: Confirm) -> Result<Tried, AgentError> {
        self.ask(|reply| Order::Try { policy: Box::new(policy), confirm, reply })
    }

    fn settle(&mut self, id: Option<u32>, how: Settle) -> Result<Standing, AgentError> {
        Self::settle(self, id, how)
    }

    fn standing(&mut self, id: u32) -> Result<Standing, AgentError> {
        self.ask(|reply| Order::Standing { id, reply })
    }

    fn resume(&mut self, policy: Policy, before: Policy) -> Result<(), AgentError> {
        self.ask(|reply| Order::Resume { policy: Box::new(policy), before: Box::new(before), reply })
    }
}

impl Order {
    /// Refuses an order about policies: there is one, which is not the caller's.
    pub(crate) fn refuse(self) {
        match self {
            Self::Prepare { reply, .. } | Self::Resume { reply, .. } => reply.send(Err(AgentError::Stopped)),
            Self::Enforce { reply } => reply.send(Err(AgentError::Stopped)),
            Self::Try { reply, .. } => reply.send(Err(AgentError::Stopped)),
            Self::Settle { reply, .. } | Self::Standing { reply, .. } => {
                reply.send(Err(AgentError::Stopped));
            }
            Self::SetCandidate { reply, .. } => reply.send(Err(AgentError::Stopped)),
            Self::PromoteCandidate { reply } => reply.send(Err(AgentError::Stopped)),
            Self::ExpectPromotion { reply, .. } | Self::DropCandidate { reply } => {
                reply.send(Err(AgentError::Stopped));
            }
            Self::CandidateCounts { reply } => reply.send(Err(AgentError::Stopped)),
            Self::Stop { .. } => {}
        }
    }
}

impl Orders {
    /// Waits for an order; `None` when no handle is left.
    pub(crate) async fn next(&mut self) -> Option<Order> {
        self.receiver.recv().await
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::samples::policy;

    #[test]
    fn an_agent_that_is_gone_does_not_leave_anybody_waiting() {
        let (control, orders) = control();
        drop(orders);
        assert!(matches!(control.enforce(), Err(AgentError::Stopped)));

        let (control, mut orders) = super::control();
        let asked = thread::spawn(move || control.prepare(policy(Vec::new(), &[])));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let order = runtime.block_on(orders.next()).unwrap();
        assert!(matches!(order, Order::Prepare { .. }));
        drop(order);
        assert!(matches!(asked.join().unwrap(), Err(AgentError::Stopped)));
        assert!(runtime.block_on(orders.next()).is_none(), "nobody is left");
    }
}
