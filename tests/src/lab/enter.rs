//! Entering the lab: the process restarts itself inside namespaces that end with it.

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

/// The proof that this process is inside the lab, which permits it to create hosts.
#[derive(Clone, Copy, Debug)]
pub struct Lab(());

/// Where [`Lab::enter`] left the process.
#[derive(Debug)]
pub enum Entered {
    /// In the lab.
    Inside(Lab),
    /// Outside, for lack of this.
    LeftOut(&'static str),
}

impl Lab {
    /// Enters the lab. Must be called first in `main`, before any thread: outside, it restarts the program inside, waits for it
    /// and exits with its status; it returns only inside, or without root.
    ///
    /// The process inside is the first of its pid namespace and dies with the one outside, so whichever of the two is killed, the
    /// kernel ends every process, mount, device and filter of the lab.
    ///
    /// # Errors
    /// If the namespaces or their mounts cannot be created.
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

/// Makes this process die with the one outside, by a signal from now on. If that one ended before the signal was requested, the
/// other end of standard input is closed.
fn follow_the_outside() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let stdin = stdin();
    let mut outside = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    ensure!(poll(&mut outside, PollTimeout::ZERO)? == 0, "the process outside has ended");
    Ok(())
}
