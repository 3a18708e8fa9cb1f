//! Executes the steps of a plan, by an [`Enforcer`], and keeps the records true: each says what is in force after every step,
//! failed or not. It must never decide what is to be done: `plan` did. Called by `agent`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sg_common::abi::NIC_COUNTERS;
use sg_compile::Image;

use super::{
    agent::Agent,
    enforcer::{Enforcer, EnforcerError},
    report::{Report, StatusEvent},
};
use crate::{
    error::AgentError,
    host::numbers::nic_block,
    plan::{prepare::Prepared, steps::Step},
    state::{images::Leaving, in_force::PublishedImage, records::NicState},
};

/// The log target of patches.
const PATCHES: &str = "sg_agent::patches";

impl<E: Enforcer> Agent<E> {
    /// Executes `steps` in their order. A step that fails is reported, and the later steps of its slot are skipped; those of other
    /// NICs continue.
    pub(super) fn execute(
        &mut self,
        enforcer: &mut E,
        steps: &[Step],
        prepared: &mut Prepared,
        report: &mut Report,
    ) {
        let mut failed = BTreeSet::new();
        // Images are published together, with one wait for all of them.
        for steps in steps.chunk_by(|a, b| a.is_publish() && b.is_publish()) {
            let is_left = |step: &&Step| step.slot().is_none_or(|slot| !failed.contains(&slot));
            let steps: Vec<&Step> = steps.iter().filter(is_left).collect();
            for step in &steps {
                tracing::debug!("{step}");
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
        let change = self.change();
        let mut leave = |step: &&Step| {
            let slot = step.slot()?;
            let has_candidate = self.has_candidate(slot);
            self.images.leave(slot, prepared.compiled.remove(&slot)?, change, has_candidate)
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
                    tracing::debug!(target: PATCHES, "the image in slot {slot} is patched, with {words} words more");
                    patched.insert(*slot);
                }
                Ok(false) => {
                    tracing::debug!(target: PATCHES, "the image in slot {slot} is not one to be patched");
                }
                Err(error) => {
                    tracing::debug!(target: PATCHES, "cannot patch the image in slot {slot}: {error}");
                }
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
                let bytes = size_of_val(leaving.image().words()) as u64;
                record.image = Some(PublishedImage { bytes, at: Timestamp::now() });
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
        let goes_back = self.goes_back();
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
                report.lines.push(StatusEvent::Detached { device: device.clone() });
            }
            (Step::Detach { slot, device }, Some(record)) => {
                enforcer.detach(*slot, device)?;
                (record.nic.ifindex, record.current) = (None, false);
            }
            (Step::Stamp { slot, .. }, Some(record)) => {
                let NicState { nic: record, .. } = record;
                record.generation = record.generation.wrapping_add(1);
                if let Some(compiled) = prepared.compiled.get_mut(slot) {
                    compiled.set_generation(record.generation);
                }
            }
            (Step::Attach { slot, device, hook }, Some(record)) => {
                // What is at the other hook is taken off by attaching once more, when it is certain that it may.
                let has_other = record.nic.ifindex.is_some() && (record.nic.hook != *hook || !record.current);
                let keeps_other = goes_back && has_other;
                if keeps_other {
                    enforcer.attach_too(*slot, device, *hook)?;
                } else {
                    enforcer.attach(*slot, device, *hook)?;
                }
                (record.nic.ifindex, record.nic.hook, record.current) =
                    (Some(device.index), *hook, !keeps_other);
                report.lines.push(StatusEvent::Attached { device: device.name.clone() });
            }
            // A NIC that was never registered: the failure of the step that should have was reported.
            (Step::Detach { .. } | Step::Stamp { .. } | Step::Publish { .. } | Step::Attach { .. }, _) => {}
        }
        Ok(())
    }
}
