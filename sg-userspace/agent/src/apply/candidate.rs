//! A candidate: another policy whose images are asked beside those in force, and change no verdict, see [`sg_common::candidate`].
//! It must never decide what is in force. `lifecycle` sets and drops it; whatever is put in force tells it here.
//!
//! * It is compiled as if it were the next policy: for the NICs in force, with the numbers that it would get. So what is observed is
//!   what would be published, and a policy that is about to be put in force and equals the candidate is its promotion: the images of the
//!   two are compared, and must be the same.
//! * Images in force have a mark as long as they have a candidate beside them. Setting and dropping one publishes them again, with
//!   a new generation, so that every live flow is judged again, once, and the candidate is asked about it.
//! * When another policy comes in force, the candidate is compiled again for what is now in force, and counts begin anew.
//! * It ends with this process. The catalog says that there was one, so that the next can tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use sg_compile::Image;
use sg_model::Policy;

use super::{
    agent::Agent,
    enforcer::{Enforcer, EnforcerError},
};
use crate::{
    error::AgentError,
    host::{catalog::CandidateRecord, devices::Devices, numbers::Numbers},
    plan::{
        prepare::{Prepared, fill_in, unfit},
        renumber::renumber,
    },
    state::{
        candidate::{CandidateCounts, CandidateInForce, CandidateNic},
        images::digest,
    },
};

/// A policy that is to be set as the candidate.
#[derive(Debug)]
pub struct WantedCandidate {
    /// The policy.
    pub policy: Policy,
    /// The document that it was read from.
    pub text: Vec<u8>,
    /// The name of that document in a store.
    pub name: String,
    /// Who sets it.
    pub owner: String,
}

/// The candidate that is set.
#[derive(Debug)]
pub(super) struct Candidate {
    /// As readers see it.
    shown: Arc<CandidateInForce>,
    /// The policy beside which it was set.
    beside: Arc<Policy>,
}

/// What the next policy is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Any policy. The candidate is known by being equal.
    Any,
    /// The candidate, whatever the ids of its rules.
    Candidate,
}

/// Images of a candidate, and what is known of each.
type Compiled = (Numbers, Vec<(u16, Image)>, BTreeMap<u16, CandidateNic>);

impl<E: Enforcer> Agent<E> {
    /// Sets the candidate, in place of any other. Afterwards, call [`Self::resync`].
    ///
    /// # Errors
    /// If it cannot be compiled, nothing is in force beside which it could be, or a change is pending. Any other candidate stays then.
    /// If the kernel refuses, there is none afterwards.
    pub(crate) fn set_candidate(
        &mut self,
        wanted: WantedCandidate,
        devices: &Devices,
    ) -> Result<(), AgentError> {
        self.refuse_beside_pending()?;
        let WantedCandidate { policy, text, name, owner } = wanted;
        unfit(&policy, devices).pop().map_or(Ok(()), Err)?;
        let mut policy = Arc::new(policy);
        fill_in(&mut policy, devices);
        let beside = self.policy().cloned().ok_or(AgentError::NothingBefore)?;
        let (numbers, images, nics) = self.compile_candidate(&policy)?;
        let former = self.candidate.take();
        self.place_candidate(&images)?;
        let since = Timestamp::now();
        self.catalog.candidate = Some(CandidateRecord { owner: owner.clone(), since });
        let text = text.into();
        let shown = Arc::new(CandidateInForce { policy, text, name, owner, since, numbers, nics });
        let slots = former.iter().flat_map(|former| former.shown.nics.keys()).chain(shown.nics.keys());
        let slots: BTreeSet<u16> = slots.copied().collect();
        self.candidate = Some(Candidate { shown, beside });
        self.publish_again(slots);
        self.save()?;
        Ok(())
    }

    /// Drops the candidate. Returns whether there was one. Afterwards, call [`Self::resync`].
    ///
    /// # Errors
    /// If the kernel refuses. Nobody is asked any more once what is in force is published again.
    pub(crate) fn drop_candidate(&mut self) -> Result<bool, AgentError> {
        let Some(Candidate { shown, .. }) = self.candidate.take() else { return Ok(false) };
        self.end_candidate(shown.nics.keys().copied());
        self.clear_candidate().map(|()| true)
    }

