//! An agent without a kernel: it numbers, compiles, plans and keeps its catalog like any other, and what it would ask
//! of the kernel it asks of nobody. For measurements, and for tests of those who call an [`Enforcement`]; nothing
//! is in force anywhere, so it must never stand where somebody relies on a policy.

use std::path::PathBuf;

use super::{
    AgentError, Catalog, Enforced, Enforcement, EnforcerError,
    devices::Devices,
    enforcer::Enforcer,
    reconcile::{Agent, Report},
};
use crate::{
    compile::Image,
    kernel::{Attachment, Device, Limits, Swept},
    model::{Hook, Policy},
};

/// An agent without a kernel.
pub struct Rehearsal {
    agent: Agent<Nobody>,
    devices: Devices,
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl Rehearsal {
    /// A rehearsal on a host that has `devices`, with a catalog in the file `catalog` and images of up to
    /// `budget_words`.
    #[must_use]
    pub fn new(devices: Devices, limits: Limits, catalog: PathBuf, budget_words: usize) -> Self {
        let fresh = Catalog::new(limits, Attachment::Auto);
        let agent = Agent::new(Box::new(|_| Ok(Nobody)), fresh, catalog, budget_words);
        Self { agent, devices }
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

/// Does nothing, and always succeeds.
#[derive(Debug)]
struct Nobody;

impl Enforcer for Nobody {
    fn attach(&mut self, _: u16, _: &Device, _: Hook) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn detach(&mut self, _: u16, _: &Device) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn publish(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), EnforcerError>> {
        images.iter().map(|_| Ok(())).collect()
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
