//! The agent: makes what is in force equal to what is wanted, and records it in the catalog.
//!
//! Everything that can refuse a policy is checked while it is prepared, so a refused policy changes nothing. The program is
//! loaded for the first policy that is put in force. What is missing is retried. This file must never print, watch or wait:
//! `lifecycle` does, which calls it.

use std::{collections::BTreeSet, fmt, mem::take, path::PathBuf, sync::Arc};

use sg_kernel::{Aged, Denial, Device, FlowReport, Jiffies, Lasts};
use sg_model::Policy;

use super::{
    candidate::{Candidate, Expected},
    enforcer::Enforcer,
    pending::{Before, Confirm},
    report::{Report, StatusEvent},
};
use crate::{
    error::AgentError,
    host::{
        catalog::Catalog,
        devices::{Devices, Found},
        error::HostError,
    },
    plan::{
        prepare::{Prepared, fill_in, prepare, unfit},
        steps::{Step, Wanted, plan},
        unfiltered::{self, Unfiltered},
    },
    state::{candidate::CandidateNic, images::Images, in_force::Enforcing, records::Records},
};

/// Loads the program, and takes over or detaches what an earlier layout left. Called when the first policy is put in force, and
/// again if that failed.
pub type Load<E> = Box<dyn FnMut(&Catalog) -> Result<E, AgentError> + Send>;

/// A policy that is ready to be put in force.
pub(super) struct Next {
    policy: Arc<Policy>,
    pub(super) prepared: Prepared,
    unfiltered: Unfiltered,
    /// The devices it was prepared for.
    seen: Vec<Option<Found>>,
    /// The agent's revision when it was prepared: the preparation is valid as long as nothing was attempted since.
    revision: u64,
    /// How it is to be confirmed, if it is.
    confirm: Option<Confirm>,
    /// Whether it is the candidate.
    is_candidate: bool,
}

/// The policy in force, and what enforces it: a [`Datapath`](sg_kernel::Datapath), or a double of it where nothing is to be in
/// force.
pub struct Agent<E> {
    load: Load<E>,
    enforcer: Option<E>,
    /// The contents of the file, written or not yet.
    pub(super) catalog: Catalog,
    /// What is in force.
    pub(super) records: Records,
    path: PathBuf,
    pub(super) images: Images,
    pub(super) next: Option<Next>,
    /// The wanted policy; it is fully in force once the agent is settled.
    policy: Option<Arc<Policy>>,
    /// The devices of the policy's NICs at the last look.
    seen: Vec<Option<Found>>,
    /// NICs that were reported to have no device.
    waiting: BTreeSet<String>,
    /// Numbers that have a new owner and still hold the old one's counts.
    pub(super) unreset: Vec<u32>,
    /// Whether the file is older than the catalog.
    unsaved: bool,
    settled: bool,
    /// Whether a NIC has a device that cannot be filtered: there is nothing to retry, and yet not all is in force.
    unfit: bool,
    /// Counts the attempts to change anything.
    revision: u64,
    /// What was read about traffic before numbers changed their meaning; `None` if nobody observes it.
    meanwhile: Option<Vec<Meanwhile>>,
    /// The programs' clock, when it was read last.
    clock: Jiffies,
    /// The policy before the change that is to be confirmed, which the catalog describes.
    pub(super) before: Option<Before>,
    /// The policy that is asked beside the one in force.
    pub(super) candidate: Option<Candidate>,
    /// The NICs of the candidate that has just been put in force.
    pub(super) promotion: Option<Vec<CandidateNic>>,
    /// What the next policy that is prepared is to be.
    pub(super) expected: Expected,
}

/// What was read about traffic, and what the numbers in it mean.
pub(crate) struct Meanwhile {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) at: Jiffies,
    pub(crate) denials: Vec<Denial>,
    pub(crate) flows: Vec<FlowReport>,
}

impl<E> fmt::Debug for Agent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("catalog", &self.path).finish_non_exhaustive()
    }
}

impl<E: Enforcer> Agent<E> {
    /// Creates an agent that continues `catalog`, which is kept in the file `path`, with images of up to `budget_words`.
    #[must_use]
    pub fn new(load: Load<E>, mut catalog: Catalog, path: PathBuf, budget_words: usize) -> Self {
        catalog.pid = std::process::id();
        Self {
            load,
            enforcer: None,
            records: catalog.nics.iter().cloned().map(Into::into).collect(),
            catalog,
            path,
            images: Images::new(budget_words),
            next: None,
            policy: None,
            seen: Vec::new(),
            waiting: BTreeSet::new(),
            unreset: Vec::new(),
            unsaved: true,
            settled: false,
            unfit: false,
            revision: 0,
            meanwhile: None,
            clock: Jiffies::default(),
            before: None,
            candidate: None,
            promotion: None,
            expected: Expected::Any,
        }
    }

