//! A host that runs `sgd serve`, and the requests that tests send to it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Binaries, Host};

/// How long it may take until it serves.
const START: Duration = Duration::from_secs(30);

/// `sgd serve` on a host.
pub(crate) struct Served<'a> {
    host: &'a Host,
    state: PathBuf,
    child: Option<Child>,
    binaries: Binaries,
    /// Said to it beside the usual.
    arguments: &'static [&'static str],
    /// The lines that it said since it was started last.
    said: Arc<Mutex<Vec<String>>>,
}

impl<'a> Served<'a> {
    /// Starts it, with nothing in its store.
    pub(crate) fn start(host: &'a Host) -> Result<Self> {
        Self::start_with(host, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(host: &'a Host, arguments: &'static [&'static str]) -> Result<Self> {
        let state = std::env::temp_dir().join(format!("sgd-state-{}", host.netns()));
        let said = Arc::default();
        let mut served = Self { host, state, child: None, binaries: Binaries::find()?, arguments, said };
        served.again()?;
        Ok(served)
    }

    /// Starts it again, with what is in its store.
    pub(crate) fn again(&mut self) -> Result<()> {
        self.spawn(|_| Stdio::inherit())
    }

    /// Starts it again, with so much of a log; returns the file that the log goes to.
    pub(crate) fn again_with_log(&mut self, level: &str) -> Result<PathBuf> {
        let path = self.state.join("log");
        let log = File::create(&path)?;
        self.spawn(|sgd| {
            sgd.env("RUST_LOG", level);
            log.into()
        })?;
        Ok(path)
    }

    fn spawn(&mut self, log: impl FnOnce(&mut Command) -> Stdio) -> Result<()> {
        let mut sgd = Command::new(self.binaries.sgd());
        sgd.args(["serve", "--instance", self.host.netns(), "--region", "cn-hangzhou", "--state"])
            .arg(&self.state)
            .args(self.arguments);
        let log = log(&mut sgd);
        let mut child = self.host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log))?;
        let output = child.stdout.take().context("no standard output")?;
        self.child = Some(child);
        let (tell, said) = mpsc::channel();
        self.said = Arc::default();
        let all = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(mut all) = all.lock() {
                    all.push(line.clone());
                }
                // Nobody listens any more once it serves.
                let _ = tell.send(line);
            }
        });
        while let Ok(line) = said.recv_timeout(START) {
            if line == "serving" {
                return Ok(());
            }
        }
        bail!("sgd serve does not serve")
    }

    /// Kills it, as the kernel would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill(Pid::from_raw(child.id().cast_signed()), signal)?;
        child.wait()?;
        Ok(())
    }

    /// Whether it has said this line since it was started last.
    pub(crate) fn has_said(&self, line: &str) -> bool {
        self.said.lock().is_ok_and(|said| said.iter().any(|said| said == line))
    }

    /// The directory of its store.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The memory that it has, in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(self.process()?.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.process()?.join("fd"))?.count())
    }

    fn process(&self) -> Result<PathBuf> {
        let child = self.child.as_ref().context("it does not run")?;
        Ok(format!("/proc/{}", child.id()).into())
    }

    /// The socket of its API.
    pub(crate) fn socket(&self) -> PathBuf {
        format!("/run/sgd/{}/api.sock", self.host.netns()).into()
    }

    /// Where the binaries are.
    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Runs `sgctl` with these arguments and this input against it.
    pub(crate) fn sgctl(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut sgctl = Command::new(self.binaries.sgctl());
        sgctl.args(["--instance", self.host.netns()]).args(arguments);
        let pipes = sgctl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().context("sgctl does not start")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        thread::scope(|scope| {
            // It may refuse before it has read all.
            scope.spawn(move || stdin.write_all(input.as_bytes()));
            child.wait_with_output().context("sgctl does not end")
        })
    }

    /// The response: the status and the body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
        ask(&self.socket(), method, path, body)
    }

    /// The response, which must be a success.
    pub(crate) fn done(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, response) = self.ask(method, path, body)?;
        ensure!(status == 200, "{method} {path} {body}: {status} {response}");
        Ok(response)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        // The lab ends what is left.
        let _ = self.end(Signal::SIGTERM);
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// One request over a socket.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
    send(socket, "", method, path, body)
}

/// One request over a socket, to be done once however often it is sent with this token.
pub(crate) fn ask_once(
    socket: &Path,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, Value)> {
    send(socket, &format!("Idempotency-Key: {token}\r\n"), method, path, body)
}

fn send(socket: &Path, header: &str, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
    let mut stream = UnixStream::connect(socket).context("cannot connect")?;
    stream.set_read_timeout(Some(START))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: sgd\r\nConnection: close\r\nContent-Type: application/json\r\n{header}\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    // A long response may come in chunks; what is between their lengths is the body.
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.into()
    };
    Ok((status, serde_json::from_str(&body).with_context(|| format!("{method} {path}: {body}"))?))
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 || length > rest.len() {
            break;
        }
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}
