//! A policy document as an argument: `-f`, `--policy`. Loads it, and completes it with the addresses of this host's devices.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use sg_agent::devices;
use sg_diff::{By, Finding, What};
use sg_document::{Loaded, Warning};
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
    let Loaded { policy, warnings, .. } = read(path)?;
    warnings.iter().for_each(warn);
    Ok(policy)
}

/// Prints a warning to standard error.
pub(crate) fn warn(warning: &Warning) {
    say(&format!("sgctl: warning: {}", escaped_lines(&warning.to_string())));
}

/// Loads the document at `path`, with its warnings.
pub(crate) fn read(path: &Path) -> Result<Loaded, Failure> {
    let mut loaded = if path == Path::new("-") {
        sg_document::parse("<stdin>", &file::read(path)?).map_err(Failure::input)?
    } else {
        sg_document::load(path).map_err(Failure::input)?
    };
    let devices = devices::scan().map_err(Failure::other)?;
    loaded
        .policy
        .set_device_facts(|device| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default());
    Ok(loaded)
}

/// The document, unless one of its tests does not hold.
pub(crate) fn tested(loaded: Loaded) -> Result<Loaded, Failure> {
    let (failed, idle) = sg_diff::test(&loaded.policy, &loaded.tests, sg_diff::TIME).in_words();
    loaded.tested(failed, idle).map_err(Failure::input)
}

/// The document with what lint finds about its rules as warnings. A rule that says again what the default does is no mistake.
pub(crate) fn linted(loaded: Loaded) -> Loaded {
    let findings = sg_diff::lint_all(&loaded.policy, Instant::now() + sg_diff::TIME);
    let is_plain = |finding: &Finding<'_>| {
        matches!(finding.what, What::Dispensable(_)) && finding.others().all(|by| by == By::Default)
    };
    let findings = findings.iter().filter(|finding| !is_plain(finding));
    let words = findings.map(|finding| (finding.index, finding.words(sg_diff::AS_WRITTEN)));
    let words: Vec<_> = words.collect();
    loaded.linted(words)
}
