//! A run of `sgd`: its process, its output and its log.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::{agent::Options, binaries::Binaries, host::Host, wait};

/// How long the agent may take to load, attach or apply; a machine that is busy or emulated is slow.
const START: Duration = Duration::from_mins(1);
/// Tables for as many NICs as a test has. The kernel allocates each counter separately, for each processor: with the default
/// sizes an agent spends more time on that than on the programs.
const SMALL: [&str; 4] = ["--max-nics", "64", "--max-counters", "8192"];
/// How long the last output of a process may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A line that it printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Ready,
    Applied,
    Refused,
}

#[derive(Debug)]
pub(super) struct Sgd {
    child: Child,
    said: Receiver<Said>,
    lines: Lines,
    complaints: Lines,
}

/// Lines that are appended as they arrive.
type Lines = Arc<Mutex<Vec<String>>>;

impl Sgd {
    /// Starts it on `host`, whose name in `ip netns` is also that of the instance. An `--attach` in `more` replaces that of
    /// `options`.
    pub(super) fn start(
        host: &Host,
        binaries: &Binaries,
        policy: &Path,
        options: Options,
        more: &[&str],
    ) -> Result<Self> {
        let mut sgd = Command::new(binaries.sgd());
        sgd.arg("run").arg("--policy").arg(policy);
        sgd.args(["--instance", host.netns()]).args(more);
        // What outlives the host must not outlive the lab.
        sgd.arg("--state").arg(policy.with_file_name("state"));
        if !more.iter().any(|argument| argument.starts_with("--max-")) {
            sgd.args(SMALL);
        }
        // Its log has the images that were patched.
        sgd.env("RUST_LOG", "info,notify=error,sg_agent::patches=debug");
        if !more.contains(&"--attach") {
            sgd.args(["--attach", options.attach.argument()]);
        }
        if options.detach_on_exit {
            sgd.arg("--detach-on-exit");
        }
        let mut child = host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let lines = Lines::default();
        let complaints = Lines::default();
        let said = listen(child.stdout.take().context("no standard output")?, lines.clone());
        keep(child.stderr.take().context("no standard error")?, complaints.clone());
        Ok(Self { child, said, lines, complaints })
    }

    /// Waits until it prints one of these.
    pub(super) fn await_line(&mut self, wanted: &[Said]) -> Result<Said> {
        let start = Instant::now();
        while let Ok(said) = self.said.recv_timeout(START.saturating_sub(start.elapsed())) {
            if wanted.contains(&said) {
                return Ok(said);
            }
        }
        thread::sleep(LAST_WORDS);
        let state = match self.child.try_wait()? {
            Some(status) => format!("sgd ended ({status})"),
            None => format!("sgd said nothing for {} s", START.as_secs()),
        };
        bail!("{state}, while it should say one of {wanted:?}:\n{}", self.complaints());
    }

    /// Forgets earlier output: the result of an earlier change must not be taken for that of the next.
    pub(super) fn forget(&self) {
        while self.said.try_recv().is_ok() {}
        if let Ok(mut lines) = self.lines.lock() {
            lines.clear();
        }
    }

    /// The lines that it has printed since the last [`Self::forget`].
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }

    /// Its standard error.
    pub(super) fn complaints(&self) -> String {
        self.complaints.lock().map(|complaints| complaints.join("\n")).unwrap_or_default()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        signal::kill(pid, signal).with_context(|| format!("cannot send {signal} to sgd"))
    }

    /// Waits until it has ended. The kernel first releases maps and watches, after grace periods of RCU, which take seconds on a
    /// busy machine.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        wait::within(START, "sgd ends", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        status.context("no status")
    }
}

fn listen(output: impl Read + Send + 'static, lines: Lines) -> Receiver<Said> {
    let (tell, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let said = match line.split_whitespace().next() {
                Some("ready") => Some(Said::Ready),
                // A change of devices is applied, too, but is not the result of a policy change.
                Some("applied") if !line.contains("cause=devices") => Some(Said::Applied),
                Some("refused") => Some(Said::Refused),
                _ => None,
            };
            add(&lines, line);
            // If the receiver is gone, the agent was dropped.
            let _ = said.map(|said| tell.send(said));
        }
    });
    said
}

fn keep(output: impl Read + Send + 'static, lines: Lines) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            add(&lines, line);
        }
    });
}

fn add(lines: &Lines, line: String) {
    if let Ok(mut lines) = lines.lock() {
        lines.push(line);
    }
}
