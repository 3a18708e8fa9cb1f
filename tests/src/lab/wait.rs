//! Waiting, in one place: how long, and for what.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long to wait for what must arrive. It slows nothing down: the arrival ends the wait.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for what must not arrive. Within the lab a packet arrives in microseconds; a dropped one is also seen in a
/// counter.
pub const SILENCE: Duration = Duration::from_millis(250);

/// Repeats a system call that a signal interrupted.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Waits until `done`, for [`PATIENCE`].
///
/// # Errors
/// Those of `done`, and a timeout, which names `what`.
pub fn until(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    within(PATIENCE, what, done)
}

/// The same, with another time limit.
pub(super) fn within(patience: Duration, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > patience {
            bail!("waited {} s in vain: {what}", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
