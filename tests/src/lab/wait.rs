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

/// The same for what the agent or others do at intervals of seconds: as long as the slowest record of the flow log takes, which is an
/// interval of ten seconds and a pass of ageing, on a busy machine.
///
/// # Errors
/// As there.
pub fn slowly(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    repeated(Duration::from_secs(40), Duration::from_millis(300), what, done)
}

/// As [`until`], with another time limit.
pub(super) fn within(patience: Duration, what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    repeated(patience, Duration::from_millis(10), what, done)
}

fn repeated(
    patience: Duration,
    pause: Duration,
    what: &str,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > patience {
            bail!("waited {} s in vain: {what}", patience.as_secs());
        }
        thread::sleep(pause);
    }
    Ok(())
}
