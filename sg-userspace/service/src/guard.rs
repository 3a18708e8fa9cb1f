//! The guard of changes: refuses one that would leave a filtered device unfiltered, that would not accept what a document keeps, or
//! that would take away the connections of whoever asks for it.
//!
//! It must never refuse a caller who insists, nor compare anything but the state before and after. The native API wraps operations
//! in [`Guarded`]; `apply` asks for documents.

use std::{collections::BTreeSet, sync::Arc};

use sg_agent::devices;
use sg_document::Guard;
use sg_guard::{Connection, Lost, lost_connection, lost_probe};
use sg_model::{DeviceFacts, Role};
use sg_records::Nic;

use super::{Operation, ProjectError, Refusal, State, Tx, policy, policy_for};

/// A connection of the caller, and what to call it.
pub type OwnConnection = (&'static str, Connection);

/// An operation that must not take away its caller's own connections.
#[derive(Clone, Debug)]
pub struct Guarded<O> {
    operation: O,
    connections: Vec<OwnConnection>,
}

impl<O> Guarded<O> {
    /// Wraps `operation`. Without `connections`, it is not guarded.
    pub const fn new(operation: O, connections: Vec<OwnConnection>) -> Self {
        Self { operation, connections }
    }
}

impl<O: Operation> Operation for Guarded<O> {
    type Output = O::Output;

    fn run(&self, tx: &mut Tx) -> Result<O::Output, Refusal> {
        if self.connections.is_empty() {
            return self.operation.run(tx);
        }
        // Maps of a state share their structure, so this is cheap.
        let before = State::clone(tx);
        let output = self.operation.run(tx)?;
        let facts = facts()?;
        for &(name, connection) in &self.connections {
            keep_connection(&before, tx, name, connection, &facts)?;
        }
        Ok(output)
    }
}

/// Refuses what a document does to devices: one that had a NIC before and has none now stays filtered, unless it is `allowed`.
pub(crate) fn keep_filtered(before: &State, tx: &Tx, allowed: &[String]) -> Result<(), Refusal> {
    let of = |state: &State| state.local_nics().filter_map(|nic| nic.device.clone()).collect::<BTreeSet<_>>();
    let (before, after) = (of(before), of(tx));
    let leaving = before.difference(&after);
    let leaving = leaving.filter(|device| !allowed.contains(device) && tx.filtered().has(device));
    let devices: Vec<String> = leaving.cloned().collect();
    if devices.is_empty() { Ok(()) } else { Err(Refusal::Unfiltered { devices }) }
}

/// Refuses a state whose policy does not accept what the document keeps.
pub(crate) fn keep_probes(tx: &Tx, guard: &Guard) -> Result<(), Refusal> {
    if guard.keep.is_empty() {
        return Ok(());
    }
    let mut policy = policy(tx).map_err(|error| unenforceable(&error))?;
    policy.set_device_facts(facts()?);
    lost_probe(&policy, &guard.keep).map_or(Ok(()), |lost| Err(refusal(lost)))
}

fn keep_connection(
    before: &State,
    after: &State,
    name: &str,
    connection: Connection,
    facts: &impl Fn(&str) -> DeviceFacts,
) -> Result<(), Refusal> {
    let local = connection.local();
    // Of all NICs of the host, only those with its address count.
    let has_it = |nic: &Arc<Nic>| {
        let device = nic.device.as_deref().unwrap_or_default();
        let own = &nic.addresses;
        nic.role == Role::Host
            && if own.is_empty() { facts(device).addresses.contains(&local) } else { own.contains(&local) }
    };
    for nic in after.local_nics().filter(|nic| has_it(nic)) {
        let policy = policy_for(after, nic, facts).map_err(|error| unenforceable(&error))?;
        // Before there was such a NIC, everything passed.
        let former = || before.nic(&nic.id).and_then(|nic| policy_for(before, nic, facts).ok()).map(Arc::new);
        if let Some(lost) = lost_connection(&policy, former, [(None, connection)], name) {
            return Err(refusal(lost));
        }
    }
    Ok(())
}

/// The facts about this host's devices, by name.
pub(crate) fn facts() -> Result<impl Fn(&str) -> DeviceFacts, Refusal> {
    let devices = devices::scan().map_err(|error| Refusal::Unenforceable {
        reason: format!("what is guarded cannot be asked, the devices of this host cannot be read: {error}"),
    })?;
    Ok(move |device: &str| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default())
}

fn unenforceable(error: &ProjectError) -> Refusal {
    Refusal::Unenforceable { reason: error.to_string() }
}

fn refusal(Lost { what, device, by }: Lost) -> Refusal {
    Refusal::LostAccess { what, device, by }
}
