//! Documents of a session, before they are prepared: what they are not allowed to do is asked here, and a document that leaves
//! out a device waits here for the device to go. It must never decide what is refused: `plan` does. Called by `session` and `run`.

use std::path::PathBuf;

use sg_guard::Connection;
use sg_model::Role;

use super::Session;
use crate::{
    apply::enforcer::Enforcer,
    error::AgentError,
    host::{devices, ssh},
    input::{events::Wake, policy_file::Document},
    plan::{guard, leaving::AllowUnfiltered, prepare::facts_of},
};

/// What documents are not allowed to do, and where their connections are found.
#[derive(Debug, Default)]
pub(super) struct SessionGuard {
    allowed: AllowUnfiltered,
    /// Where flows are pinned.
    pins: PathBuf,
    /// Asked of the first document. Later ones find it among the flows, as long as it is open.
    started_over: Option<Connection>,
    /// The document that was refused because of devices which it leaves out: they may go.
    pub(super) held_back: Option<Document>,
}

impl<E: Enforcer> Session<'_, E> {
    /// Lets documents leave the `allowed` devices unfiltered. Flows are pinned in `pins`; the agent was started over the connection
    /// `started_over`.
    pub(crate) fn guarded(
        &mut self,
        allowed: AllowUnfiltered,
        pins: PathBuf,
        started_over: Option<Connection>,
    ) {
        self.guard.allowed = allowed;
        (self.guard.pins, self.guard.started_over) = (pins, started_over);
    }

    /// Prepares a document, if nothing in it is guarded against.
    pub(crate) fn prepare_document(&mut self, mut document: Document) -> Result<(), AgentError> {
        if let Err(error) = self.check(&mut document) {
            self.guard.held_back = matches!(error, AgentError::Unfiltered { .. }).then_some(document);
            return Err(error);
        }
        self.prepare(document.policy)
    }

    fn check(&self, document: &mut Document) -> Result<(), AgentError> {
        let devices = devices::scan()?;
        let Document { policy, guard: says } = document;
        guard::unfiltered(policy, says, &self.guard.allowed, self.agent.records(), &devices)?;
        let connections =
            self.connections(policy.nics().iter().any(|nic| nic.role == Role::Host), &says.ssh_ports);
        if says.keep.is_empty() && connections.is_empty() {
            return Ok(());
        }
        policy.set_device_facts(|device| facts_of(device, &devices).clone());
        guard::probes(policy, says)?;
        let records = self.agent.records();
        let device = |slot| records.iter().map(|record| &record.nic).find(|nic| nic.slot == slot);
        let connections = connections.iter().filter_map(|&(slot, connection)| match slot {
            None => Some((None, connection)),
            Some(slot) => device(slot).map(|nic| (Some(nic.device.as_str()), connection)),
        });
        guard::ssh(policy, self.agent.policy(), connections)
    }

    /// The connections to SSH servers, each with the slot of its NIC if it is among the flows.
    fn connections(&self, has_host: bool, ports: &[u16]) -> Vec<(Option<u16>, Connection)> {
        if !has_host || ports.is_empty() {
            return Vec::new();
        }
        // A flow table that cannot be read is no reason to keep an old policy.
        let flows = ssh::connections(&self.guard.pins, ports).unwrap_or_else(|error| {
            tracing::warn!("connections to the SSH server are not asked of the new policy: {error}");
            Vec::new()
        });
        let own = self.guard.started_over.filter(|_| self.agent.policy().is_none());
        let flows = flows.into_iter().map(|(slot, connection)| (Some(slot), connection));
        flows.chain(own.map(|own| (None, own))).collect()
    }

    /// The document that was refused, once devices changed so that it leaves none of them unfiltered.
    pub(super) fn held_back_no_longer(&mut self, wake: &Wake) -> Option<Document> {
        let Document { policy, guard: says } =
            self.guard.held_back.as_ref().filter(|_| wake.devices || wake.tick)?;
        let devices = devices::scan().ok()?;
        guard::unfiltered(policy, says, &self.guard.allowed, self.agent.records(), &devices).ok()?;
        tracing::info!("the devices that the refused document leaves out are gone: it is read as a new one");
        self.guard.held_back.take()
    }
}
