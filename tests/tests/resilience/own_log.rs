//! The agent's own log: it may be in the directory of the policy, and each step of the agent can be read in it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sg_tests::lab::{Attach, Binaries, Lab};

use crate::support::{
    scene::{Role, Scene, Server, web},
    suite::Suite,
};

/// How long what it was told to do may take.
const SETTLED: Duration = Duration::from_millis(500);

/// How long it is watched then. Whatever notices that a file in this directory was written waits half a second at most for the end of a
/// burst, so a line that leads to another one comes three times at least. The agent's own clock says a line now and then.
const WATCHED: Duration = Duration::from_secs(2);
const LEAST_OF_A_LOOP: usize = 3;

/// Requests that it responds to meanwhile, with a few lines each.
const REQUESTS: usize = 5;

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "it_does_not_grow_by_itself", it_does_not_grow_by_itself);
}

fn it_does_not_grow_by_itself(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    let directory = format!("/run/lab/{}", server.netns());
    fs::create_dir_all(&directory)?;
    let (policy, log) = (format!("{directory}/policy.yaml"), format!("{directory}/sgd.log"));
    fs::write(&policy, web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    for level in ["debug", "trace", "trace,notify::inotify=trace"] {
        let mut sgd = Command::new(Binaries::find()?.sgd());
        sgd.args(["run", "--policy", &policy, "--instance", server.netns(), "--attach", attach.argument()]);
        // The audit trail and the access log are in the directory that is watched, too.
        sgd.args(["--state", &directory, "--access-log", &format!("{directory}/access.jsonl")]);
        sgd.env("RUST_LOG", level).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut sgd = server.spawn(&mut sgd)?;
        let lines = BufReader::new(sgd.stdout.take().context("no standard output")?).lines();
        let is_ready = lines.map_while(Result::ok).any(|line| line.starts_with("ready "));
        // What is not yet in the log is not the point: what comes without an event is.
        fs::write(format!("{directory}/other"), "written beside it")?;
        for _ in 0..REQUESTS {
            let mut sgctl = Command::new(Binaries::find()?.sgctl());
            let asked = sgctl.args(["--instance", server.netns(), "status"]).output()?;
            ensure!(asked.status.success(), "{asked:?}");
        }
        let written = || anyhow::Ok(fs::read_to_string(&log)?.lines().count());
        thread::sleep(SETTLED);
        let before = written()?;
        thread::sleep(WATCHED);
        let more = written()? - before;
        kill(Pid::from_raw(sgd.id().cast_signed()), Signal::SIGTERM)?;
        ensure!(sgd.wait()?.success() && is_ready, "{level}: {}", fs::read_to_string(&log)?);
        let said = fs::read_to_string(&log)?;
        ensure!(more < LEAST_OF_A_LOOP, "{level}: {more} lines more, of nothing:\n{said}");
        ensure!(said.lines().count() < 60 + 8 * REQUESTS, "{level}: {} lines:\n{said}", said.lines().count());
        ensure!(!said.contains("aya") && !said.contains("inotify"), "{level}: of libraries:\n{said}");
        let recorded = fs::read_to_string(format!("{directory}/audit.jsonl"))?;
        ensure!(recorded.lines().count() <= 3, "{level}: of one document:\n{recorded}");
        if level == "debug" {
            for step in ["publish the policy of eth0", "attach the program to eth0", "write the catalog"] {
                ensure!(said.contains(step), "no word of {step:?}:\n{said}");
            }
        }
    }
    Ok(())
}
