//! The agent: makes what is in force equal to what is wanted, and records it in the catalog.
//!
//! Everything that can refuse a policy is checked while it is prepared, so a refused policy changes nothing. The program is
//! loaded for the first policy that is put in force. A step that fails is reported, the steps of other NICs continue, and what is
//! missing is retried. This file must never print, watch or wait: `session` does.

use std::{collections::BTreeSet, mem::take, path::PathBuf, sync::Arc};

use sg_common::abi::NIC_COUNTERS;

use super::{
    AgentError, Catalog, EnforcerError, NicRecord,
    devices::{Devices, Found},
    enforcer::Enforcer,
    images::{Images, Leaving},
    nic_block,
    plan::{Step, Wanted, plan},
    prepare::{Prepared, fill_in, prepare, unfit},
    records::Records,
    status_events::Event,
    unfiltered::{self, Unfiltered},
};
use crate::{
    compile::Image,
    kernel::{Device, Lasts, Swept},
    model::Policy,
};

/// The log target of patches.
const PATCHES: &str = "sg_userspace::agent::patches";

/// The result of one reconciliation.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<Event>,
    /// Warnings about what may seem to be filtered and is not.
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<AgentError>,
    /// The number of published images.
    pub(super) published: usize,
}

/// Loads the program, and takes over or detaches what an earlier layout left. Called when the first policy is put in force, and
/// again if that failed.
pub(super) type Load<E> = Box<dyn FnMut(&Catalog) -> Result<E, AgentError> + Send>;

/// A policy that is ready to be put in force.
struct Next {
    policy: Arc<Policy>,
    prepared: Prepared,
    unfiltered: Unfiltered,
    /// The devices it was prepared for.
    seen: Vec<Option<Found>>,
    /// The agent's revision when it was prepared: the preparation is valid as long as nothing was attempted since.
    revision: u64,
}

/// The policy in force, and what enforces it.
pub(super) struct Agent<E> {
    load: Load<E>,
    enforcer: Option<E>,
    /// The contents of the file, written or not yet.
    catalog: Catalog,
    /// What is in force.
    records: Records,
    path: PathBuf,
    images: Images,
    next: Option<Next>,
    /// The wanted policy; it is fully in force once the agent is settled.
    policy: Option<Arc<Policy>>,
    /// The devices of the policy's NICs at the last look.
    seen: Vec<Option<Found>>,
    /// NICs that were reported to have no device.
    waiting: BTreeSet<String>,
    /// Numbers that have a new owner and still hold the old one's counts.
    unreset: Vec<u32>,
    /// Whether the file is older than the catalog.
    unsaved: bool,
    settled: bool,
    /// Whether a NIC has a device that cannot be filtered: there is nothing to retry, and yet not all is in force.
    unfit: bool,
    /// Counts the attempts to change anything.
    revision: u64,
}

impl<E: Enforcer> Agent<E> {
    /// Creates an agent that continues `catalog`, which is kept in the file `path`.
    pub(super) fn new(load: Load<E>, mut catalog: Catalog, path: PathBuf, budget_words: usize) -> Self {
        catalog.pid = std::process::id();
        Self {
            load,
            enforcer: None,
            records: Records::from(catalog.nics.clone()),
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
        }
    }

    /// Checks everything that can refuse `policy`, and keeps it as the next one. On an error the next policy stays the one
    /// before, and everything else is unchanged.
    pub(super) fn prepare(&mut self, policy: Policy, devices: &Devices) -> Result<(), AgentError> {
        unfit(&policy, devices).pop().map_or(Ok(()), Err)?;
        let mut policy = Arc::new(policy);
        fill_in(&mut policy, devices);
        let prepared = prepare(&policy, devices, &self.catalog, &self.records, &mut self.images)?;
        let unfiltered = self.unfiltered(&prepared, devices);
        let seen = seen(&policy, devices);
        self.next = Some(Next { policy, prepared, unfiltered, seen, revision: self.revision });
        Ok(())
    }

    /// Puts the policy prepared last in force. If the agent is not settled afterwards, call [`Self::resync`].
    pub(super) fn enforce(&mut self) -> Result<Report, AgentError> {
        let Some(next) = self.next.take() else { return Ok(Report::default()) };
        // From here on it is the wanted policy, whatever fails.
        self.policy = Some(Arc::clone(&next.policy));
        self.seen = next.seen;
        self.unfit = false;
        self.settled = false;
        if next.revision != self.revision {
            return Ok(Report::default());
        }
        self.apply(&next.policy, next.prepared, next.unfiltered)
    }

