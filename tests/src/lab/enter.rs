//! Entering the lab: the process starts itself again inside namespaces that end with it.

use std::{
    env,
    io::stdin,
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    process::{Command, Stdio, exit},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{Uid, getpid},
};

use super::{ip, mount};

/// Marks the process that runs inside.
const INSIDE: &str = "SG_LAB_INSIDE";

/// The proof that this process is inside the lab: whoever holds it may make hosts.
#[derive(Clone, Copy, Debug)]
pub struct Lab(());

/// Where [`Lab::enter`] left the process.
#[derive(Debug)]
pub enum Entered {
    /// In the lab.
    Inside(Lab),
    /// Outside, for want of this.
    LeftOut(&'static str),
}

impl Lab {
    /// Enters the lab. To be called first in `main`, before any thread: outside, it starts the program again
    /// inside, waits for it and exits with its status; only inside, or without root, it returns.
    ///
    /// The process inside is the first of its pid namespace and dies with the one outside, so whichever of
    /// the two is killed, the kernel ends every process, mount, device and filter of the lab.
    ///
    /// # Errors
    /// Where the namespaces or their mounts cannot be made.
    pub fn enter() -> Result<Entered> {
        if env::var_os(INSIDE).is_some() && getpid().as_raw() == 1 {
            return arrive().map(Entered::Inside).context("cannot set up the lab");
        }
        if !Uid::effective().is_root() {
            return Ok(Entered::LeftOut("root"));
        }
        unshare(CloneFlags::CLONE_NEWPID).context("cannot make a pid namespace (CAP_SYS_ADMIN is needed)")?;
        let mut inside = Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(INSIDE, "1")
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start again inside the lab")?;
        // Held open while this process lives: see `follow_the_outside`.
        let _alive = inside.stdin.take();
        let status = inside.wait()?;
        exit(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1));
    }
}

fn arrive() -> Result<Lab> {
    follow_the_outside()?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("unshare")?;
    mount::all()?;
    ip::batch(None, "link set lo up")?;
    Ok(Lab(()))
}

/// Dies with the process outside: from now on by signal. Where that one ended before the signal was ordered,
/// nobody holds the other end of the standard input.
fn follow_the_outside() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let stdin = stdin();
    let mut outside = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    ensure!(poll(&mut outside, PollTimeout::ZERO)? == 0, "the process outside has ended");
    Ok(())
}
