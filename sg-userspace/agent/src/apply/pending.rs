//! A change that is to be confirmed: beginning it, and what becomes of it. What decides is a word in the kernel, see
//! [`sg_common::pending`]; here it is made formal. It must never wait for a deadline: `lifecycle` does, which calls it.
//!
//! 1. What is in force is kept, the change begins, and the catalog says so; then its images are published with its id.
//! 2. Until it is settled, NICs that it takes out keep enforcing, and slots, numbers and images of the policy before stay as they are.
//! 3. If it was confirmed, what was kept is forgotten, and the next [`Agent::resync`] does what was put off. If it is over, the policy
//!    before is the wanted one again. Packets meet it already; published anew, it does not depend on the word any more.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sg_compile::Image;
use sg_model::{Policy, Role};

use super::{
    agent::Agent,
    enforcer::{Enforcer, Settle, Settled},
};
use crate::{
    error::AgentError,
    host::{
        catalog::PendingRecord,
        devices::Devices,
        numbers::{Numbers, nic_block},
    },
    plan::steps::Step,
};

/// How a change is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// How long it is in force without, in seconds.
    pub seconds: u32,
    /// Who makes it.
    pub owner: String,
}

/// The policy before a change that is to be confirmed.
#[derive(Debug)]
pub(super) enum Before {
    /// The change may go back to it.
    Kept(Arc<Policy>),
    /// The change is over, and this policy is wanted again.
    Wanted,
    /// It is of no use any more: the change is confirmed, which has yet to be recorded elsewhere.
    Confirmed,
}

/// What became of the change that was pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to be confirmed until then.
    Pending {
        /// Its id.
        id: u32,
        /// When it goes back.
        deadline: Timestamp,
    },
    /// It stays.
    Confirmed {
        /// Its id.
        id: u32,
    },
    /// It was taken back.
    Reverted {
        /// Its id.
        id: u32,
    },
}

impl<E: Enforcer> Agent<E> {
    /// As [`Self::prepare`], of a policy that is in force until it is confirmed.
    ///
    /// # Errors
    /// As there, and if there is nothing to go back to.
    pub fn prepare_until(
        &mut self,
        policy: Policy,
        devices: &Devices,
        confirm: Confirm,
    ) -> Result<(), AgentError> {
        self.refuse_beside_pending()?;
        if let Some(PendingRecord { id, .. }) = self.pending() {
            // The word says that its images are not in force, until there are others.
            return Err(AgentError::Unsettled { id: *id });
        }
        if self.policy().is_none() {
            return Err(AgentError::NothingBefore);
        }
        self.prepare_next(policy, devices, Some(confirm))
    }

    /// Continues the change of an earlier agent, whose policy is `policy`, after `before`, until `deadline`.
    ///
    /// # Errors
    /// As of [`Self::prepare`].
    pub(crate) fn prepare_resumed(
        &mut self,
        policy: Policy,
        before: Policy,
        deadline: Timestamp,
        devices: &Devices,
    ) -> Result<(), AgentError> {
        if let Some(pending) = &mut self.catalog.pending {
            // What the file says is of a clock that may have been set since.
            pending.deadline = deadline;
        }
        self.before = Some(Before::Kept(Arc::new(before)));
        self.prepare_next(policy, devices, None)
    }

    /// Prepares the policy before the change of an earlier agent, which is over.
    ///
    /// # Errors
    /// As of [`Self::prepare`].
    pub(crate) fn prepare_before(&mut self, before: Policy, devices: &Devices) -> Result<(), AgentError> {
        // It is what was in force, so it is wanted from here on.
        self.go_back(Arc::new(before.clone()));
        self.prepare_next(before, devices, None)
    }

    /// Refuses any other change than the one that is pending.
    pub(super) fn refuse_beside_pending(&self) -> Result<(), AgentError> {
        match (&self.catalog.pending, &self.before) {
            (Some(PendingRecord { id, owner, deadline, .. }), Some(Before::Kept(_))) => {
                Err(AgentError::PendingConfirmation { id: *id, owner: owner.clone(), deadline: *deadline })
            }
            (Some(PendingRecord { id, .. }), Some(Before::Confirmed)) => {
                Err(AgentError::Unsettled { id: *id })
            }
            // A policy may be all that helps where the one before does not come into force again.
            _ => Ok(()),
        }
    }

    /// Whether what is in force may go back to what was before.
    pub(crate) const fn goes_back(&self) -> bool {
        self.catalog.pending.is_some() && matches!(self.before, Some(Before::Kept(_)))
    }

