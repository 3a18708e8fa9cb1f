//! A running agent: handles events and orders, reports what happened, and retries what failed. It must never know how a policy is
//! put in force: `apply` does. Called by `run`.

use std::{
    mem::take,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use sg_audit::Trail;
use sg_model::Policy;
use tokio::{
    task::yield_now,
    time::{sleep, sleep_until},
};

use crate::{
    apply::{
        agent::Agent,
        enforcer::Enforcer,
        report::{Report, StatusEvent, emit},
    },
    error::AgentError,
    host::devices,
    input::{
        control::{Enforced, Order, Orders},
        events::{Events, Reading, Wake},
        policy_file::PolicyFile,
    },
    lifecycle::{
        document_history::DocumentHistory,
        document_trail::{self, Reading as DocumentReading},
        measure::{Measure, Unmeasured},
        publisher::{InForceReader, Publisher},
        traffic::{FlowInterval, TrafficSender},
    },
    state::{Cause, Origin},
};

mod ageing;
mod candidate;
mod confirming;
mod first;
mod guard;
mod ordered;

use confirming::Confirming;
pub(crate) use first::Then;

/// How long a pass waits for an observer that is behind, before it looks again.
const BEHIND: Duration = Duration::from_millis(5);

/// Where policies come from.
pub(crate) enum Policies {
    /// A file that is read when it changes. Orders settle changes of it only.
    File { file: PolicyFile, orders: Orders },
    /// A caller that gives orders.
    Control(Orders),
}

impl Policies {
    const fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Waits for an order; `None` when no handle is left. The policy of a file needs no handle.
    async fn order(&mut self) -> Option<Order> {
        match self {
            Self::File { orders, .. } => match orders.next().await {
                None => std::future::pending().await,
                order => order,
            },
            Self::Control(orders) => orders.next().await,
        }
    }
}

/// Waits until then; forever if there is no deadline.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// A running agent, and what it has reported.
pub(crate) struct Session<'a, E> {
    agent: Agent<E>,
    publisher: Publisher,
    /// Where documents are recorded, and kept.
    trail: Trail,
    history: Option<DocumentHistory>,
    instance: &'a str,
    ready: bool,
    /// The last complaints: repeating the same ones every few seconds helps nobody.
    complaints: Vec<String>,
    /// Whether a pass of flow ageing is under way.
    ageing: bool,
    /// Since when the observer has had no room for what the pass would read.
    behind: Option<Instant>,
    /// Where what is read about traffic goes, and when live flows are reported next.
    traffic: Option<(TrafficSender, FlowInterval)>,
    /// Who gets figures.
    measure: Arc<dyn Measure>,
    /// What documents are not allowed to do.
    guard: guard::SessionGuard,
    /// The time that the next policy took so far, and the pass of ageing that is under way.
    preparing: Duration,
    ageing_took: Duration,
    confirming: Confirming,
    /// The agent's revision when the candidate was looked at last.
    tended: u64,
}

impl<'a, E: Enforcer> Session<'a, E> {
    pub(crate) fn new(agent: Agent<E>, instance: &'a str, origin: Origin) -> Self {
        let publisher = Publisher::new(agent.in_force(), agent.revision(), origin);
        Self {
            agent,
            publisher,
            trail: Trail::none(),
            history: None,
            instance,
            ready: false,
            complaints: Vec::new(),
            ageing: false,
            behind: None,
            traffic: None,
            measure: Arc::new(Unmeasured),
            guard: guard::SessionGuard::default(),
            preparing: Duration::ZERO,
            ageing_took: Duration::ZERO,
            confirming: Confirming::default(),
            tended: 0,
        }
    }

    /// The same, with somebody who gets figures.
    pub(crate) fn measured(self, measure: Option<&Arc<dyn Measure>>) -> Self {
        match measure {
            Some(measure) => Self { measure: Arc::clone(measure), ..self },
            None => self,
        }
    }

    /// The same, with somebody who observes traffic.
    pub(crate) fn observed(mut self, traffic: Option<&TrafficSender>) -> Self {
        if traffic.is_some() {
            self.agent.observed();
        }
        Self { traffic: traffic.map(|sender| (sender.clone(), FlowInterval::default())), ..self }
    }

    /// Records documents in `trail`, and keeps them in `history`.
    pub(crate) fn record(&mut self, trail: Trail, history: Option<DocumentHistory>) {
        (self.trail, self.history) = (trail, history);
    }

