//! The pinned filter outlives the agent, or the agent reports that it will not: bpffs of the host, of a container, of a mount
//! namespace (S09).

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, Binaries, Family, Lab, Outcome, PATIENCE, Service, ask, respond, until};

use crate::{
    resilience::leftovers,
    support::{
        scene::{Client, Role, Scene, Server, filtered, question, web},
        suite::Suite,
    },
};

const EIGHTY: &str = "ingress: [{ protocol: tcp, ports: 80 }]";

pub(crate) fn tests(suite: &mut Suite) {
    let ways = &[Attach::Tcx];
    suite.over(ways, "a_container_is_reported", a_container_is_reported);
    suite.over(ways, "a_private_bpffs_is_reported", a_private_bpffs_is_reported);
    suite.over(ways, "the_bpffs_of_the_first_process_is_found", the_bpffs_of_the_first_process_is_found);
    suite.over(ways, "a_bpffs_from_outside_is_good_enough", a_bpffs_from_outside_is_good_enough);
}

/// The lab has a first process of its own, and so looks like a container.
fn a_container_is_reported(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    let complains = |agent: &Agent, what: &str| {
        until(what, || Ok(agent.complaints().contains(what))).with_context(|| agent.complaints())
    };
    complains(&agent, "the filter may end with it")?;
    let ready = agent.announced().into_iter().find(|line| line.starts_with("ready ")).context("not ready")?;
    ensure!(ready.ends_with(" attached=1 pinned=container"), "{ready}");
    let status = agent.sgctl(&["status", "--instance", agent.instance()])?.stdout;
    let status = String::from_utf8_lossy(&status).into_owned();
    ensure!(status.contains("container: the filter may end with it"), "{status}");
    agent.stop()?;
    complains(&agent, "SIGTERM: the agent ends, and the filter may end with it")?;
    agent.detach()?;

    let refused = agent.start_with(&["--require-pinned"]).is_err();
    ensure!(refused, "it starts with --require-pinned");
    ensure!(agent.ends()?.code() == Some(1), "{}", agent.complaints());
    ensure!(agent.complaints().contains("--require-pinned: whether"), "{}", agent.complaints());
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)
}

/// A bpffs of its own, as an entry point of a container may mount one: the filter goes with it, and that is said.
const PRIVATE: &str = r#"
set -e
mount -t bpf bpf /sys/fs/bpf
status=0; "$SGD" run --policy "$POLICY" --instance "$INSTANCE" --state "$POLICY.state" --attach tcx --require-pinned > "$SAID" 2>&1 || status=$?
cat "$SAID"
[ $status = 1 ]
"$SGD" run --policy "$POLICY" --instance "$INSTANCE" --state "$POLICY.state" --attach tcx > "$SAID" 2>&1 &
n=0; until grep -q ^ready "$SAID"; do n=$((n+1)); [ $n -lt 300 ] || { cat "$SAID"; exit 1; }; sleep 0.1; done
kill $!; wait $! || true
cat "$SAID"
"#;

fn a_private_bpffs_is_reported(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let said = shell(&scene, &["--mount", "--propagation", "private"], PRIVATE)?;
    for words in [
        "--require-pinned: bpffs is private to the mount namespace of sgd",
        " pinned=private",
        "SIGTERM: the agent ends, and the filter may end with it: bpffs is private",
    ] {
        ensure!(said.contains(words), "not a word of {words:?}: {said}");
    }
    until("the filter has ended", || {
        let asked = question(Client, Server, Family::V4, Service::Tcp(22));
        let _responder = respond(scene.host(Server), asked.to, Service::Tcp(22))?;
        Ok(ask(scene.host(Client), &asked, PATIENCE)? == Outcome::Reply)
    })
}

/// Runs a shell in namespaces of its own, whose other words are in the environment. Returns what it said.
fn shell(scene: &Scene, unshare: &[&str], script: &str) -> Result<String> {
    let server = scene.host(Server);
    let directory = format!("/run/lab/{}", server.netns());
    fs::create_dir_all(&directory)?;
    let policy = format!("{directory}/policy.yaml");
    fs::write(&policy, web(Role::Host, EIGHTY))?;
    let mut shell = Command::new("unshare");
    shell.args(unshare).args(["sh", "-c", script]);
    shell.env("SGD", fs::canonicalize(Binaries::find()?.sgd())?).env("POLICY", &policy);
    shell.env("INSTANCE", server.netns()).env("SAID", format!("{directory}/said"));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = server.spawn(&mut shell)?.wait_with_output()?;
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(said)
}

/// `/sys` as `ip netns exec` makes it, below a first process that has the bpffs of the lab; the agent is killed there.
const IP_NETNS_EXEC: &str = r#"
set -e
mount -t proc proc /proc
unshare --mount --propagation slave sh -c 'umount -l /sys; mount -t sysfs sysfs /sys
    exec "$SGD" run --policy "$POLICY" --instance "$INSTANCE" --state "$POLICY.state" --attach tcx' > "$SAID" 2>&1 &
n=0; until grep -q ^ready "$SAID"; do n=$((n+1)); [ $n -lt 300 ] || { cat "$SAID"; exit 1; }; sleep 0.1; done
kill -9 $!
cat "$SAID"
"#;

fn the_bpffs_of_the_first_process_is_found(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let unshare = ["--pid", "--fork", "--kill-child", "--mount", "--propagation", "private"];
    let said = shell(&scene, &unshare, IP_NETNS_EXEC)?;
    // The first process of a namespace of its own: more cannot be told from there.
    ensure!(said.contains(" pinned=container"), "{said}");
    // Every process of these namespaces has ended.
    scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
    scene
        .asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
        .with_context(|| said.clone())?;
    let server = scene.host(Server);
    let sgctl = Binaries::find()?.sgctl().clone();
    let detached = leftovers::printed(
        server,
        sgctl.to_str().context("not UTF-8")?,
        &["detach", "--instance", server.netns()],
    )?;
    ensure!(detached.contains("detached eth0"), "{detached}");
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)
}

/// What is mounted outside arrives inside: as a unit of systemd has it, and a container with `HostToContainer`.
const FROM_OUTSIDE: &str = r#"
set -e
mount --make-shared /sys/fs/bpf
unshare --mount --propagation slave "$SGD" run --policy "$POLICY" --instance "$INSTANCE" --state "$POLICY.state" --attach tcx --require-pinned > "$SAID" 2>&1 &
n=0; until grep -q ^ready "$SAID"; do n=$((n+1)); [ $n -lt 300 ] || { cat "$SAID"; exit 1; }; sleep 0.1; done
kill -9 $!
cat "$SAID"
"#;

fn a_bpffs_from_outside_is_good_enough(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let said = shell(&scene, &["--mount", "--propagation", "private"], FROM_OUTSIDE)?;
    ensure!(said.contains(" pinned=host"), "{said}");
    ensure!(!said.contains("docs/use/containers.md"), "{said}");
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    let server = scene.host(Server);
    let sgctl = Binaries::find()?.sgctl().clone();
    leftovers::printed(
        server,
        sgctl.to_str().context("not UTF-8")?,
        &["detach", "--instance", server.netns()],
    )?;
    Ok(())
}