    /// Whether the change is confirmed, which has yet to be recorded elsewhere; see [`Self::forget_confirmed`].
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.catalog.pending.is_some() && matches!(self.before, Some(Before::Confirmed))
    }

    /// The id of the pending change, for an image that it publishes; zero if there is none.
    pub(super) fn change(&self) -> u32 {
        let pending = self.catalog.pending.as_ref().filter(|_| self.goes_back());
        pending.map_or(0, |pending| pending.id)
    }

    /// Begins a change from the policy in force to `next`, of which `steps` are to be taken. On an error nothing has changed.
    pub(super) fn begin_change(
        &mut self,
        enforcer: &mut E,
        steps: &[Step],
        next: &Policy,
        confirm: Confirm,
    ) -> Result<(), AgentError> {
        let before = self.policy().cloned().ok_or(AgentError::NothingBefore)?;
        let numbers = self.catalog.numbers.clone();
        let kept = self.keep_before(enforcer, steps, (&before, &numbers), next, &BTreeSet::new())?;
        let Confirm { seconds, owner } = confirm;
        let id = enforcer
            .begin(self.catalog.last_change, seconds)
            .map_err(|source| AgentError::CannotGoBack { source })?;
        let deadline = in_time(Duration::from_secs(seconds.into()));
        self.catalog.last_change = id;
        self.catalog.pending = Some(PendingRecord { id, owner, deadline, kept, before: numbers });
        self.before = Some(Before::Kept(before));
        // Whoever starts after this process finds it, before anything of it is in force.
        self.save().map_err(|error| {
            let _ = enforcer.settle(id, Settle::Cancel);
            (self.catalog.pending, self.before) = (None, None);
            error.into()
        })
    }

    /// Keeps what is in force for further NICs that are about to be published while a change is pending.
    pub(super) fn keep_more(
        &mut self,
        enforcer: &mut E,
        steps: &[Step],
        next: &Policy,
    ) -> Result<(), AgentError> {
        let (Some(pending), Some(Before::Kept(policy))) = (&self.catalog.pending, &self.before) else {
            return Ok(());
        };
        let (policy, numbers, kept) = (Arc::clone(policy), pending.before.clone(), pending.kept.clone());
        let more = self.keep_before(enforcer, steps, (&policy, &numbers), next, &kept)?;
        if let Some(pending) = &mut self.catalog.pending
            && !more.is_subset(&kept)
        {
            pending.kept.extend(more);
            self.save()?;
        }
        Ok(())
    }

    /// Keeps what is in force for the NICs that `steps` publish, but those that are in `kept`. A NIC without an image goes back to that of
    /// the policy `before`, or to none.
    fn keep_before(
        &self,
        enforcer: &mut E,
        steps: &[Step],
        (before, numbers): (&Policy, &Numbers),
        next: &Policy,
        kept: &BTreeSet<u16>,
    ) -> Result<BTreeSet<u16>, AgentError> {
        let (mut slots, mut others) = (Vec::new(), Vec::new());
        for step in steps.iter().filter(|step| step.is_publish()) {
            let (Some(slot), Some(device)) = (step.slot(), step.device()) else { continue };
            let record = self.records.of(slot, device);
            let nic = |policy: &'_ Policy| policy.nics().iter().find(|nic| nic.device == device).cloned();
            if kept.contains(&slot) {
                continue;
            }
            if record.is_some_and(|record| record.published.is_some()) {
                slots.push(slot);
            } else if let Some(nic) = nic(before) {
                others.push((slot, self.images.elsewhere(before, numbers, &nic, slot)?));
            } else {
                let role = nic(next).map_or(Role::Host, |nic| nic.role);
                others.push((slot, Image::unfiltered(role, nic_block(slot))));
            }
        }
        enforcer.keep(&slots, &others).map_err(|source| AgentError::CannotGoBack { source })?;
        Ok(slots.into_iter().chain(others.into_iter().map(|(slot, _)| slot)).collect())
    }

    /// What becomes of the change of an earlier agent, which the catalog found at the start describes. Loads the program, as the first
    /// policy would.
    ///
    /// # Errors
    /// If the program cannot be loaded.
    pub(crate) fn found_pending(&mut self) -> Result<Option<Standing>, AgentError> {
        if self.catalog.pending.is_none() {
            return Ok(None);
        }
        self.load_now()?;
        self.look(Settle::Look).map(Some)
    }

    /// The change that is pending.
    pub(crate) const fn pending(&self) -> Option<&PendingRecord> {
        self.catalog.pending.as_ref()
    }

    /// Whether a change is pending.
    pub(crate) const fn has_pending(&self) -> bool {
        self.catalog.pending.is_some()
    }

    /// Takes the change of an earlier agent back, whatever its deadline.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn take_back(&mut self) -> Result<(), AgentError> {
        self.look(Settle::Cancel).map(drop)
    }

    /// Forgets the change of an earlier agent, which this one does not continue: nothing in force is of it any more, or all of it is
    /// for good.
    pub(crate) fn forget_pending(&mut self) {
        if let Err(error) = self.look(Settle::Confirm) {
            tracing::warn!("{error}");
        }
        self.forget_settled();
    }

    /// Does this to the change that is pending, if it has this id, and says what becomes of it. Afterwards, call [`Self::resync`]; if it
    /// is confirmed, `forget_confirmed` before.
    ///
    /// # Errors
    /// If nothing is pending, or another change, or the kernel refuses.
    pub fn settle(&mut self, id: Option<u32>, how: Settle) -> Result<Standing, AgentError> {
        let pending = self.catalog.pending.as_ref().ok_or(AgentError::NothingPending)?;
        if let Some(asked) = id.filter(|asked| *asked != pending.id) {
            return Err(AgentError::OtherPending { asked, id: pending.id });
        }
        let standing = self.look(how)?;
        match standing {
            Standing::Confirmed { id } => {
                self.before = Some(Before::Confirmed);
                // Whoever asks later finds it, also if the owner of the policies has not recorded it.
                self.catalog.last_confirmed = id;
                self.unsettle();
            }
            Standing::Reverted { .. } => {
                // What has gone back already may have been followed by another policy.
                if let Some(Before::Kept(before)) = &self.before {
                    let before = Arc::clone(before);
                    self.go_back(before);
                }
            }
            Standing::Pending { deadline, .. } => {
                if let (Settle::Extend { .. }, Some(pending)) = (how, &mut self.catalog.pending) {
                    pending.deadline = deadline;
                    self.unsettle();
                    self.save()?;
                }
            }
        }
        Ok(standing)
    }

    /// What became of the change `id`, which this agent or an earlier one began. One of which the catalog knows nothing is of a host
    /// that has started anew since: it is over.
    ///
    /// # Errors
    /// If the program cannot be loaded, or the kernel refuses.
    pub(crate) fn standing(&mut self, id: u32) -> Result<Standing, AgentError> {
        if self.catalog.pending.as_ref().is_some_and(|pending| pending.id == id) && !self.is_over() {
            self.load_now()?;
            return self.look(Settle::Look);
        }
        let is_confirmed = self.catalog.last_confirmed == id;
        Ok(if is_confirmed { Standing::Confirmed { id } } else { Standing::Reverted { id } })
    }

    /// Whether the catalog says that the change `id` has begun.
    pub(crate) const fn has_begun(&self, id: u32) -> bool {
        self.catalog.last_change == id
    }

    /// Whether the change is over, and the policy before it is not in force anew yet.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.before, Some(Before::Wanted))
    }

    /// Asks the kernel.
    fn look(&mut self, how: Settle) -> Result<Standing, AgentError> {
        let Some(PendingRecord { id, .. }) = self.catalog.pending else {
            return Err(AgentError::NothingPending);
        };
        let doing = "settle the change that is to be confirmed".to_owned();
        let settled = self.enforcer_mut().ok_or(AgentError::NothingPending)?.settle(id, how);
        Ok(match settled.map_err(|source| AgentError::Step { device: None, doing, source })? {
            Settled::Confirmed => Standing::Confirmed { id },
            Settled::Over => Standing::Reverted { id },
            Settled::Pending { left } => Standing::Pending { id, deadline: in_time(left) },
        })
    }

    /// The change is over, and `before` is wanted again.
    fn go_back(&mut self, before: Arc<Policy>) {
        let Some(pending) = &self.catalog.pending else { return };
        let (kept, numbers) = (pending.kept.clone(), restored(&pending.before, &self.catalog.numbers));
        self.catalog.numbers = numbers;
        for slot in kept {
            if let Some(record) = self.records.at(slot) {
                // What is in the slot is not in force.
                record.published = None;
            }
        }
        self.before = Some(Before::Wanted);
        self.want(before);
    }

    /// Forgets a change that is confirmed, once whatever must know of it does: an agent that starts before finds it confirmed, too.
    pub(crate) fn forget_confirmed(&mut self) {
        if self.is_confirmed() {
            self.forget_settled();
        }
    }

    /// Forgets a change that is over, once the policy before it is in force again. Call it after each [`Self::resync`].
    pub(crate) fn forget_reverted(&mut self) {
        if self.catalog.pending.is_some() && matches!(self.before, Some(Before::Wanted)) && self.is_settled()
        {
            self.forget_settled();
        }
    }

    fn forget_settled(&mut self) {
        (self.catalog.pending, self.before) = (None, None);
        self.forget_kept();
        self.tell_readers();
        if let Err(error) = self.save() {
            tracing::error!("{error}");
        }
    }

    fn forget_kept(&mut self) {
        if let Some(Err(error)) = self.enforcer_mut().map(Enforcer::forget_kept) {
            tracing::warn!("images before a change stay in memory until the next one: {error}");
        }
    }
}

/// The numbers of the policy before a change, where those of the change are vacant.
fn restored(before: &Numbers, change: &Numbers) -> Numbers {
    let of = |numbers: &Numbers| -> Vec<u32> {
        numbers.groups.iter().flat_map(|group| group.counted().map(|(_, number)| number)).collect()
    };
    let own: HashSet<u32> = of(before).into_iter().collect();
    let mut others: Vec<u32> = of(change).into_iter().filter(|number| !own.contains(number)).collect();
    others.sort_unstable();
    let mut vacant = before.vacant.clone();
    vacant.retain(|number| !others.contains(number));
    vacant.extend(others);
    Numbers { groups: before.groups.clone(), vacant, used: before.used.max(change.used) }
}

/// The time so long from now.
fn in_time(left: Duration) -> Timestamp {
    let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
    Timestamp::now().saturating_add(left).unwrap_or(Timestamp::MAX)
}
