//! The kernel as the agent sees it: the few operations it needs, and their only calls into `sg-kernel`. Behind a trait, so
//! that the agent can be tested and measured without root. It must never decide anything. Called by `agent` and `execute`.

use std::{error::Error, time::Duration};

use sg_compile::{Image, Patch};
use sg_kernel::{Aged, Confirmation, Datapath, Denial, Device, FlowReport, Jiffies};
use sg_model::Hook;

use crate::state::candidate::CandidateCounts;

/// An error of `sg-kernel`, for people.
pub type EnforcerError = Box<dyn Error + Send + Sync>;

/// What is done to a change that is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Nothing.
    Look,
    /// It is to stay.
    Confirm,
    /// It is taken back now.
    Cancel,
    /// It is in force for so long from now on.
    Extend {
        /// In seconds.
        seconds: u32,
    },
}

/// What becomes of a change that is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It stays.
    Confirmed,
    /// It goes back after so long.
    Pending {
        /// Until the deadline.
        left: Duration,
    },
    /// It was cancelled, or its deadline has passed.
    Over,
}

/// The kernel operations of the agent; see [`Datapath`] for their details.
///
/// The defaults are those of an enforcer that has no devices, flows and counters, as doubles in tests and benchmarks are: nothing
/// is done, and that succeeds.
pub trait Enforcer {
    /// Publishes images by slot, each atomically; returns one result for each, in the same order.
    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>>;

    /// Patches the image in force, at once. Returns false if it cannot be patched, and then nothing was changed.
    ///
    /// # Errors
    /// If it was changed in part; it is then published as a whole.
    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError> {
        let _ = (slot, patch);
        Ok(false)
    }

