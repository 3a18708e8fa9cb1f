//! A policy from a file, complete with the addresses of its devices.

use std::path::Path;

use super::failure::Failure;
use crate::{agent::devices, document, model::Policy};

/// Loads the document at `path`. Its warnings are said on the error output.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    let document::Loaded { mut policy, warnings } = document::load(path).map_err(Failure::input)?;
    for warning in warnings {
        eprintln!("sgctl: warning: {warning}");
    }
    if policy.nics().iter().any(|nic| nic.addresses_from_device) {
        let devices = devices::scan().map_err(Failure::other)?;
        let addresses =
            |device: &str| devices.get(device).map_or_else(Vec::new, |found| found.addresses.clone());
        policy.set_device_addresses(addresses);
    }
    Ok(policy)
}
