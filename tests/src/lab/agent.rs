//! `sgd` on a host, driven as a user drives it: by its command line, its policy file, signals and `sgctl`.

use std::{
    fmt, fs,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{binaries::Binaries, host::Host, kernel::Version, stats::Stats, wait};

/// How long the agent may take to load, attach or apply; a machine that is busy otherwise takes its time.
const START: Duration = Duration::from_secs(20);

/// How the filter is attached to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// TCX links.
    Tcx,
    /// Filters of the qdisc clsact.
    Clsact,
    /// Whatever the kernel offers.
    Auto,
}

impl Attach {
    /// The two hooks.
    pub const ALL: [Self; 2] = [Self::Tcx, Self::Clsact];

    /// The first kernel that has it.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::Tcx => Version(6, 6),
            Self::Clsact | Self::Auto => Version(4, 5),
        }
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Auto => "auto",
        })
    }
}

/// How to run it.
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

/// A line that the agent printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Ready,
    Applied,
    Refused,
}

/// An agent on a host. Dropped, it is killed and its filters are taken off.
#[derive(Debug)]
pub struct Agent {
    host: Host,
    binaries: Binaries,
    options: Options,
    process: Process,
}

/// A run of `sgd`.
#[derive(Debug)]
struct Process {
    child: Child,
    said: Receiver<Said>,
    complaints: Arc<Mutex<String>>,
}

impl Process {
    fn start(host: &Host, binaries: &Binaries, options: Options) -> Result<Self> {
        let mut sgd = Command::new(binaries.sgd());
        sgd.arg("run").arg("--policy").arg(policy_file(host));
        sgd.args(["--instance", host.netns(), "--attach", &options.attach.to_string()]);
        if options.detach_on_exit {
            sgd.arg("--detach-on-exit");
        }
        let mut child = host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let said = listen(child.stdout.take().context("no standard output")?);
        let complaints = keep(child.stderr.take().context("no standard error")?);
        Ok(Self { child, said, complaints })
    }
}

impl Agent {
    /// Starts an agent on `host` and waits until it says that it is ready.
    ///
    /// # Errors
    /// Where it does not, with what it complained about.
    pub fn start(host: &Host, policy: &str, options: Options) -> Result<Self> {
        let binaries = Binaries::find()?;
        write_policy(host, policy)?;
        let process = Process::start(host, &binaries, options)?;
        let mut agent = Self { host: host.clone(), binaries, options, process };
        agent.hear(&[Said::Ready])?;
        Ok(agent)
    }

    /// Starts it again where it has ended, and waits until it says that it is ready.
    ///
    /// # Errors
    /// Where it does not, with what it complained about.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = Process::start(&self.host, &self.binaries, self.options)?;
        self.hear(&[Said::Ready]).map(drop)
    }

    /// Changes the policy file and waits until the agent has applied it.
    ///
    /// # Errors
    /// Where it refuses, with what it complained about.
    pub fn apply(&mut self, policy: &str) -> Result<()> {
        match self.offer(policy)? {
            Said::Applied => Ok(()),
            said => bail!("the policy was not applied, but {said:?}:\n{policy}\n{}", self.complaints()),
        }
    }

    /// Changes the policy file and waits until the agent has refused it; returns its complaint.
    ///
    /// # Errors
    /// Where it applies it.
    pub fn refuses(&mut self, policy: &str) -> Result<String> {
        match self.offer(policy)? {
            Said::Refused => Ok(self.complaints()),
            said => bail!("the policy was not refused, but {said:?}:\n{policy}"),
        }
    }

    fn offer(&mut self, policy: &str) -> Result<Said> {
        // An answer to an earlier change is no answer to this one.
        while self.process.said.try_recv().is_ok() {}
        write_policy(&self.host, policy)?;
        self.hear(&[Said::Applied, Said::Refused])
    }

    /// Asks it, by signal, to read the policy file again, and waits until it has.
    ///
    /// # Errors
    /// Where it does not.
    pub fn reread(&mut self) -> Result<()> {
        while self.process.said.try_recv().is_ok() {}
        self.signal(Signal::SIGHUP)?;
        self.hear(&[Said::Applied]).map(drop)
    }

    /// Ends it, with SIGTERM, and returns how it ended.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let mut status = None;
        wait::until("sgd ends on SIGTERM", || {
            status = self.process.child.try_wait()?;
            Ok(status.is_some())
        })?;
        status.context("no status")
    }

    /// Kills it: `kill -9`.
    ///
    /// # Errors
    /// Where the process is not there.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.process.child.wait()?;
        Ok(())
    }

    /// What the kernel counted.
    ///
    /// # Errors
    /// Where `sgctl stats` fails.
    pub fn stats(&self) -> Result<Stats> {
        Stats::read(&self.sgctl(&["stats", "--instance", self.host.netns(), "--json"])?.stdout)
    }

    /// Takes the filters off.
    ///
    /// # Errors
    /// Where `sgctl detach` fails.
    pub fn detach(&self) -> Result<()> {
        self.sgctl(&["detach", "--instance", self.host.netns()]).map(drop)
    }

    /// Runs `sgctl` on the agent's host.
    ///
    /// # Errors
    /// Where it fails, with what it complained about.
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

    /// The policy file.
    #[must_use]
    pub fn policy_file(&self) -> PathBuf {
        policy_file(&self.host)
    }

    /// What it said on its standard error.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.process.complaints.lock().map(|complaints| complaints.clone()).unwrap_or_default()
    }

    fn hear(&mut self, wanted: &[Said]) -> Result<Said> {
        let start = Instant::now();
        while let Ok(said) = self.process.said.recv_timeout(START.saturating_sub(start.elapsed())) {
            if wanted.contains(&said) {
                return Ok(said);
            }
        }
        let state = match self.process.child.try_wait()? {
            Some(status) => format!("sgd ended ({status})"),
            None => format!("sgd said nothing for {} s", START.as_secs()),
        };
        bail!("{state}, while it should say one of {wanted:?}:\n{}", self.complaints());
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.process.child.id().cast_signed()), signal).context("cannot signal sgd")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Whatever fails here, the lab takes all of it with it in the end.
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        let _ = self.detach();
    }
}

fn policy_file(host: &Host) -> PathBuf {
    PathBuf::from(format!("/run/lab/{}/policy.yaml", host.netns()))
}

/// Writes the file as an editor does: beside it, then over it.
fn write_policy(host: &Host, policy: &str) -> Result<()> {
    let file = policy_file(host);
    let new = file.with_extension("new");
    fs::create_dir_all(file.parent().context("no directory")?)?;
    fs::write(&new, policy)?;
    fs::rename(new, file).context("cannot write the policy file")
}

fn listen(output: impl Read + Send + 'static) -> Receiver<Said> {
    let (tell, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let said = match line.split_whitespace().next() {
                Some("ready") => Said::Ready,
                // A change of devices is applied, too, but answers no change of the policy.
                Some("applied") if !line.contains("cause=devices") => Said::Applied,
                Some("refused") => Said::Refused,
                _ => continue,
            };
            // Nobody listening any more means that the agent was dropped.
            let _ = tell.send(said);
        }
    });
    said
}

fn keep(output: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let complaints = Arc::<Mutex<String>>::default();
    let kept = Arc::clone(&complaints);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(mut kept) = kept.lock() {
                kept.push_str(&line);
                kept.push('\n');
            }
        }
    });
    complaints
}
