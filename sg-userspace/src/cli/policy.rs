//! A policy from a file, complete with the addresses of its devices.

use std::path::Path;

use super::{devices, failure::Failure};
use crate::{document, model::Policy};

/// Loads the document at `path`. Its warnings are said on the error output.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    let document::Loaded { mut policy, warnings } = document::load(path).map_err(Failure::input)?;
    for warning in warnings {
        eprintln!("sgctl: warning: {warning}");
    }
    if policy.nics().iter().any(|nic| nic.addresses_from_device) {
        let devices = devices::addresses().map_err(Failure::other)?;
        policy.set_device_addresses(|device| devices.get(device).cloned().unwrap_or_default());
    }
    Ok(policy)
}