    /// Sets the candidate anew where another policy is in force than that beside which it was set, or devices have changed. Returns
    /// whether it did. Call it after each change of what is in force.
    ///
    /// # Errors
    /// If it cannot be compiled for what is in force now, or the kernel refuses: there is none any more.
    pub(crate) fn renew_candidate(&mut self, devices: &Devices) -> Result<bool, AgentError> {
        let (Some(candidate), Some(policy)) = (&self.candidate, self.policy().cloned()) else {
            return Ok(false);
        };
        let (mut wanted, is_beside) =
            (Arc::clone(&candidate.shown.policy), Arc::ptr_eq(&candidate.beside, &policy));
        fill_in(&mut wanted, devices);
        if is_beside && Arc::ptr_eq(&wanted, &candidate.shown.policy) || !self.is_settled() {
            return Ok(false);
        }
        let compiled = self.compile_candidate(&wanted);
        let Some(Candidate { shown, .. }) = self.candidate.take() else { return Ok(false) };
        let renewed = compiled.and_then(|(numbers, images, nics)| {
            self.place_candidate(&images)?;
            Ok((numbers, nics))
        });
        match renewed {
            Ok((numbers, nics)) => {
                // All of them: counts begin anew, and each live flow is to be judged once.
                let slots: Vec<u16> = nics.keys().copied().collect();
                let shown = Arc::new(CandidateInForce {
                    policy: wanted,
                    text: Arc::clone(&shown.text),
                    name: shown.name.clone(),
                    owner: shown.owner.clone(),
                    since: Timestamp::now(),
                    numbers,
                    nics,
                });
                self.candidate = Some(Candidate { shown, beside: policy });
                self.publish_again(slots);
                Ok(true)
            }
            Err(error) => {
                self.end_candidate(shown.nics.keys().copied());
                self.clear_candidate()?;
                Err(error)
            }
        }
    }

