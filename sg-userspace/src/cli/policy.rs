//! Loads a policy from a file, and completes it with the addresses of its devices.

use std::path::Path;

use super::failure::Failure;
use crate::{
    agent::devices,
    document,
    model::{Policy, text::escaped_lines},
};

/// Loads the document at `path`. Prints its warnings to standard error.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    let document::Loaded { mut policy, warnings } = document::load(path).map_err(Failure::input)?;
    for warning in warnings {
        eprintln!("sgctl: warning: {}", escaped_lines(&warning.to_string()));
    }
    let devices = devices::scan().map_err(Failure::other)?;
    policy
        .set_device_facts(|device| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default());
    Ok(policy)
}