    /// Records that the document of the policy in force was read, and what it changed since `before`.
    fn record_applied(
        &self,
        reading: DocumentReading<'_>,
        text: &[u8],
        before: Option<&Policy>,
        delayed: Option<&AgentError>,
    ) {
        if let Some(after) = self.agent.policy() {
            let places = (&self.trail, self.history.as_ref());
            document_trail::applied(places, reading, text, before, after, delayed);
        }
    }

    /// A reader of what is in force.
    pub(crate) fn reader(&self) -> InForceReader {
        self.publisher.reader()
    }

    /// Handles events and orders until one says stop; returns why.
    pub(crate) async fn serve(&mut self, policies: &mut Policies, events: &mut Events) -> &'static str {
        self.tell_lost_candidate();
        loop {
            self.tend_candidate();
            let may_age = self.may_age();
            tokio::select! {
                biased;
                order = policies.order() => match order {
                    None => return "nobody is left to give it orders",
                    Some(Order::Stop { why }) => return why,
                    Some(Order::Settle { id, how, reply }) => {
                        reply.send(reconciling("policy").in_scope(|| self.settle(id, how, "cancelled")));
                        self.go_on(policies);
                    }
                    Some(Order::SetCandidate { wanted, reply }) => {
                        reply.send(reconciling("policy").in_scope(|| self.set_candidate(*wanted)));
                    }
                    Some(Order::DropCandidate { reply }) => {
                        reply.send(reconciling("policy").in_scope(|| self.drop_candidate("request")));
                    }
                    Some(Order::CandidateCounts { reply }) => reply.send(self.agent.candidate_counts()),
                    Some(Order::ExpectPromotion { expected, reply }) => {
                        reply.send(self.agent.expect_promotion(expected));
                    }
                    Some(Order::PromoteCandidate { reply }) => reply.send(match policies {
                        Policies::File { file, .. } => {
                            reconciling("policy").in_scope(|| self.promote_candidate(file))
                        }
                        Policies::Control(_) => Err(AgentError::Stopped),
                    }),
                    // A document is the only policy.
                    Some(order) if policies.is_file() => order.refuse(),
                    Some(order) => reconciling("policy").in_scope(|| self.ordered(order)),
                },
                wake = events.next() => match wake {
                    None => return "no event source is left",
                    Some(Wake { stop: Some(signal), .. }) => return signal,
                    Some(wake) => {
                        self.wake(wake, policies);
                        self.go_on(policies);
                    }
                },
                () = until(self.confirming.deadline) => {
                    reconciling("policy").in_scope(|| self.look_at_pending());
                    self.go_on(policies);
                }
                // When there is nothing else to do: a full table takes a tenth of a second.
                () = yield_now(), if self.ageing && may_age => self.age_some(),
                () = sleep(BEHIND), if self.ageing && !may_age => {}
            }
        }
    }

    fn wake(&mut self, wake: Wake, policies: &mut Policies) {
        let loaded = match policies {
            Policies::Control(_) => None,
            Policies::File { file, .. } => match wake.policy {
                Some(Reading::Anyway) => Some(file.load()),
                Some(Reading::IfChanged) => file.load_changed(),
                None if wake.tick => file.load_replaced(),
                None => None,
            }
            .or_else(|| self.held_back_no_longer(&wake).map(Ok))
            .map(|loaded| (loaded, &*file)),
        };
        match loaded {
            Some((loaded, file)) => reconciling("policy").in_scope(|| {
                let by_signal = wake.policy == Some(Reading::Anyway);
                let cause = if by_signal { Cause::Signal } else { Cause::Policy };
                self.document_read(loaded, file, cause);
            }),
            None if wake.devices => reconciling("devices").in_scope(|| self.resync(Cause::Devices)),
            None if !self.agent.is_settled() => {
                reconciling("retry").in_scope(|| self.resync(Cause::Retry));
            }
            None => {}
        }
        self.ageing |= wake.tick;
        if wake.tick {
            self.observe();
        }
    }

    /// Prepares `policy` for the current devices of the host.
    pub(crate) fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        let began = Instant::now();
        let prepared =
            devices::scan().map_err(Into::into).and_then(|devices| self.agent.prepare(policy, &devices));
        self.preparing = began.elapsed();
        prepared
    }

    /// Lets readers see that a policy was refused.
    fn refused(&self, error: &AgentError) {
        self.measure.refused(error.refusal_cause());
        self.publisher.refused(error);
    }

    /// Puts the first policy in force, which is that of the document `path`, and records it; a failure ends the agent.
    pub(crate) fn begin(&mut self, path: &Path, owner: Option<u32>, text: &[u8]) -> Result<(), AgentError> {
        let began = Instant::now();
        let report = self.agent.enforce()?;
        self.measure.applied(take(&mut self.preparing) + began.elapsed());
        let errors = self.tell(report, None, Cause::Start);
        let delayed = (!errors.is_empty()).then(|| AgentError::not_in_force(errors));
        let reading = DocumentReading { path, owner, cause: Cause::Start };
        self.record_applied(reading, text, None, delayed.as_ref());
        // Units that wait for it bring the network up: whatever can be filtered is filtered now, and the rest was reported.
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            tracing::warn!("systemd was not told that the filter is in force: {error}");
        }
        Ok(())
    }

    /// Puts the prepared policy in force. Any error but [`AgentError::NotInForce`]: it is not wanted either, and nothing was changed.
    fn enforce(&mut self, cause: Cause) -> Result<Enforced, AgentError> {
        let began = Instant::now();
        let (revision, before) = (self.agent.revision(), self.agent.policy().cloned());
        let result = self.agent.enforce().and_then(|report| self.again(report, revision));
        let took = take(&mut self.preparing) + began.elapsed();
        if result.is_ok() {
            self.measure.applied(took);
        }
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                if before
                    .is_some_and(|before| self.agent.policy().is_some_and(|now| Arc::ptr_eq(&before, now)))
                {
                    return Err(error);
                }
                self.complain(std::slice::from_ref(&error));
                self.publish(None);
                return Err(AgentError::not_in_force([error]));
            }
        };
        let (nics, attached) = self.agent.nics();
        let enforced = Enforced { published: report.published, nics, attached };
        let errors = self.tell(report, Some("policy"), cause);
        if errors.is_empty() { Ok(enforced) } else { Err(AgentError::not_in_force(errors)) }
    }

    /// Makes a second attempt if devices changed since the policy was prepared, or if something failed: that may be all it needs.
    /// `report` is that of the first, before which the agent had this revision.
    fn again(&mut self, mut report: Report, revision: u64) -> Result<Report, AgentError> {
        if self.agent.is_settled() {
            return Ok(report);
        }
        match self.scan_and_resync() {
            Ok(again) => {
                report.lines.extend(again.lines);
                report.warnings.extend(again.warnings);
                report.errors = again.errors;
                report.published += again.published;
            }
            Err(error) if self.agent.revision() == revision => return Err(error),
            // What the first attempt did is in force, and is told.
            Err(error) => report.errors.push(error),
        }
        Ok(report)
    }

    fn scan_and_resync(&mut self) -> Result<Report, AgentError> {
        let report = self.agent.resync(&devices::scan()?)?;
        self.agent.forget_reverted();
        Ok(report)
    }

    fn resync(&mut self, why: Cause) {
        match self.scan_and_resync() {
            Ok(report) => {
                let cause = (report.published > 0).then_some("devices");
                self.tell(report, cause, why);
            }
            Err(error) => {
                self.complain(&[error]);
                self.publish(None);
            }
        }
    }

    /// Reports what happened, with `cause` if a change is in force now, and returns what went wrong. `why` is for readers.
    fn tell(&mut self, report: Report, cause: Option<&'static str>, why: Cause) -> Vec<AgentError> {
        self.pass_on_meanwhile();
        let Report { lines, warnings, errors, published } = report;
        let changed = cause.is_some() || why == Cause::Start || !lines.is_empty();
        lines.iter().for_each(emit);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        self.complain(&errors);
        // Whoever is told of a change must find it.
        self.publish(changed.then_some(why));
        let (nics, attached) = self.agent.nics();
        if let Some(cause) = cause {
            emit(&StatusEvent::Applied { cause, nics, published });
        }
        if !self.ready && self.agent.is_complete() {
            self.ready = true;
            let pinned = self.agent.pinned();
            emit(&StatusEvent::Ready { instance: self.instance.to_owned(), nics, attached, pinned });
        }
        errors
    }

    /// Lets readers see what is in force now, with `cause` if that changed.
    fn publish(&mut self, cause: Option<Cause>) {
        let revision = self.agent.revision();
        self.publisher.publish(|| self.agent.in_force(), revision, cause, &self.complaints);
    }

    fn complain(&mut self, errors: &[AgentError]) {
        let complaints: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for complaint in &complaints {
            if self.complaints.contains(complaint) {
                tracing::debug!("still: {complaint}");
            } else {
                tracing::error!("{complaint}");
            }
        }
        self.complaints = complaints;
    }
}

/// The span of a reconciliation. Its log lines carry the cause: a change of the `policy` or of the `devices`, or the `retry` of
/// what failed. It has the highest level, so that it is in every line that `RUST_LOG` lets through.
fn reconciling(cause: &'static str) -> tracing::Span {
    tracing::error_span!("reconcile", %cause)
}

#[cfg(test)]
mod tests;
