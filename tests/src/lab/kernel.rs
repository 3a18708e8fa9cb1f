//! The kernel's version, for tests that need a certain one.

use std::{fmt, fs};

use anyhow::{Context as _, Result};

/// A kernel version, such as 6.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(
    /// Major.
    pub u32,
    /// Minor.
    pub u32,
);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The version of the running kernel.
///
/// # Errors
/// If it cannot be read.
pub fn kernel() -> Result<Version> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok(Version(major, minor)),
        _ => None.with_context(|| format!("no kernel version: {release}")),
    }
}
