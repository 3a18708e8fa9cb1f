//! Orders of a caller that has policies of its own: the next policy, one that is tried until it is confirmed, and at the start what
//! became of the change that an earlier agent began. It must never know where the policies come from. Called by `session`.

use std::time::Instant;

use sg_model::Policy;

use super::Session;
use crate::{
    apply::{
        enforcer::{Enforcer, Settle},
        pending::{Confirm, Standing},
        report::Report,
    },
    error::AgentError,
    host::devices,
    input::control::{Enforced, Order, Tried},
    state::Cause,
};

impl<E: Enforcer> Session<'_, E> {
    /// Does what an order about policies says.
    pub(super) fn ordered(&mut self, order: Order) {
        match order {
            Order::Prepare { policy, reply } => {
                let prepared = self.prepare_ordered(*policy);
                reply.send(self.told(prepared));
            }
            Order::Resume { policy, before, reply } => {
                let prepared = self.resume(*policy, *before);
                reply.send(self.told(prepared));
            }
            Order::Enforce { reply } => reply.send(self.enforce_ordered()),
            Order::Try { policy, confirm, reply } => {
                let tried = self.try_until(*policy, confirm);
                reply.send(self.told(tried));
            }
            Order::Standing { id, reply } => reply.send(self.standing(id)),
            // They are handled before.
            order @ (Order::Settle { .. }
            | Order::SetCandidate { .. }
            | Order::PromoteCandidate { .. }
            | Order::ExpectPromotion { .. }
            | Order::DropCandidate { .. }
            | Order::CandidateCounts { .. }
            | Order::Stop { .. }) => order.refuse(),
        }
    }

    /// A refusal is the caller's to report; readers see it, too.
    fn told<T>(&self, result: Result<T, AgentError>) -> Result<T, AgentError> {
        if let Err(error) = &result
            && error.is_refusal()
        {
            self.refused(error);
        }
        result
    }

    /// Prepares a policy. If it is the first, its caller does not continue what an earlier agent began, and that is taken back.
    fn prepare_ordered(&mut self, policy: Policy) -> Result<(), AgentError> {
        if self.agent.policy().is_some() {
            return self.prepare(policy);
        }
        let (id, cause) = match self.agent.found_pending()? {
            None => return self.prepare(policy),
            Some(Standing::Confirmed { .. }) => {
                self.agent.forget_pending();
                return self.prepare(policy);
            }
            Some(Standing::Pending { id, .. }) => (id, "restart"),
            Some(Standing::Reverted { id }) => (id, "deadline"),
        };
        self.agent.take_back()?;
        self.agent.prepare_before(policy, &devices::scan()?)?;
        self.tell_reverted(Some(id), cause);
        Ok(())
    }

    /// Prepares the first policy, which is that of a change that an earlier agent began. It may be settled meanwhile: its caller asks
    /// again at the deadline.
    fn resume(&mut self, policy: Policy, before: Policy) -> Result<(), AgentError> {
        match self.agent.found_pending()? {
            Some(Standing::Pending { deadline, .. }) => {
                self.agent.prepare_resumed(policy, before, deadline, &devices::scan()?)?;
                self.tell_pending();
                Ok(())
            }
            Some(Standing::Reverted { .. }) => self.prepare_ordered(before),
            Some(Standing::Confirmed { .. }) | None => self.prepare_ordered(policy),
        }
    }

    fn enforce_ordered(&mut self) -> Result<Enforced, AgentError> {
        let enforced = self.enforce(Cause::Policy);
        self.agent.forget_reverted();
        self.publish(None);
        enforced
    }

    /// Puts a policy in force until it is confirmed. On an error, nothing was changed.
    fn try_until(&mut self, policy: Policy, confirm: Confirm) -> Result<Tried, AgentError> {
        let began = Instant::now();
        self.agent.prepare_until(policy, &devices::scan()?, confirm)?;
        let revision = self.agent.revision();
        let report = match self.agent.enforce() {
            Ok(report) => report,
            Err(error) => {
                self.publish(None);
                return Err(error);
            }
        };
        // From here on it is in force, until it is settled.
        let (report, failed) = match self.again(report, revision) {
            Ok(report) => (report, None),
            Err(error) => (Report::default(), Some(error)),
        };
        self.measure.applied(began.elapsed());
        let mut errors = self.tell(report, Some("policy"), Cause::Policy);
        errors.extend(failed);
        self.tell_pending();
        let pending = self.agent.pending().ok_or(AgentError::NothingPending)?;
        let delayed = (!errors.is_empty()).then(|| AgentError::not_in_force(errors));
        Ok(Tried { id: pending.id, deadline: pending.deadline, delayed })
    }

    /// What became of the change `id`. If it is over, that is made formal first, so that another one may follow.
    fn standing(&mut self, id: u32) -> Result<Standing, AgentError> {
        let is_known = self.agent.pending().is_some_and(|pending| pending.id == id);
        let is_running = self.agent.policy().is_some();
        if is_known && is_running && !self.agent.is_over() {
            return self.settle(Some(id), Settle::Look, "deadline");
        }
        let standing = self.agent.standing(id)?;
        if matches!(standing, Standing::Reverted { .. }) && !is_running && !is_known {
            self.tell_reverted(Some(id), if self.agent.has_begun(id) { "deadline" } else { "restart" });
        }
        Ok(standing)
    }
}
