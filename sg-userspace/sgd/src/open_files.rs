//! The limit of open files: raised as far as the host allows, since every NIC has a policy and a hook that are files.

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the agent opens before it has a NIC is under thirty; tokio panics where it has fewer than eight.
const FEWEST: u64 = 64;

/// Raises the soft limit to the hard one, as it is meant for programs that do not call `select` (systemd's
/// "File Descriptor Limits"). The default of 1,024 is some 500 NICs.
///
/// # Errors
/// The hard limit is too low to start with.
pub(crate) fn raise() -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    ensure!(
        hard >= FEWEST,
        "at most {hard} files may be open, and sgd needs {FEWEST}: raise the limit of open files (`ulimit -n`, \
         LimitNOFILE= of a unit)"
    );
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")?;
    }
    Ok(())
}
