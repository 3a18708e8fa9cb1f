//! File descriptors: every connection takes one, and the usual soft limit of 1,024 is less than two full listeners and the maps
//! of a host need. Called once by `sgd serve`, and by the tests that make thousands of connections.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the process's soft limit of file descriptors to its hard limit; returns the limit in force.
///
/// # Errors
/// If the kernel refuses. That is no reason to stop: a listener without descriptors waits for them.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
