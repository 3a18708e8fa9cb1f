//! An agent without devices: it numbers, compiles, plans and keeps its catalog like any other, but makes no kernel calls, or only
//! those that publish images. Nothing is in force anywhere. Used by the figures of what a change costs: `change`, `update`,
//! `scale`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sg_agent::{
    Agent, AgentError, Catalog, Enforced, Enforcement, Enforcer, EnforcerError, Report,
    devices::{Devices, Found},
};
use sg_compile::{Image, LARGEST_WORDS, Patch};
use sg_kernel::{Attachment, Datapath, Limits};
use sg_model::Policy;
use tempfile::TempDir;

/// ARPHRD number of Ethernet.
const ETHERNET: u16 = 1;

/// An agent without devices.
pub struct AgentDouble {
    agent: Agent<Publisher>,
    devices: Devices,
    patched: Arc<AtomicUsize>,
    _directory: TempDir,
}

impl std::fmt::Debug for AgentDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentDouble").field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl AgentDouble {
    /// A double on a host that has these devices; images are published and patched in `datapath`, if there is one.
    ///
    /// # Panics
    /// If there is no place for its catalog.
    #[expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
    #[must_use]
    pub fn new(
        devices: impl IntoIterator<Item = String>,
        limits: Limits,
        mut datapath: Option<Datapath>,
    ) -> Self {
        let found = |index| Found { index, link_type: ETHERNET, ..Found::default() };
        let devices = (1..).zip(devices).map(|(index, device)| (device, found(index))).collect();
        // The agent keeps its catalog in `/run`, which is memory.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.expect("a directory");
        let fresh = Catalog::new(limits, Attachment::Auto);
        let patched = Arc::new(AtomicUsize::new(0));
        let publisher = Arc::clone(&patched);
        let load = Box::new(move |_: &Catalog| {
            Ok(Publisher { datapath: datapath.take(), patched: Arc::clone(&publisher) })
        });
        let agent = Agent::new(load, fresh, directory.path().join("catalog.json"), LARGEST_WORDS);
        Self { agent, devices, patched, _directory: directory }
    }

    /// The number of images that were patched rather than published.
    #[must_use]
    pub fn patched(&self) -> usize {
        self.patched.load(Ordering::Relaxed)
    }
}

impl Enforcement for AgentDouble {
    fn prepare(&mut self, policy: Policy) -> Result<(), AgentError> {
        self.agent.prepare(policy, &self.devices)
    }

    fn enforce(&mut self) -> Result<Enforced, AgentError> {
        let Report { errors, published, .. } = self.agent.enforce()?;
        let (nics, attached) = self.agent.nics();
        match errors.into_iter().next() {
            None => Ok(Enforced { published, nics, attached }),
            Some(error) => Err(error),
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
}
