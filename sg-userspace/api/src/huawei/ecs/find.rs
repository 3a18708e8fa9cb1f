//! Servers, which are instances, and their interfaces, which are NICs: those that a path names. It must never change anything.

use std::sync::Arc;

use sg_records::{Instance, Nic};
use sg_service::State;

use crate::huawei::{Call, Fault, objects, problem::Subject};

/// The server that the path names.
pub(super) fn server<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<Instance>, Fault> {
    let text = call.value("server_id");
    objects::instance(state, call, text).ok_or_else(|| call.not_found(Subject::Server, "Instance", text))
}

/// The interfaces of a server, the primary one first.
pub(super) fn interfaces<'a>(state: &'a State, server: &Instance) -> Vec<&'a Arc<Nic>> {
    let mut nics: Vec<&Arc<Nic>> = state.nics_of_instance(&server.id).collect();
    nics.sort_by_key(|nic| !nic.primary);
    nics
}
