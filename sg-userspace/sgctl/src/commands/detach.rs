//! `sgctl detach`: removes a filter that outlived its agent, or all filters of this host. It must never remove one beside a
//! running agent.

use std::io::Write;

use anyhow::anyhow;
use serde::Serialize;
use sg_agent::{HostError, Instance, InstanceLock, Removed, teardown};

use crate::{
    args::{Common, Format},
    failure::Failure,
    render::{Output, Yes},
};

/// Remove the filter from the devices: from then on every packet passes.
///
/// The pins and the agent's files are removed too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove every filter of this host, whichever version of sgd attached it. Refused while an agent runs.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    let common = &common.of_this_host()?;
    if args.all {
        if common.instance.is_some() {
            return Err(Failure::input(anyhow!("--all detaches every instance: leave --instance out")));
        }
        return all(args.yes.yes, &mut output);
    }
    let instance = common.instance()?;
    let done = detach_one(&instance)?;
    match output.format {
        Format::Table | Format::Wide => output.line(&done.words()),
        Format::Json | Format::Yaml => output.data(&done),
        Format::Name => done.devices.iter().try_for_each(|device| output.line(device)),
    }
}

fn all(yes: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let (instances, locks) = lock_all()?;
    if !instances.is_empty() {
        let names: Vec<&str> = instances.iter().map(Instance::name).collect();
        output
            .confirm(&format!("Take the filter of {} off? Everything passes then.", names.join(", ")), yes)?;
    }
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for (instance, lock) in instances.iter().zip(locks) {
        // A failure must not keep the others from being detached.
        match detach(instance, lock) {
            Ok(done) => all.push(done),
            Err(error) => failed.push(format!("{}: {error}", instance.name())),
        }
    }
    match output.format {
        Format::Table | Format::Wide if instances.is_empty() => {
            output.line("nothing of any instance is in force")?;
        }
        Format::Table | Format::Wide => {
            all.iter().try_for_each(|done| output.line(&format!("{}: {}", done.instance, done.words())))?;
        }
        Format::Json | Format::Yaml => output.data(&all)?,
        Format::Name => all.iter().try_for_each(|done| output.line(&done.instance))?,
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::other(anyhow!(failed.join("; ")))) }
}

/// Every instance of this host, with its lock.
fn lock_all() -> Result<(Vec<Instance>, Vec<InstanceLock>), Failure> {
    let instances = Instance::all().map_err(Failure::other)?;
    let (mut locks, mut running) = (Vec::new(), Vec::new());
    for instance in &instances {
        match instance.lock() {
            Ok(lock) => locks.push(lock),
            Err(HostError::Running { instance, pid }) => {
                running.push(pid.map_or_else(|| instance.clone(), |pid| format!("{instance} (pid {pid})")));
            }
            Err(error) => return Err(Failure::other(error)),
        }
    }
    if running.is_empty() {
        return Ok((instances, locks));
    }
    let names = running.join(", ");
    Err(Failure::other(anyhow!("agents run: {names}; stop them first. Nothing was changed")))
}

/// What was detached.
#[derive(Debug, Serialize)]
struct Done {
    instance: String,
    /// Whether anything was in force, or at least pinned.
    removed: bool,
    /// The devices that are no longer filtered.
    devices: Vec<String>,
}

impl Done {
    fn words(&self) -> String {
        let instance = &self.instance;
        match self.devices.as_slice() {
            _ if !self.removed => format!("nothing of instance {instance} is in force"),
            [] => format!("removed the pins of instance {instance}"),
            devices => format!("detached {}: everything passes now", devices.join(", ")),
        }
    }
}

fn detach_one(instance: &Instance) -> Result<Done, Failure> {
    // Before taking the lock, which would create the instance's directory.
    if !instance.exists().map_err(Failure::other)? {
        return Ok(Done { instance: instance.name().to_owned(), removed: false, devices: Vec::new() });
    }
    let lock = instance.lock().map_err(Failure::other)?;
    detach(instance, lock).map_err(Failure::other)
}

fn detach(instance: &Instance, lock: InstanceLock) -> Result<Done, HostError> {
    let removed = teardown(instance)?;
    lock.discard()?;
    let instance = instance.name().to_owned();
    Ok(match removed {
        Removed::Nothing => Done { instance, removed: false, devices: Vec::new() },
        Removed::Filter { devices } => Done { instance, removed: true, devices },
    })
}
