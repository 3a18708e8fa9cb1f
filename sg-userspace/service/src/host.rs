//! The devices of this host, as far as changes are asked about them. It must never change anything. `guard` and `demands` look.

use sg_agent::devices;
use sg_model::DeviceFacts;

use super::Refusal;

/// The facts about this host's devices, by name.
pub(super) fn facts() -> Result<impl Fn(&str) -> DeviceFacts, Refusal> {
    let devices = devices::scan().map_err(|error| Refusal::Unenforceable {
        reason: format!("what is guarded cannot be asked, the devices of this host cannot be read: {error}"),
    })?;
    Ok(move |device: &str| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default())
}
