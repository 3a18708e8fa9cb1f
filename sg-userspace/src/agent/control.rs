//! The agent as those see it who have policies of their own for it: prepare the next one, then put it in force.
//!
//! A [`Control`] sends orders to the agent's thread and waits for the answer. It must never be used inside the
//! agent's own runtime: it blocks. Whoever keeps policies holds one; tests put something else in its place,
//! behind [`Enforcement`].

use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::AgentError;
use crate::model::Policy;

/// What is in force now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// How many NICs changed their policy.
    pub published: usize,
    /// The NICs of the policy.
    pub nics: usize,
    /// How many of them have a device, and are filtered.
    pub attached: usize,
}

/// What puts policies in force.
pub trait Enforcement: Send {
    /// Everything that can refuse `policy`, before anything is changed. Where nothing does it is the next one; where
    /// something does, the one that was prepared before is.
    ///
    /// # Errors
    /// Why it cannot be in force on this host: [`AgentError::is_refusal`]. Nothing was changed.
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError>;

    /// Puts what was prepared last in force. When it returns no packet meets the policy before. Called again
    /// with nothing prepared, it tries what failed before once more.
    ///
    /// # Errors
    /// What is not in force yet; that goes on being tried.
    fn enforce(&mut self) -> Result<Enforced, AgentError>;
}

/// A handle of an agent that runs on another thread.
#[derive(Clone, Debug)]
pub struct Control {
    orders: UnboundedSender<Order>,
}

/// Where the orders of a [`Control`] arrive.
#[derive(Debug)]
pub struct Orders {
    receiver: UnboundedReceiver<Order>,
}

/// What the agent is told to do.
#[derive(Debug)]
pub(super) enum Order {
    Prepare { policy: Box<Policy>, reply: Reply<()> },
    Enforce { reply: Reply<Enforced> },
    Stop { why: &'static str },
}

/// Where the answer to an order goes.
#[derive(Debug)]
pub(super) struct Reply<T>(SyncSender<Result<T, AgentError>>);

impl<T> Reply<T> {
    pub(super) fn answer(self, answer: Result<T, AgentError>) {
        // Who gave the order may have gone away.
        let _ = self.0.send(answer);
    }
}

/// Both ends.
#[must_use]
pub fn control() -> (Control, Orders) {
    let (orders, receiver) = unbounded_channel();
    (Control { orders }, Orders { receiver })
}

impl Control {
    /// See [`Enforcement::prepare`].
    ///
    /// # Errors
    /// See there, and where the agent has ended.
    pub fn prepare(&self, policy: Policy) -> Result<(), AgentError> {
        self.ask(|reply| Order::Prepare { policy: Box::new(policy), reply })
    }

    /// See [`Enforcement::enforce`].
    ///
    /// # Errors
    /// See there, and where the agent has ended.
    pub fn enforce(&self) -> Result<Enforced, AgentError> {
        self.ask(|reply| Order::Enforce { reply })
    }

    /// Tells the agent to end, in the way its options say. `why` goes to the log.
    pub fn stop(&self, why: &'static str) {
        // It may have ended already.
        let _ = self.orders.send(Order::Stop { why });
    }

    fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, AgentError> {
        let (reply, answer) = sync_channel(1);
        self.orders.send(order(Reply(reply))).map_err(|_| AgentError::Stopped)?;
        answer.recv().map_err(|_| AgentError::Stopped)?
    }
}

impl Enforcement for Control {
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        Self::prepare(self, policy)
    }

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        Self::enforce(self)
    }
}

impl Orders {
    /// Waits for an order; none when nobody is left who could give one.
    pub(super) async fn next(&mut self) -> Option<Order> {
        self.receiver.recv().await
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::agent::plan::samples::policy;

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