    /// Attaches the program to `device` as NIC `slot`, whose image is already published, or changes its hook.
    ///
    /// # Errors
    /// If the kernel refuses: then what was attached before stays.
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        let _ = (slot, device, hook);
        Ok(())
    }

    /// The same, and what is at the other hook stays there.
    ///
    /// # Errors
    /// As there.
    fn attach_too(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        self.attach(slot, device, hook)
    }

    /// Keeps the images in force for `slots`, and makes `others` those to go back to for slots that have none in force.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn keep(&mut self, slots: &[u16], others: &[(u16, Image)]) -> Result<(), EnforcerError> {
        let _ = (slots, others);
        Ok(())
    }

    /// Begins a change that is in force for `seconds`; returns its id, which is after `last_id`.
    ///
    /// # Errors
    /// If another change is pending.
    fn begin(&mut self, last_id: u32, seconds: u32) -> Result<u32, EnforcerError> {
        let _ = seconds;
        Ok(last_id + 1)
    }

    /// What becomes of the change that was pending last, after this was done to it.
    ///
    /// # Errors
    /// If the kernel does not tell the time.
    fn settle(&mut self, id: u32, how: Settle) -> Result<Settled, EnforcerError> {
        let _ = id;
        Ok(match how {
            Settle::Look => Settled::Pending { left: Duration::MAX },
            Settle::Confirm => Settled::Confirmed,
            Settle::Cancel => Settled::Over,
            Settle::Extend { seconds } => Settled::Pending { left: Duration::from_secs(seconds.into()) },
        })
    }

    /// Forgets the images that were kept.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn forget_kept(&mut self) -> Result<(), EnforcerError> {
        Ok(())
    }

    /// Makes `images`, by slot, those of the candidate, and counts from zero. None: there is no candidate.
    ///
    /// # Errors
    /// If the kernel refuses; there is none then.
    fn set_candidate(&mut self, images: &[(u16, &Image)]) -> Result<(), EnforcerError> {
        let _ = images;
        Ok(())
    }

    /// What was counted about the candidate.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn candidate_counts(&mut self) -> Result<CandidateCounts, EnforcerError> {
        Ok(CandidateCounts::default())
    }

    /// Detaches the program; it is no error if the device is gone.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError> {
        let _ = (slot, device);
        Ok(())
    }

    /// Removes the image.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError> {
        let _ = slot;
        Ok(())
    }

    /// Resets counters to zero.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError> {
        let _ = numbers;
        Ok(())
    }

    /// Deletes the flows of a NIC.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError> {
        let _ = slot;
        Ok(())
    }

    /// Deletes expired flows from a part of the table.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn age_some(&mut self) -> Result<Aged, EnforcerError> {
        Ok(Aged { is_last: true, ..Aged::default() })
    }

    /// Makes the next pass of ageing report live flows, too.
    fn report_live_flows(&mut self) {}

    /// Takes the counts of packets that did not pass, and says when.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn collect_denied(&mut self) -> Result<(Jiffies, Vec<Denial>), EnforcerError> {
        Ok((Jiffies::default(), Vec::new()))
    }

    /// The reports of flows that were deleted since the last call, and since [`Self::age_some`].
    fn take_reports(&mut self) -> Vec<FlowReport> {
        Vec::new()
    }

    /// Removes what earlier layouts left, once the program is on all of `hooked` and nothing is missing.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn remove_older(&mut self, hooked: &[Device]) -> Result<(), EnforcerError> {
        let _ = hooked;
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default does nothing, and this one enforces")]
impl Enforcer for Datapath {
    fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        Ok(Self::attach(self, slot, device, hook)?)
    }

    fn attach_too(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), EnforcerError> {
        Ok(Self::attach_too(self, slot, device, hook)?)
    }

    fn keep(&mut self, slots: &[u16], others: &[(u16, Image)]) -> Result<(), EnforcerError> {
        Self::keep(self, slots)?;
        for (slot, image) in others {
            self.keep_instead(*slot, image)?;
        }
        Ok(())
    }

    fn begin(&mut self, last_id: u32, seconds: u32) -> Result<u32, EnforcerError> {
        let Jiffies { now, hertz } = self.jiffies()?;
        let deadline = now.wrapping_add(u64::from(seconds) * u64::from(hertz));
        let change = self.pending_change();
        // Nobody knows of it: an agent was killed right after it began it, before anything was published with its id.
        if let Confirmation::Pending { id, .. } = change.state(now) {
            let _ = change.cancel(now, id);
        }
        let id = change.begin(now, last_id, deadline);
        id.ok_or_else(|| "another change is to be confirmed".into())
    }

    fn settle(&mut self, id: u32, how: Settle) -> Result<Settled, EnforcerError> {
        let (Jiffies { now, hertz }, change) = (self.jiffies()?, self.pending_change());
        let hertz = u64::from(hertz.max(1));
        let found = match how {
            Settle::Look => change.state(now),
            Settle::Confirm => change.confirm(now, id),
            Settle::Cancel => change.cancel(now, id),
            Settle::Extend { seconds } => {
                change.extend(now, id, now.wrapping_add(u64::from(seconds) * hertz))
            }
        };
        Ok(match found {
            Confirmation::Pending { id: found, left } if found == id => {
                Settled::Pending { left: Duration::from_millis(left.saturating_mul(1000) / hertz) }
            }
            Confirmation::Over { id: found } if found == id => Settled::Over,
            // It was confirmed, and perhaps another one came.
            Confirmation::None | Confirmation::Pending { .. } | Confirmation::Over { .. } => {
                Settled::Confirmed
            }
        })
    }

    fn forget_kept(&mut self) -> Result<(), EnforcerError> {
        Ok(self.forget_previous()?)
    }

    fn set_candidate(&mut self, images: &[(u16, &Image)]) -> Result<(), EnforcerError> {
        Ok(if images.is_empty() { self.clear_candidate() } else { Self::set_candidate(self, images) }?)
    }

    fn candidate_counts(&mut self) -> Result<CandidateCounts, EnforcerError> {
        Ok(CandidateCounts { asked: self.candidate_asked()?, differing: self.candidate_differing()? })
    }

    fn detach(&mut self, slot: u16, device: &Device) -> Result<(), EnforcerError> {
        let _ = slot;
        Ok(Self::detach(self, device)?)
    }

    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        self.publish_all(images).into_iter().map(|result| Ok(result?)).collect()
    }

    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError> {
        Ok(Self::patch(self, slot, patch)?)
    }

    fn withdraw(&mut self, slot: u16) -> Result<(), EnforcerError> {
        Ok(Self::withdraw(self, slot)?)
    }

    fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), EnforcerError> {
        Ok(Self::reset_counters(self, numbers)?)
    }

    fn forget_flows(&mut self, slot: u16) -> Result<(), EnforcerError> {
        Self::forget_flows(self, slot)?;
        Ok(())
    }

    fn age_some(&mut self) -> Result<Aged, EnforcerError> {
        Ok(Self::age_some(self)?)
    }

    fn report_live_flows(&mut self) {
        Self::report_live_flows(self);
    }

    fn collect_denied(&mut self) -> Result<(Jiffies, Vec<Denial>), EnforcerError> {
        let mut denials = Vec::new();
        let (at, result) = Self::collect_denied(self, |denial| denials.push(denial))?;
        if let Err(error) = result {
            // What was counted is reported all the same.
            tracing::warn!("{error}");
        }
        Ok((at, denials))
    }

    fn take_reports(&mut self) -> Vec<FlowReport> {
        Self::take_reports(self)
    }

    fn remove_older(&mut self, hooked: &[Device]) -> Result<(), EnforcerError> {
        Ok(Self::remove_older(self, hooked)?)
    }
}
