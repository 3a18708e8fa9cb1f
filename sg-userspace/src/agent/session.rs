//! A running agent: it answers events and orders, says what happened, and tries again what failed. It must never
//! know how a policy is put in force: `reconcile` does. Called by `run`.

use super::{
    AgentError, Enforced,
    announce::{Line, say},
    control::{Order, Orders},
    devices,
    enforcer::Enforcer,
    events::{Events, Reading, Wake},
    policy_file::PolicyFile,
    reconcile::{Agent, Report},
};
use crate::model::Policy;

/// Where policies come from.
pub(super) enum Policies {
    /// A file that is read when it changes.
    File(PolicyFile),
    /// Somebody who gives orders.
    Control(Orders),
}

impl Policies {
    /// Waits for an order; none when nobody is left who could give one. A file never gives any.
    async fn order(&mut self) -> Option<Order> {
        match self {
            Self::File(_) => std::future::pending().await,
            Self::Control(orders) => orders.next().await,
        }
    }
}

/// A running agent, and what it has said.
pub(super) struct Session<'a, E> {
    agent: Agent<E>,
    instance: &'a str,
    ready: bool,
    /// What was complained about last: the same every few seconds helps nobody.
    complaints: Vec<String>,
}

impl<'a, E: Enforcer> Session<'a, E> {
    pub(super) fn new(agent: Agent<E>, instance: &'a str) -> Self {
        Self { agent, instance, ready: false, complaints: Vec::new() }
    }

    /// Answers events and orders until one of them says stop; returns why.
    pub(super) async fn serve(&mut self, policies: &mut Policies, events: &mut Events) -> &'static str {
        loop {
            tokio::select! {
                order = policies.order() => match order {
                    None => return "nobody is left to give it orders",
                    Some(Order::Stop { why }) => return why,
                    Some(Order::Prepare { policy, reply }) => reply.answer(self.prepare(*policy)),
                    Some(Order::Enforce { reply }) => reply.answer(self.enforce()),
                },
                wake = events.next() => match wake {
                    None => return "no event source is left",
                    Some(Wake { stop: Some(signal), .. }) => return signal,
                    Some(wake) => self.wake(wake, policies),
                },
            }
        }
    }

    fn wake(&mut self, wake: Wake, policies: &mut Policies) {
        let loaded = match policies {
            Policies::Control(_) => None,
            Policies::File(file) => match wake.policy {
                Some(Reading::Anyway) => Some(file.load()),
                Some(Reading::IfChanged) => file.load_changed(),
                None if wake.tick => file.load_replaced(),
                None => None,
            }
            .map(|loaded| (loaded, file.path())),
        };
        match loaded {
            Some((loaded, path)) => {
                if let Err(error) = loaded.and_then(|policy| self.prepare(policy)) {
                    log::error!("the new policy is refused, what was in force stays in force:\n{error}");
                    say(&Line::Refused { path: path.to_owned(), reason: error.to_string() });
                    self.look_again();
                } else {
                    // What went wrong was said.
                    let _ = self.enforce();
                }
            }
            None if wake.devices || !self.agent.is_settled() => self.look_again(),
            None => {}
        }
        if wake.tick {
            match self.agent.sweep() {
                Ok(swept) => log::trace!("swept {swept} flows"),
                Err(error) => log::error!("{error}"),
            }
        }
    }

    /// Prepares `policy` for the host as it is now.
    pub(super) fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        self.agent.prepare(policy, &devices::scan()?)
    }

    /// Puts the first policy in force, where its failure is the end.
    pub(super) fn begin(&mut self) -> Result<(), AgentError> {
        let report = self.agent.enforce()?;
        self.tell(report, None);
        Ok(())
    }

    /// Puts in force what was prepared.
    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        let result = self.agent.enforce().and_then(|mut report| {
            if !self.agent.is_settled() {
                // Devices changed since it was prepared, or something failed: a second look may be all it needs.
                let again = self.agent.look_again(&devices::scan()?)?;
                report.lines.extend(again.lines);
                report.errors = again.errors;
                report.published += again.published;
            }
            Ok(report)
        });
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                self.complain(std::slice::from_ref(&error));
                return Err(AgentError::not_in_force([error]));
            }
        };
        let (nics, attached) = self.agent.nics();
        let enforced = Enforced { published: report.published, nics, attached };
        let errors = self.tell(report, Some("policy"));
        if errors.is_empty() { Ok(enforced) } else { Err(AgentError::not_in_force(errors)) }
    }

    fn look_again(&mut self) {
        match devices::scan().and_then(|devices| self.agent.look_again(&devices)) {
            Ok(report) => {
                let cause = (report.published > 0).then_some("devices");
                self.tell(report, cause);
            }
            Err(error) => self.complain(&[error]),
        }
    }

    /// Says what a report says, `cause` where a change is in force now, and gives back what went wrong.
    fn tell(&mut self, report: Report, cause: Option<&'static str>) -> Vec<AgentError> {
        let Report { lines, errors, published } = report;
        lines.iter().for_each(say);
        self.complain(&errors);
        let (nics, attached) = self.agent.nics();
        if let Some(cause) = cause {
            say(&Line::Applied { cause, nics, published });
        }
        if !self.ready && self.agent.is_complete() {
            self.ready = true;
            say(&Line::Ready { instance: self.instance.to_owned(), nics, attached });
        }
        errors
    }

    fn complain(&mut self, errors: &[AgentError]) {
        let complaints: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for complaint in &complaints {
            if self.complaints.contains(complaint) {
                log::debug!("still: {complaint}");
            } else {
                log::error!("{complaint}");
            }
        }
        self.complaints = complaints;
    }
}
