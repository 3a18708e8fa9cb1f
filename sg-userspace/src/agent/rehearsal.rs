//! An agent without devices: it numbers, compiles, plans and keeps its catalog like any other, but makes no kernel calls, or only
//! those that publish images. For measurements, and for tests of callers of [`Enforcement`]; nothing is in force anywhere, so it
//! must never be used where a policy is relied on.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    AgentError, Catalog, Enforced, Enforcement, EnforcerError,
    devices::Devices,
    enforcer::Enforcer,
    reconcile::{Agent, Report},
};
use crate::{
    compile::{Image, Patch},
    kernel::{Attachment, Datapath, Device, Limits, Swept},
    model::{Hook, Policy},
};

/// An agent without devices.
pub struct Rehearsal {
    agent: Agent<Publisher>,
    devices: Devices,
    patched: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl Rehearsal {
    /// A rehearsal on a host that has `devices`, with a catalog in the file `catalog` and images of up to `budget_words`.
    #[must_use]
    pub fn new(devices: Devices, limits: Limits, catalog: PathBuf, budget_words: usize) -> Self {
        Self::with(None, devices, limits, catalog, budget_words)
    }

    /// Like [`Self::new`], but images are published and patched in `datapath`.
    #[must_use]
    pub fn over(
        datapath: Datapath,
        devices: Devices,
        limits: Limits,
        catalog: PathBuf,
        budget_words: usize,
    ) -> Self {
        Self::with(Some(datapath), devices, limits, catalog, budget_words)
    }

    fn with(
        mut datapath: Option<Datapath>,
        devices: Devices,
        limits: Limits,
        catalog: PathBuf,
        budget_words: usize,
    ) -> Self {
        let fresh = Catalog::new(limits, Attachment::Auto);
        let patched = Arc::new(AtomicUsize::new(0));
        let publisher = Arc::clone(&patched);
        let load = Box::new(move |_: &Catalog| {
            Ok(Publisher { datapath: datapath.take(), patched: Arc::clone(&publisher) })
        });
        Self { agent: Agent::new(load, fresh, catalog, budget_words), devices, patched }
    }

    /// The number of images that were patched rather than published.
    #[must_use]
    pub fn patched(&self) -> usize {
        self.patched.load(Ordering::Relaxed)
    }
}

impl Enforcement for Rehearsal {
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        self.agent.prepare(policy, &self.devices)
    }

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        let Report { errors, published, .. } = self.agent.enforce()?;
        let (nics, attached) = self.agent.nics();
        if errors.is_empty() {
            Ok(Enforced { published, nics, attached })
        } else {
            Err(AgentError::not_in_force(errors))
        }
    }
}

/// Publishes images if it has a datapath; does nothing else, and always succeeds at that.
#[derive(Debug)]
struct Publisher {
    datapath: Option<Datapath>,
    patched: Arc<AtomicUsize>,
}

impl Enforcer for Publisher {
    fn attach(&mut self, _: u16, _: &Device, _: Hook) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn detach(&mut self, _: u16, _: &Device) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        match &mut self.datapath {
            Some(datapath) => Enforcer::publish(datapath, images),
            None => images.iter().map(|_| Ok(())).collect(),
        }
    }

    fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, EnforcerError> {
        let patched =
            self.datapath.as_mut().map_or(Ok(true), |datapath| Enforcer::patch(datapath, slot, patch))?;
        self.patched.fetch_add(usize::from(patched), Ordering::Relaxed);
        Ok(patched)
    }

    fn withdraw(&mut self, _: u16) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn reset_counters(&mut self, _: &[u32]) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn forget_flows(&mut self, _: u16) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn sweep_some(&mut self) -> Result<Swept, EnforcerError> {
        Ok(Swept { swept: 0, is_last: true })
    }
    fn remove_older(&mut self, _: &[Device]) -> Result<(), EnforcerError> {
        Ok(())
    }
}
