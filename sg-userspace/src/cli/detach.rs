//! `sgctl detach`: ends a filter that outlived its agent. It must never end one beside a running agent.

use std::process::ExitCode;

use crate::agent::{Instance, Removed, teardown};

/// Take the filter off the devices and remove what is pinned. From then on everything passes.
#[derive(Debug, clap::Args)]
pub struct DetachArgs {
    /// The agent whose filter it is.
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    instance: String,
}

/// Takes the filter off.
///
/// # Errors
/// Where an agent of the instance runs, or something cannot be removed.
pub fn run(args: &DetachArgs) -> anyhow::Result<ExitCode> {
    let instance = Instance::new(&args.instance)?;
    let name = instance.name();
    // Before the lock, which would create the instance's directory.
    if instance.pinned_versions().is_empty() && !instance.catalog().exists() {
        println!("nothing of instance {name} is in force");
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = instance.lock()?;
    match teardown(&instance, &[])? {
        Removed::Nothing => println!("nothing of instance {name} is in force"),
        Removed::Filter { devices } if devices.is_empty() => println!("removed the pins of instance {name}"),
        Removed::Filter { devices } => println!("detached {}: everything passes now", devices.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}