    /// From now on, somebody observes traffic.
    pub(crate) fn observed(&mut self) {
        self.meanwhile.get_or_insert_default();
    }

    /// What was read about traffic before numbers changed their meaning.
    pub(crate) fn take_meanwhile(&mut self) -> Vec<Meanwhile> {
        self.meanwhile.as_mut().map(take).unwrap_or_default()
    }

    /// Checks everything that can refuse `policy`, and keeps it as the next one. On an error the next policy stays the one
    /// before, and everything else is unchanged.
    ///
    /// # Errors
    /// Why the policy is refused.
    pub fn prepare(&mut self, policy: Policy, devices: &Devices) -> Result<(), AgentError> {
        self.refuse_beside_pending()?;
        self.prepare_next(policy, devices, None)
    }

    /// The same, whatever is pending.
    pub(super) fn prepare_next(
        &mut self,
        policy: Policy,
        devices: &Devices,
        confirm: Option<Confirm>,
    ) -> Result<(), AgentError> {
        unfit(&policy, devices).pop().map_or(Ok(()), Err)?;
        let mut policy = Arc::new(policy);
        fill_in(&mut policy, devices);
        let is_candidate = self.prepare_promotion(&policy);
        let prepared = self.prepared(&policy, devices, confirm.is_some())?;
        if is_candidate {
            self.check_promotion(&policy, &prepared)?;
        }
        let unfiltered = self.unfiltered(&prepared, devices);
        let seen = seen(&policy, devices);
        let revision = self.revision;
        self.next = Some(Next { policy, prepared, unfiltered, seen, revision, confirm, is_candidate });
        Ok(())
    }

    fn prepared(&mut self, policy: &Policy, devices: &Devices, begins: bool) -> Result<Prepared, AgentError> {
        let goes_back = begins || self.goes_back();
        prepare(policy, devices, &self.catalog, &self.records, &mut self.images, goes_back)
    }

    /// Puts the policy prepared last in force. If the agent is not settled afterwards, call [`Self::resync`].
    ///
    /// # Errors
    /// If the program cannot be loaded. Steps that failed are in the report.
    pub fn enforce(&mut self) -> Result<Report, AgentError> {
        let Some(next) = self.next.take() else { return Ok(Report::default()) };
        if let Some(confirm) = next.confirm {
            if next.revision != self.revision {
                return Err(AgentError::Outdated);
            }
            let candidate = if next.is_candidate { self.candidate.take() } else { None };
            let applied =
                self.apply(&next.policy, next.prepared, next.unfiltered, Some((confirm, next.seen)));
            match (candidate, &applied) {
                // Nothing was changed.
                (candidate @ Some(_), Err(_)) => self.candidate = candidate,
                (candidate, _) => self.promoted(candidate),
            }
            return applied;
        }
        let candidate = if next.is_candidate { self.candidate.take() } else { None };
        self.promoted(candidate);
        // From here on it is the wanted policy, whatever fails.
        self.policy = Some(Arc::clone(&next.policy));
        self.seen = next.seen;
        self.unfit = false;
        self.settled = false;
        if next.revision != self.revision {
            return Ok(Report::default());
        }
        self.apply(&next.policy, next.prepared, next.unfiltered, None)
    }

    /// Checks whether the devices are still as the policy in force needs them, and retries what failed.
    ///
    /// # Errors
    /// As of [`Self::prepare`] and [`Self::enforce`].
    pub fn resync(&mut self, devices: &Devices) -> Result<Report, AgentError> {
        let Some(mut policy) = self.policy.take() else { return Ok(Report::default()) };
        let seen = seen(&policy, devices);
        let is_as_it_was = seen == self.seen && !unfiltered::is_stale(&self.catalog.left, devices);
        let result = if self.settled && is_as_it_was {
            Ok(Report::default())
        } else {
            fill_in(&mut policy, devices);
            self.prepared(&policy, devices, false)
                .and_then(|prepared| {
                    let unfiltered = self.unfiltered(&prepared, devices);
                    self.apply(&policy, prepared, unfiltered, None)
                })
                .map(|mut report| {
                    let unfit = unfit(&policy, devices);
                    self.unfit = !unfit.is_empty();
                    report.errors.extend(unfit);
                    report
                })
        };
        // Also after an error: the same devices would only give the same error again.
        self.seen = seen;
        self.policy = Some(policy);
        result
    }

