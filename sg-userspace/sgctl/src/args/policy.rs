//! A policy document as an argument: `-f`, `--policy`. Loads it, and completes it with the addresses of this host's devices.

use std::path::{Path, PathBuf};

use clap::Args;
use sg_agent::devices;
use sg_model::{Policy, text::escaped_lines};

use crate::{failure::Failure, file, stderr::say};

/// A policy document.
#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyArg {
    /// Policy document in YAML or JSON; `-` reads standard input
    #[arg(short = 'f', long = "policy", value_name = "FILE")]
    pub(crate) policy: PathBuf,
}

/// Loads the document at `path`. Prints its warnings to standard error.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    let sg_document::Loaded { mut policy, warnings } = if path == Path::new("-") {
        sg_document::parse("<stdin>", &file::read(path)?).map_err(Failure::input)?
    } else {
        sg_document::load(path).map_err(Failure::input)?
    };
    for warning in warnings {
        say(&format!("sgctl: warning: {}", escaped_lines(&warning.to_string())));
    }
    let devices = devices::scan().map_err(Failure::other)?;
    policy
        .set_device_facts(|device| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default());
    Ok(policy)
}
