//! Documents of a session, before they are prepared: what they are not allowed to do is asked here, and a document that leaves
//! out a device waits here for the device to go. It must never decide what is refused: `plan` does. Called by `session` and `run`.

use std::{collections::BTreeMap, path::PathBuf};

use sg_guard::Connection;
use sg_model::{Policy, Role};

use super::Session;
use crate::{
    apply::enforcer::Enforcer,
    error::AgentError,
    host::{catalog::NicRecord, devices, ssh},
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
    pub(super) fn prepare_guarded(&mut self, mut document: Document) -> Result<(), AgentError> {
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
        let connections = self.connections(policy, &says.ssh_ports);
        if says.keep.is_empty() && connections.is_empty() {
            return Ok(());
        }
        policy.set_device_facts(|device| facts_of(device, &devices).clone());
        guard::probes(policy, says)?;
        let connections = connections.iter().map(|(device, connection)| (device.as_deref(), *connection));
        guard::ssh(policy, self.agent.policy(), connections)
    }

    /// The connections to SSH servers that `policy` could take away, each with its device if it is among the flows.
    fn connections(&self, policy: &Policy, ports: &[u16]) -> Vec<(Option<String>, Connection)> {
        if ports.is_empty() || !policy.nics().iter().any(|nic| nic.role == Role::Host) {
            return Vec::new();
        }
        // A flow table that cannot be read is no reason to keep an old policy.
        let flows = ssh::connections(&self.guard.pins, ports).unwrap_or_else(|error| {
            tracing::warn!("connections to the SSH server are not asked of the new policy: {error}");
            Vec::new()
        });
        let is_first = self.agent.policy().is_none();
        let own = self.guard.started_over.filter(|_| is_first);
        let records: BTreeMap<u16, &NicRecord> =
            self.agent.records().iter().map(|record| (record.nic.slot, &record.nic)).collect();
        let flows = flows.into_iter().filter_map(|flow| {
            let nic = records.get(&flow.slot)?;
            // Whether the policy in force accepts one that an earlier policy accepted is not known yet.
            let is_unknown = is_first && flow.generation != nic.generation;
            (!is_unknown).then(|| (Some(nic.device.clone()), flow.connection))
        });
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