    /// Whether nothing is left to do until something changes.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled || self.policy.is_none()
    }

    /// Whether every NIC whose device exists is filtered.
    pub(crate) fn is_complete(&self) -> bool {
        self.settled && !self.unfit
    }

    /// What is in force for each NIC.
    pub(crate) const fn records(&self) -> &Records {
        &self.records
    }

    /// The wanted policy.
    pub(crate) const fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// What is in force now, with a copy of the catalog.
    pub(crate) fn in_force(&self) -> Enforcing {
        let images = self.records.iter().filter_map(|record| Some((record.nic.slot, record.image?)));
        let mut catalog = self.catalog.clone();
        if matches!(self.before, Some(Before::Wanted | Before::Confirmed)) {
            // It is settled; what is left to do is the agent's.
            catalog.pending = None;
        }
        Enforcing {
            catalog: Arc::new(catalog),
            policy: self.policy.clone(),
            images: images.collect(),
            candidate: self.candidate().cloned(),
            unreset: self.unreset.iter().copied().collect(),
        }
    }

    /// Counts the attempts to change anything, so that a caller notices one.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// How long pins last.
    pub(crate) fn pinned(&self) -> Lasts {
        self.catalog.pinned
    }

    /// The number of NICs, and of attached ones.
    #[must_use]
    pub fn nics(&self) -> (usize, usize) {
        (self.records.len(), self.records.hooked().count())
    }

    /// Deletes expired flows from a part of the table.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn age_some(&mut self) -> Result<Aged, AgentError> {
        let nothing = Aged { is_last: true, ..Aged::default() };
        let aged = self.enforcer.as_mut().map_or(Ok(nothing), Enforcer::age_some);
        let doing = "age the flow table".to_owned();
        let aged = aged.map_err(|source| AgentError::Step { device: None, doing, source })?;
        self.clock = aged.at;
        Ok(aged)
    }

    /// Makes the next pass of [`Self::age_some`] report live flows, too.
    pub fn report_live_flows(&mut self) {
        if let Some(enforcer) = &mut self.enforcer {
            enforcer.report_live_flows();
        }
    }

    /// Takes the counts of packets that did not pass, and says when.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn collect_denied(&mut self) -> Result<(Jiffies, Vec<Denial>), AgentError> {
        let nothing = (Jiffies::default(), Vec::new());
        let taken = self.enforcer.as_mut().map_or(Ok(nothing), Enforcer::collect_denied);
        let doing = "read what was denied".to_owned();
        let (at, denials) = taken.map_err(|source| AgentError::Step { device: None, doing, source })?;
        self.clock = at;
        Ok((at, denials))
    }

    fn unfiltered(&self, prepared: &Prepared, devices: &Devices) -> Unfiltered {
        Unfiltered::look(prepared, &self.records, &self.catalog, &self.waiting, devices)
    }

    fn apply(
        &mut self,
        policy: &Arc<Policy>,
        mut prepared: Prepared,
        unfiltered: Unfiltered,
        confirm: Option<(Confirm, Vec<Option<Found>>)>,
    ) -> Result<Report, AgentError> {
        self.revision += 1;
        let mut enforcer = match self.enforcer.take() {
            Some(enforcer) => enforcer,
            None => (self.load)(&self.catalog)?,
        };
        let goes_back = confirm.is_some() || self.goes_back();
        let reset = self.unreset.iter().chain(&prepared.reused).copied().collect();
        let steps = plan(&prepared.wanted, &self.records, reset, goes_back);
        let kept = match confirm {
            Some((confirm, seen)) => {
                let begun = self.begin_change(&mut enforcer, &steps, policy, confirm);
                begun.map(|()| self.want_seen(Arc::clone(policy), seen))
            }
            None if goes_back => self.keep_more(&mut enforcer, &steps, policy),
            None => Ok(()),
        };
        if let Err(error) = kept {
            self.enforcer = Some(enforcer);
            return Err(error);
        }
        // From here on nothing refuses.
        self.unreset.append(&mut prepared.reused);
        let changes_meaning = |step: &Step| {
            matches!(step, Step::ResetCounters { .. } | Step::ForgetFlows { .. } | Step::Claim { .. })
        };
        let is_observed = self.meanwhile.is_some() && steps.iter().any(changes_meaning);
        let former = is_observed.then(|| Arc::new(self.catalog.clone()));
        let numbers = take(&mut prepared.numbers);
        self.unsaved |= numbers != self.catalog.numbers;
        self.catalog.numbers = numbers;
        let hooked: BTreeSet<String> = self.records.hooked().map(|nic| nic.device.clone()).collect();
        let mut report = Report::default();
        let denied = former.as_ref().map(|_| enforcer.collect_denied());
        self.execute(&mut enforcer, &steps, &mut prepared, &mut report);
        if let (Some(catalog), Some(denied)) = (former, denied) {
            let (at, denials) = denied.unwrap_or_else(|error| {
                tracing::warn!(
                    "what was denied before this change may be reported under later names: {error}"
                );
                (self.clock, Vec::new())
            });
            // They are of the former policy, whatever became of the denials.
            let flows = enforcer.take_reports();
            self.meanwhile.get_or_insert_default().push(Meanwhile { catalog, at, denials, flows });
        }
        if report.errors.is_empty()
            && let Err(source) = enforcer.remove_older(&self.hooked_devices())
        {
            let doing = "remove what an earlier version left".to_owned();
            report.errors.push(AgentError::Step { device: None, doing, source });
        }
        self.enforcer = Some(enforcer);
        self.describe(&prepared);
        let (left, warnings) = unfiltered.tell(&self.records, &self.catalog.left, &hooked);
        self.unsaved |= left != self.catalog.left;
        self.catalog.left = left;
        report.warnings = warnings;
        if self.unsaved
            && let Err(error) = self.save()
        {
            report.errors.push(error.into());
        }
        self.note_absent(&prepared.wanted, &hooked, &mut report);
        self.images.keep(Arc::clone(policy), prepared.known, prepared.compiled);
        self.settled = report.errors.is_empty();
        if self.settled && self.has_pending() && self.before.is_none() {
            self.forget_pending();
        }
        Ok(report)
    }

    /// Loads the program, if it is not.
    pub(super) fn load_now(&mut self) -> Result<(), AgentError> {
        if self.enforcer.is_none() {
            self.enforcer = Some((self.load)(&self.catalog)?);
        }
        Ok(())
    }

    pub(super) const fn enforcer_mut(&mut self) -> Option<&mut E> {
        self.enforcer.as_mut()
    }

    /// From now on `policy` is the wanted one; nothing of it is certain to be in force.
    pub(super) fn want(&mut self, policy: Arc<Policy>) {
        self.next = None;
        self.want_seen(policy, Vec::new());
    }

    fn want_seen(&mut self, policy: Arc<Policy>, seen: Vec<Option<Found>>) {
        (self.policy, self.seen, self.unfit) = (Some(policy), seen, false);
        self.unsettle();
    }

    /// Something of the wanted policy may not be in force.
    pub(super) const fn unsettle(&mut self) {
        self.settled = false;
        self.tell_readers();
    }

    /// Readers are to see what is in force again.
    pub(super) const fn tell_readers(&mut self) {
        self.revision += 1;
    }

    /// Updates the catalog with the policy's properties of each NIC, in the order of the policy.
    pub(super) fn describe(&mut self, prepared: &Prepared) {
        let nics = self.records.describe(&prepared.fresh, &prepared.places);
        if nics != *self.catalog.nics {
            self.catalog.nics = Arc::new(nics);
            self.unsaved = true;
        }
    }

    pub(super) fn save(&mut self) -> Result<(), HostError> {
        self.unsaved = true;
        self.catalog.save(&self.path)?;
        self.unsaved = false;
        Ok(())
    }

    fn hooked_devices(&self) -> Vec<Device> {
        let hooked = self.records.hooked();
        hooked.filter_map(|nic| Some(Device { name: nic.device.clone(), index: nic.ifindex? })).collect()
    }

    /// Reports once for each NIC that its device does not exist. `hooked` were attached before.
    fn note_absent(&mut self, wanted: &[Wanted], hooked: &BTreeSet<String>, report: &mut Report) {
        let absent = wanted.iter().filter(|nic| nic.index.is_none()).map(|nic| nic.device.clone());
        let absent: BTreeSet<String> = absent.collect();
        for device in absent.difference(&self.waiting).cloned() {
            let gone = hooked.contains(&device);
            report.lines.push(if gone {
                StatusEvent::Gone { device }
            } else {
                StatusEvent::Waiting { device }
            });
        }
        self.waiting = absent;
    }
}

/// The devices of the policy's NICs on the host.
fn seen(policy: &Policy, devices: &Devices) -> Vec<Option<Found>> {
    policy.nics().iter().map(|nic| devices.get(&nic.device).cloned()).collect()
}
