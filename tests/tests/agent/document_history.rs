//! The history of the document under `sgd run`: what was in force is listed, compared, and written back to the file.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Family, Lab, Outcome, Service};

use crate::support::{
    scene::{Client, Role, Scene, Server, web},
    suite::Suite,
};

const PORT: Service = Service::Tcp(80);
const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80 }
";

pub(crate) fn tests(suite: &mut Suite) {
    let ways = &[Attach::Tcx];
    suite.over(ways, "a_document_goes_back_to_what_it_was", a_document_goes_back);
    suite.over(ways, "a_document_that_is_refused_leaves_the_file", one_that_is_refused);
    suite.over(ways, "what_is_not_confirmed_has_a_number_too", what_is_not_confirmed);
}

fn sgctl(agent: &Agent, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split(' ').chain(["--instance", agent.instance()]).collect();
    Ok(String::from_utf8(agent.sgctl(&words)?.stdout)?)
}

/// The numbers in the history, the oldest first.
fn numbers(agent: &Agent) -> Result<Vec<u64>> {
    let listed = sgctl(agent, "history --changes -o name")?;
    listed.lines().map(|line| Ok(line.parse()?)).collect()
}

fn refused(agent: &Agent, line: &str) -> Result<String> {
    match sgctl(agent, line) {
        Ok(output) => anyhow::bail!("`sgctl {line}` is done: {output}"),
        Err(error) => Ok(error.to_string()),
    }
}

fn is_open(scene: &Scene, open: bool, when: &str) -> Result<()> {
    let outcome = if open { Outcome::Reply } else { Outcome::Silent };
    scene.asks(Client, Server, Family::V4, PORT, outcome).context(when.to_owned())
}

fn a_document_goes_back(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let open = format!("# the first one\n{}", web(Role::Host, RULES));
    let mut agent = scene.agent(Role::Host, attach, &open)?;
    let file = agent.policy_file();
    is_open(&scene, true, "at first")?;
    agent.apply(&open.replace("ports: 80", "ports: 81"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640))?;
    is_open(&scene, false, "after the change")?;

    ensure!(numbers(&agent)? == [1, 2], "{:?}", numbers(&agent)?);
    let table = sgctl(&agent, "history --changes")?;
    let row = table.lines().last().unwrap_or_default();
    ensure!(row.contains("load_document") && row.contains("modified rule web/ingress/eighty"), "{table}");
    ensure!(row.contains("opens 2 sets, closes 2 sets of packets") && row.contains("(uid 0)"), "{table}");
    ensure!(sgctl(&agent, "diff @2")?.contains("every packet is judged alike"), "it is in force");
    let differs = refused(&agent, "diff @1")?;
    ensure!(differs.contains("(exit status: 1)"), "{differs}");
    let trail: Vec<Value> = serde_json::from_str(&sgctl(&agent, "history --json")?)?;
    ensure!(trail.last().is_some_and(|entry| entry["change"] == 2), "{trail:?}");

    let shown = sgctl(&agent, "rollback 1 --dry-run")?;
    ensure!(shown.contains("opens 2 sets, closes 2 sets of packets"), "{shown}");
    ensure!(shown.contains("the document of change 1 would be written"), "{shown}");
    is_open(&scene, false, "after a dry run")?;
    let done = sgctl(&agent, "rollback 1 --yes")?;
    ensure!(done.ends_with("in force: the document of change 1 again, as change 3\n"), "{done}");
    is_open(&scene, true, "after going back")?;
    ensure!(fs::read_to_string(&file)? == open, "the file is not what it was");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o640, "its mode has changed");
    ensure!(sgctl(&agent, "rollback 3 --yes")?.starts_with("nothing to change"), "it is in force");

    // Who has edited the file does not lose it.
    agent.refuses("nics: 7\n")?;
    let edited = refused(&agent, "rollback 2 --yes")?;
    ensure!(edited.contains("exit status: 3") && edited.contains("is not what is in force"), "{edited}");
    ensure!(fs::read_to_string(&file)? == "nics: 7\n", "the file was written");
    is_open(&scene, true, "after a refusal")?;
    sgctl(&agent, "rollback 2 --yes --force")?;
    is_open(&scene, false, "forced")?;

    // The same document after a restart is no change; numbers go on.
    agent.stop()?;
    agent.start_again()?;
    ensure!(numbers(&agent)? == [1, 2, 3, 4], "{:?}", numbers(&agent)?);
    agent.kill()?;
    agent.hand(&open)?;
    agent.start_again()?;
    ensure!(numbers(&agent)? == [1, 2, 3, 4, 5], "{:?}", numbers(&agent)?);
    is_open(&scene, true, "written while no agent ran")?;
    sgctl(&agent, "rollback 4 --yes")?;
    is_open(&scene, false, "after going back to before the restart")
}

/// The guard refuses a document that leaves a NIC out: the file says again what is in force.
fn one_that_is_refused(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    scene.host(Server).ip("link add vm1 type veth peer name peer1")?;
    let document = web(Role::Host, RULES);
    let with = format!("{document}  - {{ device: vm1, groups: [web] }}\n");
    let mut agent = scene.agent(Role::Host, attach, &document)?;
    agent.apply(&with)?;
    let refused = refused(&agent, "rollback 1 --yes")?;
    ensure!(
        refused.contains("vm1 is filtered") && refused.contains("has its former text again"),
        "{refused}"
    );
    ensure!(fs::read_to_string(agent.policy_file())? == with, "the file was not restored");
    ensure!(numbers(&agent)? == [1, 2], "{:?}", numbers(&agent)?);
    is_open(&scene, true, "after a refusal")
}

fn what_is_not_confirmed(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let open = web(Role::Host, RULES);
    let mut agent = scene.agent(Role::Host, attach, &open)?;
    agent.stop()?;
    agent.start_with(&["--confirm-changes", "60s"])?;
    ensure!(numbers(&agent)? == [1], "{:?}", numbers(&agent)?);
    agent.apply(&open.replace("ports: 80", "ports: 81"))?;
    is_open(&scene, false, "tried")?;
    sgctl(&agent, "cancel")?;
    is_open(&scene, true, "cancelled")?;
    ensure!(numbers(&agent)? == [1, 2, 3], "{:?}", numbers(&agent)?);
    let listed: Vec<Value> = serde_json::from_str(&sgctl(&agent, "history --changes --json")?)?;
    ensure!(listed[2]["operation"] == "revert_change", "{listed:?}");
    let same = refused(&agent, "rollback 2 --yes --force")?;
    ensure!(same.contains("has the document of change 2 already"), "{same}");
    ensure!(refused(&agent, "rollback 3 --yes")?.contains("is not what is in force"), "the file is not lost");
    let written = sgctl(&agent, "rollback 3 --yes --force")?;
    ensure!(written.contains("says again what is in force"), "{written}");
    ensure!(fs::read_to_string(agent.policy_file())? == open, "the file");
    // Going back is tried, too.
    let done = sgctl(&agent, "rollback 2 --yes")?;
    ensure!(done.contains("as change 4"), "{done}");
    is_open(&scene, false, "gone back")?;
    sgctl(&agent, "confirm")?;
    ensure!(sgctl(&agent, "rollback 4 --yes")?.starts_with("nothing to change"), "it is in force");
    is_open(&scene, false, "confirmed")
}
