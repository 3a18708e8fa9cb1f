//! The lab's view of the file system: everything that shows processes, devices or pinned programs is its own.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

/// What is mounted over the machine's file systems, in this order: (type, path).
const OWN: [(&str, &str); 4] =
    [("proc", "/proc"), ("tmpfs", "/run"), ("sysfs", "/sys"), ("bpf", "/sys/fs/bpf")];

/// Mounts all of it. Must be called in a new mount namespace.
pub(super) fn all() -> Result<()> {
    let nothing = None::<&str>;
    // No mount of the lab may propagate to the machine.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("cannot make the mounts private")?;
    for (kind, target) in OWN {
        mount(Some(kind), target, Some(kind), MsFlags::empty(), nothing)
            .with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    Ok(())
}
