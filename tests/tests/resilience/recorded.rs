//! What `sgd run` records: each document in the audit trail, whoever wrote it and whatever came of it; and the priorities of its
//! log where that is the journal.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Lines},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Attach, Binaries, Host, Lab};

use crate::support::{
    scene::{Role, Scene, Server, web},
    suite::Suite,
};

const RULES: [&str; 3] = [
    "ingress: [{ id: http, protocol: tcp, ports: 80 }]",
    "ingress: [{ id: http, protocol: tcp, ports: 81 }]",
    "ingress: [{ id: http, protocol: tcp, ports: ninety }]",
];

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "each_document_is_in_the_audit_trail", each_document);
}

struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    fn start(host: &Host, directory: &str, attach: Attach, log: &str) -> Result<Self> {
        let mut sgd = Command::new(Binaries::find()?.sgd());
        sgd.args(["run", "--policy", &format!("{directory}/policy.yaml"), "--state", directory]);
        sgd.args(["--instance", host.netns(), "--attach", attach.argument(), "--log-level", "debug"]);
        let log = File::create(log)?;
        // As systemd says that the log is the journal.
        let found = log.metadata()?;
        sgd.env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()));
        let mut child = host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log))?;
        let output = child.stdout.take().context("no standard output")?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    fn until(&mut self, word: &str) -> Result<()> {
        for line in self.lines.by_ref() {
            if line?.starts_with(word) {
                return Ok(());
            }
        }
        anyhow::bail!("it ended without {word:?}")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    fn end(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }
}

fn each_document(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    let directory = format!("/run/lab/recorded-{}", server.netns());
    fs::create_dir_all(&directory)?;
    let (policy, log) = (format!("{directory}/policy.yaml"), format!("{directory}/log"));
    let write = |rules: &str| -> Result<()> {
        let new = format!("{policy}.new");
        fs::write(&new, web(Role::Host, rules))?;
        Ok(fs::rename(new, &policy)?)
    };
    write(RULES[0])?;
    let mut agent = Agent::start(server, &directory, attach, &log)?;
    agent.until("ready ")?;
    write(RULES[1])?;
    agent.until("applied ")?;
    write(RULES[2])?;
    agent.until("refused ")?;
    write(RULES[1])?;
    agent.until("applied ")?;
    agent.signal(Signal::SIGHUP)?;
    agent.until("applied ")?;
    let history = |more: &[&str]| -> Result<Vec<Value>> {
        let mut sgctl = Command::new(Binaries::find()?.sgctl());
        let output = sgctl.args(["--instance", server.netns(), "history", "--json"]).args(more).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let served = history(&[])?;
    agent.end()?;
    let file = format!("{directory}/audit.jsonl");
    let read = history(&["--file", &file])?;
    ensure!(served == read, "the server: {served:?}; the file: {read:?}");
    let of = |entry: &Value| {
        let objects = entry["objects"].as_array().into_iter().flatten();
        let objects: Vec<String> = objects
            .map(|object| {
                format!("{} {} {}", object["change"], object["kind"], object["id"]).replace('"', "")
            })
            .collect();
        let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} [{}]", text("operation"), text("outcome"), text("code"), objects.join(", "))
    };
    let found: Vec<String> = read.iter().map(of).collect();
    let wanted = [
        "start_document done - []",
        "load_document done - [modified rule web/ingress/http]",
        "load_document refused invalid_document []",
        "load_document done - []",
        "reload_document done - []",
    ];
    ensure!(found == wanted, "{found:#?}");
    for entry in &read {
        ensure!(entry["who"]["file"] == policy.as_str() && entry["who"]["owner"] == 0, "{entry}");
        ensure!(entry["from"] == "file" && entry["api"] == "document", "{entry}");
    }
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "others may read it");

    // A document that is refused at the start is recorded, too.
    write(RULES[2])?;
    let mut agent = Agent::start(server, &directory, attach, &log)?;
    ensure!(agent.child.wait()?.code() == Some(2), "it starts with a document that is none");
    let last = history(&["--file", &file, "--last", "1"])?;
    ensure!(of(&last[0]) == "start_document refused invalid_document []", "{last:?}");
    let said = fs::read_to_string(&log)?;
    ensure!(said.lines().all(|line| line.starts_with("<3>")) && !said.is_empty(), "{said}");

    // Each line of its log has a priority, and debug is about its own steps.
    write(RULES[0])?;
    let mut agent = Agent::start(server, &directory, attach, &log)?;
    agent.until("ready ")?;
    agent.end()?;
    let said = fs::read_to_string(&log)?;
    for line in said.lines() {
        let priority = line.get(..3).unwrap_or_default();
        ensure!(["<3>", "<4>", "<6>", "<7>"].contains(&priority), "{line:?} in {said}");
    }
    ensure!(said.contains("<7>DEBUG") && said.contains("<6> INFO"), "{said}");
    ensure!(said.lines().count() < 100, "{} lines:\n{said}", said.lines().count());
    fs::remove_dir_all(&directory)?;
    Ok(())
}
