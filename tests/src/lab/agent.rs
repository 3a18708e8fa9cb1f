//! `sgd` on a host, driven as a user drives it: by its command line, its policy file, signals and `sgctl`.

use std::{
    fmt, fs,
    path::PathBuf,
    process::{Command, ExitStatus, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{
    binaries::Binaries,
    host::Host,
    kernel::Version,
    sgd::{Said, Sgd},
    stats::Stats,
};

/// How the filter is attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// TCX links.
    Tcx,
    /// Filters of the qdisc clsact.
    Clsact,
    /// An XDP link for what a host's NIC receives, and the best the kernel offers for what it sends.
    Xdp,
    /// The best that the kernel offers.
    Auto,
}

impl Attach {
    /// The two ways of sgd's `--attach`.
    pub const ALL: [Self; 2] = [Self::Tcx, Self::Clsact];

    /// With the one that a document selects, for what a host's NIC receives.
    pub const RECEIVED: [Self; 3] = [Self::Tcx, Self::Clsact, Self::Xdp];

    /// The first kernel that has it.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::Tcx => Version(6, 6),
            Self::Xdp => Version(5, 9),
            Self::Clsact | Self::Auto => Version(4, 5),
        }
    }

    /// The value of `--attach`.
    #[must_use]
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Xdp | Self::Auto => "auto",
        }
    }

    /// The policy, whose NICs of role host are called `eth` and a digit, with this hook.
    #[must_use]
    pub fn hooked(self, policy: &str) -> String {
        match self {
            Self::Xdp => (0..10).fold(policy.to_owned(), |policy, digit| {
                let device = format!("device: eth{digit},");
                policy.replace(&device, &format!("{device} hook: xdp,"))
            }),
            Self::Tcx | Self::Clsact | Self::Auto => policy.to_owned(),
        }
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            other => other.argument(),
        })
    }
}

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `--attach`.
    pub attach: Attach,
    /// `--detach-on-exit`.
    pub detach_on_exit: bool,
}

impl From<Attach> for Options {
    fn from(attach: Attach) -> Self {
        Self { attach, detach_on_exit: false }
    }
}

/// An agent on a host. Dropping it kills the agent and removes its filters.
#[derive(Debug)]
pub struct Agent {
    host: Host,
    binaries: Binaries,
    options: Options,
    sgd: Sgd,
}

impl Agent {
    /// Starts an agent on `host` and waits until it is ready.
    ///
    /// # Errors
    /// If it does not get ready, with what it logged.
    pub fn start(host: &Host, policy: &str, options: Options) -> Result<Self> {
        let binaries = Binaries::find()?;
        write_policy(host, &options.attach.hooked(policy))?;
        let sgd = Sgd::start(host, &binaries, &policy_file(host), options, &[])?;
        let mut agent = Self { host: host.clone(), binaries, options, sgd };
        agent.sgd.await_line(&[Said::Ready])?;
        Ok(agent)
    }

    /// Restarts it after it has ended, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not get ready, with what it logged.
    pub fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        self.sgd.await_line(&[Said::Ready]).map(drop)
    }

    /// Restarts it after it has ended, without waiting.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        self.sgd = Sgd::start(&self.host, &self.binaries, &self.policy_file(), self.options, &[])?;
        Ok(())
    }

    /// Restarts it after it has ended, with more or other arguments, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not get ready, with what it logged.
    pub fn start_with(&mut self, more: &[&str]) -> Result<()> {
        self.sgd = Sgd::start(&self.host, &self.binaries, &self.policy_file(), self.options, more)?;
        self.sgd.await_line(&[Said::Ready]).map(drop)
    }

    /// Waits until it ends by itself, and returns its status.
    ///
    /// # Errors
    /// If it does not end.
    pub fn ends(&mut self) -> Result<ExitStatus> {
        self.sgd.end()
    }

    /// Changes the policy file and waits until the agent has applied it.
    ///
    /// # Errors
    /// If it refuses it, with what it logged.
    pub fn apply(&mut self, policy: &str) -> Result<()> {
        match self.offer(policy)? {
            Said::Applied => Ok(()),
            said => bail!("the policy was not applied, but {said:?}:\n{policy}\n{}", self.complaints()),
        }
    }

    /// Changes the policy file without waiting; an agent need not run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn hand(&self, policy: &str) -> Result<()> {
        write_policy(&self.host, &self.options.attach.hooked(policy))
    }

    /// Changes the policy file and waits until the agent has refused it.
    ///
    /// # Errors
    /// If it applies it.
    pub fn refuses(&mut self, policy: &str) -> Result<()> {
        match self.offer(policy)? {
            Said::Refused => Ok(()),
            said => bail!("the policy was not refused, but {said:?}:\n{policy}"),
        }
    }

    fn offer(&mut self, policy: &str) -> Result<Said> {
        self.sgd.forget();
        self.hand(policy)?;
        self.sgd.await_line(&[Said::Applied, Said::Refused])
    }

    /// Makes it read the policy file again, by a signal, and waits until it has.
    ///
    /// # Errors
    /// If it does not.
    pub fn reread(&mut self) -> Result<()> {
        self.sgd.forget();
        self.sgd.signal(Signal::SIGHUP)?;
        self.sgd.await_line(&[Said::Applied]).map(drop)
    }

    /// Ends it with SIGTERM, and returns its status.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.sgd.signal(Signal::SIGTERM)?;
        self.sgd.end()
    }

    /// Kills it: `kill -9`.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn kill(&mut self) -> Result<()> {
        self.sgd.signal(Signal::SIGKILL)?;
        self.sgd.end().map(drop)
    }

    /// The kernel's counters.
    ///
    /// # Errors
    /// If `sgctl stats` fails.
    pub fn stats(&self) -> Result<Stats> {
        Stats::read(&self.sgctl(&["stats", "--instance", self.host.netns(), "--json"])?.stdout)
    }

    /// Removes the filters.
    ///
    /// # Errors
    /// If `sgctl detach` fails.
    pub fn detach(&self) -> Result<()> {
        self.sgctl(&["detach", "--instance", self.host.netns()]).map(drop)
    }

    /// The name of the agent's instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.host.netns()
    }

    /// Runs `sgctl` on the agent's host.
    ///
    /// # Errors
    /// If it fails, with its error output.
    pub fn sgctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut sgctl = Command::new(self.binaries.sgctl());
        sgctl.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.host.spawn(&mut sgctl)?.wait_with_output()?;
        ensure!(
            output.status.success(),
            "`sgctl {}` failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(output)
    }

    /// The agent's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.sgd.pid()
    }

    /// The policy file.
    #[must_use]
    pub fn policy_file(&self) -> PathBuf {
        policy_file(&self.host)
    }

    /// The lines that it has printed since the last [`Self::forget`].
    #[must_use]
    pub fn announced(&self) -> Vec<String> {
        self.sgd.lines()
    }

    /// Forgets the lines that it printed.
    pub fn forget(&self) {
        self.sgd.forget();
    }

    /// Its standard error.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.sgd.complaints()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Whatever fails here, the lab removes everything in the end.
        let _ = self.kill();
        let _ = self.detach();
    }
}

fn policy_file(host: &Host) -> PathBuf {
    PathBuf::from(format!("/run/lab/{}/policy.yaml", host.netns()))
}

/// Writes the file as an editor does: a new file, renamed over the old one.
fn write_policy(host: &Host, policy: &str) -> Result<()> {
    let file = policy_file(host);
    let new = file.with_extension("new");
    fs::create_dir_all(file.parent().context("no directory")?)?;
    fs::write(&new, policy)?;
    fs::rename(new, file).context("cannot write the policy file")
}
