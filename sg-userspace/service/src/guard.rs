//! The guard of changes: refuses one that would leave a filtered device unfiltered, or that would take away the connections of whoever
//! asks for it.
//!
//! It must never refuse a caller who insists, nor compare anything but the state before and after. The native API wraps operations
//! in [`Guarded`], which also says on what the caller insists; `apply` asks for documents. What documents keep is in `demands`.

use std::{collections::BTreeSet, sync::Arc};

use sg_guard::{Connection, lost_connection};
use sg_model::{DeviceFacts, Role};
use sg_records::Nic;

use super::{Insists, Operation, ProjectError, Refusal, State, Tx, host::facts, policy_for};

/// A connection of the caller, and what to call it.
pub type OwnConnection = (&'static str, Connection);

/// An operation that must not take away its caller's own connections.
#[derive(Clone, Debug)]
pub struct Guarded<O> {
    operation: O,
    connections: Vec<OwnConnection>,
    insists: Insists,
}

impl<O> Guarded<O> {
    /// Wraps `operation`. Without `connections`, it is not guarded.
    pub const fn new(operation: O, connections: Vec<OwnConnection>) -> Self {
        Self { operation, connections, insists: Insists { force: false, skip_tests: false } }
    }

    /// The same for a caller who insists.
    #[must_use]
    pub fn insisting(self, insists: Insists) -> Self {
        Self { insists, ..self }
    }
}

impl<O: Operation> Operation for Guarded<O> {
    type Output = O::Output;

    fn run(&self, tx: &mut Tx) -> Result<O::Output, Refusal> {
        tx.insist(self.insists);
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
            return Err(lost.into());
        }
    }
    Ok(())
}

fn unenforceable(error: &ProjectError) -> Refusal {
    Refusal::Unenforceable { reason: error.to_string() }
}
