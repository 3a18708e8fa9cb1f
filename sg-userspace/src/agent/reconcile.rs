//! The agent: it makes what is in force equal to what is wanted, and remembers it in the catalog.
//!
//! Everything that can refuse a policy comes before the first step (`prepare`), so a refused policy changes nothing. A step that fails is reported, the steps of other NICs go on,
//! and what is missing is tried again. This file must never print, watch or wait: `run` does.

use std::{collections::BTreeSet, mem::take, path::PathBuf};

use sg_common::abi::NIC_COUNTERS;

use super::{
    AgentError, Catalog, EnforcerError, NicRecord,
    announce::Line,
    devices::{Devices, Found},
    enforcer::Enforcer,
    images::Images,
    nic_block,
    plan::{Step, Wanted, plan},
    prepare::{Prepared, prepare, unfit},
};
use crate::model::Policy;

/// What one look brought.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
    pub(super) errors: Vec<AgentError>,
    /// How many images were published.
    pub(super) published: usize,
}

/// The policy in force, and what enforces it.
#[derive(Debug)]
pub(super) struct Agent<E> {
    enforcer: E,
    catalog: Catalog,
    path: PathBuf,
    images: Images,
    policy: Option<Policy>,
    /// The devices of the policy's NICs when they were last looked at.
    seen: Vec<Option<Found>>,
    /// NICs whose device does not exist, as far as that was said.
    waiting: BTreeSet<String>,
    /// Numbers that have a new owner and still count the old one's packets.
    unreset: Vec<u32>,
    /// The file is behind the catalog.
    unsaved: bool,
    settled: bool,
    /// A NIC has a device that cannot be filtered. Nothing to try again, and not all is well.
    unfit: bool,
}

impl<E: Enforcer> Agent<E> {
    /// An agent that continues `catalog`, which is kept in the file `path`.
    pub(super) fn new(enforcer: E, mut catalog: Catalog, path: PathBuf, budget_words: usize) -> Self {
        catalog.pid = std::process::id();
        Self {
            enforcer,
            catalog,
            path,
            images: Images::new(budget_words),
            policy: None,
            seen: Vec::new(),
            waiting: BTreeSet::new(),
            unreset: Vec::new(),
            unsaved: true,
            settled: false,
            unfit: false,
        }
    }

    /// Makes `policy` the one in force. On an error everything is as it was.
    pub(super) fn apply(&mut self, mut policy: Policy, devices: &Devices) -> Result<Report, AgentError> {
        unfit(&policy, devices).pop().map_or(Ok(()), Err)?;
        let report = self.reconcile(&mut policy, devices)?;
        self.seen = seen(&policy, devices);
        self.policy = Some(policy);
        self.unfit = false;
        Ok(report)
    }

