//! `sgctl detach`: ends a filter that outlived its agent. It must never end one beside a running agent.

use std::io::Write;

use super::failure::Failure;
use crate::agent::{Instance, Removed, teardown};

/// Take the filter off the devices and remove what is pinned. From then on everything passes.
#[derive(Debug, clap::Args)]
pub(super) struct Typed {
    /// The agent whose filter it is.
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    instance: String,
}

pub(super) fn run(typed: &Typed, out: &mut dyn Write) -> Result<(), Failure> {
    let instance = Instance::new(&typed.instance).map_err(Failure::input)?;
    let name = instance.name();
    // Before the lock, which would create the instance's directory.
    if instance.pinned_versions().is_empty() && !instance.catalog().exists() {
        writeln!(out, "nothing of instance {name} is in force")?;
        return Ok(());
    }
    let _lock = instance.lock().map_err(Failure::other)?;
    match teardown(&instance, &[]).map_err(Failure::other)? {
        Removed::Nothing => writeln!(out, "nothing of instance {name} is in force")?,
        Removed::Filter { devices } if devices.is_empty() => {
            writeln!(out, "removed the pins of instance {name}")?;
        }
        Removed::Filter { devices } => {
            writeln!(out, "detached {}: everything passes now", devices.join(", "))?;
        }
    }
    Ok(())
}
