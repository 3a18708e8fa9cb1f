//! What the lab sees of the file system: everything that tells of processes, devices or pinned programs is its
//! own.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

/// What is mounted over the machine's, in this order: (type, where).
const OWN: [(&str, &str); 4] =
    [("proc", "/proc"), ("tmpfs", "/run"), ("sysfs", "/sys"), ("bpf", "/sys/fs/bpf")];

/// Mounts all of it. To be called in a mount namespace of one's own.
pub(super) fn all() -> Result<()> {
    let nothing = None::<&str>;
    // Nothing that is mounted here may reach the machine.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context("cannot make the mounts private")?;
    for (kind, target) in OWN {
        mount(Some(kind), target, Some(kind), MsFlags::empty(), nothing)
            .with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    Ok(())
}