    /// Whether the image of a slot has a candidate beside it.
    pub(super) fn has_candidate(&self, slot: u16) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| candidate.shown.nics.contains_key(&slot))
    }

    /// What is counted about the candidate.
    ///
    /// # Errors
    /// If there is none, or the kernel refuses.
    pub(crate) fn candidate_counts(&mut self) -> Result<CandidateCounts, AgentError> {
        if self.candidate.is_none() {
            return Err(AgentError::NoCandidate);
        }
        let enforcer = self.enforcer_mut().ok_or(AgentError::NoCandidate)?;
        let doing = "read what is counted about the candidate".to_owned();
        enforcer.candidate_counts().map_err(|source| AgentError::Step { device: None, doing, source })
    }

    /// The candidate, for readers.
    pub(crate) fn candidate(&self) -> Option<&Arc<CandidateInForce>> {
        self.candidate.as_ref().map(|candidate| &candidate.shown)
    }

    /// The next policy that is prepared is to be the candidate, whatever the ids of its rules are.
    ///
    /// # Errors
    /// If there is no candidate.
    pub(crate) const fn expect_promotion(&mut self, expected: bool) -> Result<(), AgentError> {
        let is_there = self.candidate.is_some();
        self.expected = if expected && is_there { Expected::Candidate } else { Expected::Any };
        if expected && !is_there { Err(AgentError::NoCandidate) } else { Ok(()) }
    }

    /// Whether `policy`, which is about to be prepared, is the candidate. If so, all that it publishes is compiled as a whole, as
    /// the candidate was: a patched image would decide the same, and be another one.
    pub(super) fn prepare_promotion(&mut self, policy: &Policy) -> bool {
        let slots: Vec<u16> = match &self.candidate {
            Some(Candidate { shown, .. })
                if self.expected == Expected::Candidate || *shown.policy == *policy =>
            {
                shown.nics.keys().copied().collect()
            }
            _ => return false,
        };
        for slot in slots {
            if let Some(record) = self.records.at(slot) {
                record.published = None;
            }
        }
        true
    }

    /// Refuses a promotion that would publish anything else than what was observed.
    pub(super) fn check_promotion(&self, policy: &Policy, prepared: &Prepared) -> Result<(), AgentError> {
        let Some(Candidate { shown, .. }) = &self.candidate else { return Ok(()) };
        // NICs that came or went since were not observed.
        let of_one = |one: &Policy, other: &Policy| {
            one.nics().iter().find(|nic| other.nic(&nic.device).is_none()).map(|nic| nic.device.clone())
        };
        if let Some(device) = of_one(policy, &shown.policy).or_else(|| of_one(&shown.policy, policy)) {
            return Err(AgentError::CandidateDiffers { device });
        }
        for (slot, nic) in &shown.nics {
            let Some(image) = prepared.compiled.get(slot).and_then(|compiled| compiled.whole()) else {
                continue;
            };
            if digest(image) != nic.digest {
                return Err(AgentError::CandidateDiffers { device: nic.device.clone() });
            }
        }
        Ok(())
    }

    /// This candidate is put in force: it is one no more.
    pub(super) fn promoted(&mut self, candidate: Option<Candidate>) {
        if let Some(Candidate { shown, .. }) = candidate {
            self.catalog.candidate = None;
            self.promotion = Some(shown.nics.values().cloned().collect());
            if let Err(error) = self.save() {
                tracing::error!("{error}");
            }
        }
    }

    /// The NICs of the candidate that was put in force since the last call.
    pub(crate) fn take_promoted(&mut self) -> Option<Vec<CandidateNic>> {
        let promoted = self.promotion.take()?;
        if let Err(error) = self.clear_candidate() {
            tracing::warn!("{error}");
        }
        Some(promoted)
    }

    /// The candidate of an earlier agent, which ended with it.
    pub(crate) fn take_lost_candidate(&mut self) -> Option<CandidateRecord> {
        let lost = if self.candidate.is_some() { None } else { self.catalog.candidate.take() };
        if lost.is_some()
            && let Err(error) = self.save()
        {
            tracing::error!("{error}");
        }
        lost
    }

    /// Its images for the NICs in force, with the numbers that it would get.
    fn compile_candidate(&self, policy: &Policy) -> Result<Compiled, AgentError> {
        let limits = (self.catalog.limits.nics, self.catalog.limits.counters);
        // Nothing is put in force: what is vacant stays so, as before a change that is to be confirmed.
        let numbers = renumber(&self.catalog.numbers, policy, limits, true)?.numbers;
        let (mut images, mut nics) = (Vec::new(), BTreeMap::new());
        for record in self.records.iter().filter(|record| record.nic.ifindex.is_some()) {
            let (slot, device) = (record.nic.slot, &record.nic.device);
            let Some(nic) = policy.nic(device) else { continue };
            let image = self.images.elsewhere(policy, &numbers, nic, slot)?;
            nics.insert(slot, CandidateNic { device: device.clone(), digest: digest(&image) });
            images.push((slot, image));
        }
        Ok((numbers, images, nics))
    }

    fn place_candidate(&mut self, images: &[(u16, Image)]) -> Result<(), AgentError> {
        let by_slot: Vec<(u16, &Image)> = images.iter().map(|(slot, image)| (*slot, image)).collect();
        let enforcer = self.enforcer_mut().ok_or(AgentError::NothingBefore)?;
        enforcer.set_candidate(&by_slot).map_err(failed)
    }

    fn clear_candidate(&mut self) -> Result<(), AgentError> {
        self.enforcer_mut().map_or(Ok(()), |enforcer| enforcer.set_candidate(&[]).map_err(failed))
    }

    fn end_candidate(&mut self, slots: impl IntoIterator<Item = u16>) {
        self.catalog.candidate = None;
        self.publish_again(slots);
        if let Err(error) = self.save() {
            tracing::error!("{error}");
        }
    }

    /// Publishes what is in force for these slots again, as a whole and with a new generation, at the next [`Self::resync`].
    fn publish_again(&mut self, slots: impl IntoIterator<Item = u16>) {
        for slot in slots {
            if let Some(record) = self.records.at(slot) {
                record.published = None;
            }
        }
        self.unsettle();
    }
}

fn failed(source: EnforcerError) -> AgentError {
    AgentError::Step { device: None, doing: "set the candidate".to_owned(), source }
}