    /// Checks whether the devices are still as the policy in force needs them, and retries what failed.
    pub(super) fn resync(&mut self, devices: &Devices) -> Result<Report, AgentError> {
        let Some(mut policy) = self.policy.take() else { return Ok(Report::default()) };
        let seen = seen(&policy, devices);
        let is_as_it_was = seen == self.seen && !unfiltered::is_stale(&self.catalog.left, devices);
        let result = if self.settled && is_as_it_was {
            Ok(Report::default())
        } else {
            fill_in(&mut policy, devices);
            prepare(&policy, devices, &self.catalog, &self.records, &mut self.images)
                .and_then(|prepared| {
                    let unfiltered = self.unfiltered(&prepared, devices);
                    self.apply(&policy, prepared, unfiltered)
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
    pub(super) fn is_settled(&self) -> bool {
        self.settled || self.policy.is_none()
    }

    /// Whether every NIC whose device exists is filtered.
    pub(super) fn is_complete(&self) -> bool {
        self.settled && !self.unfit
    }

    /// How long pins last.
    pub(super) fn pinned(&self) -> Lasts {
        self.catalog.pinned
    }

    /// The number of NICs, and of attached ones.
    pub(super) fn nics(&self) -> (usize, usize) {
        (self.records.len(), self.hooked().count())
    }

    /// Deletes expired flows from a part of the table.
    pub(super) fn sweep_some(&mut self) -> Result<Swept, AgentError> {
        let nothing = Swept { swept: 0, is_last: true };
        let swept = self.enforcer.as_mut().map_or(Ok(nothing), Enforcer::sweep_some);
        let doing = "sweep the flow table".to_owned();
        swept.map_err(|source| AgentError::Step { device: None, doing, source })
    }

    fn unfiltered(&self, prepared: &Prepared, devices: &Devices) -> Unfiltered {
        Unfiltered::look(prepared, &self.records, &self.catalog, &self.waiting, devices)
    }

    fn apply(
        &mut self,
        policy: &Arc<Policy>,
        mut prepared: Prepared,
        unfiltered: Unfiltered,
    ) -> Result<Report, AgentError> {
        self.revision += 1;
        let mut enforcer = match self.enforcer.take() {
            Some(enforcer) => enforcer,
            None => (self.load)(&self.catalog)?,
        };
        // From here on nothing refuses.
        let numbers = take(&mut prepared.numbers);
        self.unsaved |= numbers != self.catalog.numbers;
        self.catalog.numbers = numbers;
        self.unreset.append(&mut prepared.reused);
        let steps = plan(&prepared.wanted, &self.records, self.unreset.clone());
        let hooked: BTreeSet<String> = self.hooked().map(|nic| nic.device.clone()).collect();
        let mut report = Report::default();
        self.execute(&mut enforcer, &steps, &mut prepared, &mut report);
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
            report.errors.push(error);
        }
        self.note_absent(&prepared.wanted, &hooked, &mut report);
        self.images.keep(Arc::clone(policy), prepared.known, prepared.compiled);
        self.settled = report.errors.is_empty();
        Ok(report)
    }

    fn execute(&mut self, enforcer: &mut E, steps: &[Step], prepared: &mut Prepared, report: &mut Report) {
        let mut failed = BTreeSet::new();
        // Images are published together, with one wait for all of them.
        for steps in steps.chunk_by(|a, b| a.is_publish() && b.is_publish()) {
            let is_left = |step: &&Step| step.slot().is_none_or(|slot| !failed.contains(&slot));
            let steps: Vec<&Step> = steps.iter().filter(is_left).collect();
            for step in &steps {
                log::debug!("{step}");
            }
            let results = match steps[..] {
                [step] if !step.is_publish() => vec![self.act(enforcer, step, prepared, report)],
                _ => self.publish(enforcer, &steps, prepared, report),
            };
            for (step, result) in steps.iter().zip(results) {
                if let Err(source) = result {
                    failed.extend(step.slot());
                    let device = step.device().map(str::to_owned);
                    report.errors.push(AgentError::Step { device, doing: step.to_string(), source });
                }
            }
        }
    }

    /// Executes steps that are all [`Step::Publish`].
    fn publish(
        &mut self,
        enforcer: &mut E,
        steps: &[&Step],
        prepared: &mut Prepared,
        report: &mut Report,
    ) -> Vec<Result<(), EnforcerError>> {
        let images = &mut self.images;
        let mut leave = |step: &&Step| {
            let slot = step.slot()?;
            images.leave(slot, prepared.compiled.remove(&slot)?)
        };
        let leaving: Vec<Option<Leaving>> = steps.iter().map(&mut leave).collect();
        let mut patched = BTreeSet::new();
        for Leaving { slot, patch, .. } in leaving.iter().flatten() {
            if let Some(record) = self.records.at(*slot) {
                // After a failure it is unknown whether this image is in force.
                record.published = None;
            }
            let Some(patch) = patch else { continue };
            match enforcer.patch(*slot, patch) {
                Ok(true) => {
                    let words = patch.appended.len();
                    log::debug!(target: PATCHES, "the image in slot {slot} is patched, with {words} words more");
                    patched.insert(*slot);
                }
                Ok(false) => {
                    log::debug!(target: PATCHES, "the image in slot {slot} is not one to be patched");
                }
                Err(error) => log::debug!(target: PATCHES, "cannot patch the image in slot {slot}: {error}"),
            }
        }
        // Images that could not be patched are published as a whole.
        let whole = leaving.iter().flatten().filter(|leaving| !patched.contains(&leaving.slot));
        let whole: Vec<(u16, &Image)> = whole.map(|leaving| (leaving.slot, leaving.image())).collect();
        let published = if whole.is_empty() { Vec::new() } else { enforcer.publish(&whole) };
        let mut published = published.into_iter();
        let mut arrive = |leaving: Option<Leaving>| {
            let Some(leaving) = leaving else {
                return Err("it was not prepared for what is in force".into());
            };
            if !patched.contains(&leaving.slot) {
                published.next().transpose()?;
            }
            if let Some(record) = self.records.at(leaving.slot) {
                record.published = Some(leaving.fingerprint());
                report.published += 1;
            }
            self.images.arrived(leaving);
            Ok(())
        };
        leaving.into_iter().map(&mut arrive).collect()
    }

    /// Executes any other step.
    fn act(
        &mut self,
        enforcer: &mut E,
        step: &Step,
        prepared: &mut Prepared,
        report: &mut Report,
    ) -> Result<(), EnforcerError> {
        let record = step.slot().and_then(|slot| self.records.at(slot));
        match (step, record) {
            (Step::Record, _) => {
                self.describe(prepared);
                self.save()?;
            }
            (Step::ResetCounters { numbers }, _) => {
                enforcer.reset_counters(numbers)?;
                self.unreset.clear();
            }
            (Step::ForgetFlows { slot, .. }, _) => enforcer.forget_flows(*slot)?,
            (Step::Claim { slot, .. }, _) => {
                let block = nic_block(*slot);
                enforcer.forget_flows(*slot)?;
                enforcer.reset_counters(&(block..block + NIC_COUNTERS).collect::<Vec<u32>>())?;
                if let Some(fresh) = prepared.fresh_at(*slot) {
                    self.records.enter(fresh.clone());
                }
            }
            (Step::Withdraw { slot, device }, _) => {
                enforcer.withdraw(*slot)?;
                self.records.remove(*slot);
                self.images.forget(*slot);
                report.lines.push(Event::Detached { device: device.clone() });
            }
            (Step::Detach { slot, device }, Some(record)) => {
                enforcer.detach(*slot, device)?;
                (record.ifindex, record.current) = (None, false);
            }
            (Step::Stamp { slot, .. }, Some(record)) => {
                record.generation = record.generation.wrapping_add(1);
                if let Some(compiled) = prepared.compiled.get_mut(slot) {
                    compiled.set_generation(record.generation);
                }
            }
            (Step::Attach { slot, device, hook }, Some(record)) => {
                enforcer.attach(*slot, device, *hook)?;
                (record.ifindex, record.hook, record.current) = (Some(device.index), *hook, true);
                report.lines.push(Event::Attached { device: device.name.clone() });
            }
            // A NIC that was never registered: the failure of the step that should have was reported.
            (Step::Detach { .. } | Step::Stamp { .. } | Step::Publish { .. } | Step::Attach { .. }, _) => {}
        }
        Ok(())
    }

    /// Updates the catalog with the policy's properties of each NIC, in the order of the policy.
    fn describe(&mut self, prepared: &Prepared) {
        let nics = self.records.describe(prepared);
        if nics != self.catalog.nics {
            self.catalog.nics = nics;
            self.unsaved = true;
        }
    }

    fn save(&mut self) -> Result<(), AgentError> {
        self.unsaved = true;
        self.catalog.save(&self.path)?;
        self.unsaved = false;
        Ok(())
    }

    fn hooked(&self) -> impl Iterator<Item = &NicRecord> {
        self.records.iter().filter(|nic| nic.ifindex.is_some())
    }

    fn hooked_devices(&self) -> Vec<Device> {
        self.hooked()
            .filter_map(|nic| Some(Device { name: nic.device.clone(), index: nic.ifindex? }))
            .collect()
    }

    /// Reports once for each NIC that its device does not exist. `hooked` were attached before.
    fn note_absent(&mut self, wanted: &[Wanted], hooked: &BTreeSet<String>, report: &mut Report) {
        let absent = wanted.iter().filter(|nic| nic.index.is_none()).map(|nic| nic.device.clone());
        let absent: BTreeSet<String> = absent.collect();
        for device in absent.difference(&self.waiting).cloned() {
            let gone = hooked.contains(&device);
            report.lines.push(if gone { Event::Gone { device } } else { Event::Waiting { device } });
        }
        self.waiting = absent;
    }
}

/// The devices of the policy's NICs on the host.
fn seen(policy: &Policy, devices: &Devices) -> Vec<Option<Found>> {
    policy.nics().iter().map(|nic| devices.get(&nic.device).cloned()).collect()
}

#[cfg(test)]
mod incremental;
#[cfg(test)]
mod patched;
#[cfg(test)]
pub(super) mod tests;
