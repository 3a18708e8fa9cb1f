//! `sgctl detach`: ends a filter that outlived its agent. It must never end one beside a running agent.

use std::io::Write;

use serde::Serialize;

use super::{
    failure::Failure,
    output::{Format, Output},
    session::Common,
};
use crate::agent::{Instance, Removed, teardown};

/// Take the filter off the devices and remove what is pinned. From then on everything passes.
#[derive(Debug, clap::Args)]
pub(super) struct Typed {
    /// The agent whose filter it is; the same as --agent.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

pub(super) fn run(typed: &Typed, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let instance =
        Instance::new(typed.instance.as_deref().unwrap_or(&common.agent)).map_err(Failure::input)?;
    let done = detach(&instance)?;
    let mut output = Output::new(common.format(), out);
    match output.format {
        Format::Table | Format::Wide => output.line(&done.words(instance.name())),
        Format::Json | Format::Yaml => output.data(&done),
        Format::Name => done.devices.iter().try_for_each(|device| output.line(device)),
    }
}

/// What was detached.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// Whether anything was in force, or at least pinned.
    removed: bool,
    /// The devices that are not filtered any more.
    devices: Vec<String>,
}

impl Done {
    fn words(&self, instance: &str) -> String {
        match self.devices.as_slice() {
            _ if !self.removed => format!("nothing of instance {instance} is in force"),
            [] => format!("removed the pins of instance {instance}"),
            devices => format!("detached {}: everything passes now", devices.join(", ")),
        }
    }
}

fn detach(instance: &Instance) -> Result<Done, Failure> {
    // Before the lock, which would create the instance's directory.
    if instance.pinned_versions().is_empty() && !instance.catalog().exists() {
        return Ok(Done::default());
    }
    let _lock = instance.lock().map_err(Failure::other)?;
    Ok(match teardown(instance, &[]).map_err(Failure::other)? {
        Removed::Nothing => Done::default(),
        Removed::Filter { devices } => Done { removed: true, devices },
    })
}
