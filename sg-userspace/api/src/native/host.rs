//! What the devices of this host are, for policies that a request asks about. It must never change anything. `whole`, `compared`,
//! `documents` and `policy_tests` call it.

use sg_agent::devices;
use sg_model::DeviceFacts;

use super::error::Failed;

/// The facts about this host's devices.
pub(super) fn facts() -> Result<impl Fn(&str) -> DeviceFacts, Failed> {
    let devices = devices::scan().map_err(|error| Failed::Malformed(error.to_string()))?;
    Ok(move |device: &str| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default())
}