    /// Looks whether the devices are still as the policy in force needs them.
    pub(super) fn look_again(&mut self, devices: &Devices) -> Result<Report, AgentError> {
        let Some(mut policy) = self.policy.take() else { return Ok(Report::default()) };
        let seen = seen(&policy, devices);
        let result = if self.settled && seen == self.seen {
            Ok(Report::default())
        } else {
            self.reconcile(&mut policy, devices).map(|mut report| {
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

    /// Whether nothing is left to be done until something changes.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether every NIC whose device exists is filtered.
    pub(super) fn is_complete(&self) -> bool {
        self.settled && !self.unfit
    }

    /// The NICs, and how many of them are attached.
    pub(super) fn nics(&self) -> (usize, usize) {
        (self.catalog.nics.len(), self.hooked().count())
    }

    /// Deletes flows that were silent for too long.
    pub(super) fn sweep(&mut self) -> Result<usize, AgentError> {
        let failed = |source| AgentError::Step { doing: "sweep the flow table".to_owned(), source };
        self.enforcer.sweep().map_err(failed)
    }

    fn reconcile(&mut self, policy: &mut Policy, devices: &Devices) -> Result<Report, AgentError> {
        let mut prepared = prepare(policy, devices, &self.catalog, &self.images)?;
        // From here on nothing refuses.
        let numbers = take(&mut prepared.numbers);
        self.unsaved |= numbers != self.catalog.numbers;
        self.catalog.numbers = numbers;
        self.unreset.append(&mut prepared.reused);
        let steps = plan(&prepared.wanted, &self.catalog.nics, self.unreset.clone());
        let hooked: BTreeSet<String> = self.hooked().map(|nic| nic.device.clone()).collect();
        let mut report = Report::default();
        self.carry_out(&steps, &prepared, &mut report);
        self.describe(&prepared.fresh);
        if self.unsaved
            && let Err(error) = self.save()
        {
            report.errors.push(error);
        }
        self.note_absent(&prepared.wanted, &hooked, &mut report);
        self.settled = report.errors.is_empty();
        Ok(report)
    }

    fn carry_out(&mut self, steps: &[Step], prepared: &Prepared, report: &mut Report) {
        let mut failed = BTreeSet::new();
        for step in steps {
            if step.slot().is_some_and(|slot| failed.contains(&slot)) {
                log::debug!("left out after a failure: {step}");
                continue;
            }
            log::debug!("{step}");
            if let Err(source) = self.act(step, prepared, report) {
                failed.extend(step.slot());
                report.errors.push(AgentError::Step { doing: step.to_string(), source });
            }
        }
    }

    fn act(&mut self, step: &Step, prepared: &Prepared, report: &mut Report) -> Result<(), EnforcerError> {
        let record = step.slot().and_then(|slot| self.catalog.slot_mut(slot));
        let compiled = step.slot().and_then(|slot| prepared.compiled.get(&slot));
        match (step, record, compiled) {
            (Step::Record, _, _) => {
                self.describe(&prepared.fresh);
                self.save()?;
            }
            (Step::ResetCounters { numbers }, _, _) => {
                self.enforcer.reset_counters(numbers)?;
                self.unreset.clear();
            }
            (Step::ForgetFlows { slot, .. }, _, _) => self.enforcer.forget_flows(*slot)?,
            (Step::Claim { slot, .. }, _, _) => {
                let block = nic_block(*slot);
                self.enforcer.forget_flows(*slot)?;
                self.enforcer.reset_counters(&(block..block + NIC_COUNTERS).collect::<Vec<u32>>())?;
                self.catalog.nics.extend(prepared.fresh.iter().find(|nic| nic.slot == *slot).cloned());
                self.unsaved = true;
            }
            (Step::Withdraw { slot, device }, _, _) => {
                self.enforcer.withdraw(*slot)?;
                self.catalog.nics.retain(|nic| nic.slot != *slot);
                report.lines.push(Line::Detached { device: device.clone() });
                self.unsaved = true;
            }
            (Step::Detach { slot, device }, Some(record), _) => {
                self.enforcer.detach(*slot, device)?;
                (record.ifindex, record.current) = (None, false);
                self.unsaved = true;
            }
            (Step::Stamp { .. }, Some(record), Some(compiled)) => {
                record.generation = compiled.generation;
                self.unsaved = true;
            }
            (Step::Publish { slot, .. }, Some(record), Some(compiled)) => {
                // Whatever a failure leaves in force, it is not known to be this one.
                record.published = None;
                self.enforcer.publish(*slot, &compiled.image)?;
                record.published = Some(compiled.fingerprint);
                report.published += 1;
            }
            (Step::Attach { slot, device }, Some(record), _) => {
                self.enforcer.attach(*slot, device)?;
                (record.ifindex, record.current) = (Some(device.index), true);
                report.lines.push(Line::Attached { device: device.name.clone() });
                self.unsaved = true;
            }
            // A NIC that was never entered: the step that failed to enter it was reported.
            (Step::Detach { .. } | Step::Stamp { .. } | Step::Publish { .. } | Step::Attach { .. }, _, _) => {
            }
        }
        Ok(())
    }

    /// Lets the catalog say of each NIC what the policy says, in the order of the document.
    fn describe(&mut self, fresh: &[NicRecord]) {
        let place = |slot: u16| fresh.iter().position(|nic| nic.slot == slot).unwrap_or(usize::MAX);
        let before = self.catalog.nics.clone();
        self.catalog.nics.sort_by_key(|record| place(record.slot));
        for record in &mut self.catalog.nics {
            let NicRecord { slot, ifindex, generation, published, current, .. } = *record;
            let same = |nic: &&NicRecord| nic.slot == slot && nic.device == record.device;
            if let Some(nic) = fresh.iter().find(same).cloned() {
                *record = NicRecord { ifindex, generation, published, current, ..nic };
            }
        }
        self.unsaved |= before != self.catalog.nics;
    }

    fn save(&mut self) -> Result<(), AgentError> {
        self.unsaved = true;
        self.catalog.save(&self.path)?;
        self.unsaved = false;
        Ok(())
    }

    fn hooked(&self) -> impl Iterator<Item = &NicRecord> {
        self.catalog.nics.iter().filter(|nic| nic.ifindex.is_some())
    }

    /// Says once of each NIC that its device is not there. `hooked` were attached before.
    fn note_absent(&mut self, wanted: &[Wanted], hooked: &BTreeSet<String>, report: &mut Report) {
        let absent = wanted.iter().filter(|nic| nic.index.is_none()).map(|nic| nic.device.clone());
        let absent: BTreeSet<String> = absent.collect();
        for device in absent.difference(&self.waiting).cloned() {
            let gone = hooked.contains(&device);
            report.lines.push(if gone { Line::Gone { device } } else { Line::Waiting { device } });
        }
        self.waiting = absent;
    }
}

/// What the policy's NICs look like on the host.
fn seen(policy: &Policy, devices: &Devices) -> Vec<Option<Found>> {
    policy.nics().iter().map(|nic| devices.get(&nic.device).cloned()).collect()
}

#[cfg(test)]
mod tests;
