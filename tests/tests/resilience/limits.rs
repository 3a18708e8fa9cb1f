//! Hosts that lack something: each time a clear error with its remedy, an exit code, and nothing half done.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Attach, Binaries, Family, Lab, Outcome, Service};

use crate::{
    resilience::leftovers,
    support::{
        scene::{Client, Role, Scene, Server, web},
        suite::Suite,
    },
};

/// What is done to the agent before it starts, in a shell of its own mount namespace; the rest of the line is `sgd`.
struct Lack {
    name: &'static str,
    /// Shell commands.
    first: &'static str,
    /// Words in front of `sgd`.
    front: &'static str,
    /// Options of `sgd`.
    options: &'static str,
    /// What the error must say.
    says: &'static [&'static str],
}

const NOTHING: Lack = Lack { name: "", first: "", front: "", options: "", says: &[] };
const ALL_LACKS: [Lack; 6] = [
    Lack {
        name: "a_bpffs_that_cannot_be_written",
        first: "mount -o remount,ro,bind /sys/fs/bpf",
        says: &["/sys/fs/bpf", "Read-only", "remount,rw"],
        ..NOTHING
    },
    Lack {
        name: "no_bpffs_and_no_right_to_mount_one",
        first: "umount /sys/fs/bpf",
        front: "setpriv --inh-caps=-all,+bpf,+net_admin,+perfmon --bounding-set=-all,+bpf,+net_admin,+perfmon",
        says: &["/sys/fs/bpf", "mount -t bpf"],
        ..NOTHING
    },
    Lack {
        name: "no_cap_bpf",
        front: "setpriv --bounding-set=-bpf,-sys_admin",
        says: &["CAP_BPF"],
        ..NOTHING
    },
    Lack {
        name: "no_cap_net_admin",
        front: "setpriv --bounding-set=-net_admin",
        says: &["CAP_NET_ADMIN"],
        ..NOTHING
    },
    Lack {
        name: "few_open_files",
        first: "ulimit -n 12",
        says: &["LimitNOFILE", "ulimit -n", "12"],
        ..NOTHING
    },
    Lack {
        name: "a_flow_table_larger_than_memory",
        options: "--max-flows 4000000000",
        says: &["--max-flows"],
        ..NOTHING
    },
];

pub(crate) fn tests(suite: &mut Suite) {
    for lack in &ALL_LACKS {
        suite.each(lack.name, move |lab, attach| refuses(lab, attach, lack));
    }
    suite.each("little_locked_memory_is_enough", little_locked_memory_is_enough);
}

/// Starts `sgd` in the foreground and returns whether it succeeded within three seconds, and what it said.
fn start(scene: &Scene, attach: Attach, lack: &Lack) -> Result<(Option<i32>, String)> {
    let server = scene.host(Server);
    let directory = format!("/run/lab/{}", server.netns());
    std::fs::create_dir_all(&directory)?;
    let policy = format!("{directory}/policy.yaml");
    std::fs::write(&policy, web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    let sgd = Binaries::find()?.sgd();
    let line = format!(
        "set -e\n{}\nexec {} timeout --preserve-status --signal=TERM 8 {} run --policy {policy} --instance {} \
         --state {directory}/state --attach {attach} {}",
        lack.first,
        lack.front,
        sgd.display(),
        server.netns(),
        lack.options
    );
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", &line]);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = server.spawn(&mut shell)?.wait_with_output()?;
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.code(), said))
}

fn refuses(lab: Lab, attach: Attach, lack: &Lack) -> Result<()> {
    let scene = Scene::new(lab)?;
    let (code, said) = start(&scene, attach, lack)?;
    let context = || format!("exit code {code:?}, and it said:\n{said}");
    ensure!(code.is_some_and(|code| code == 1 || code == 2), "it does not refuse: {}", context());
    ensure!(!said.contains("panicked") && !said.contains("ready "), "{}", context());
    for word in lack.says {
        ensure!(said.contains(word), "the error does not name {word:?}: {}", context());
    }
    // Nothing is on the device, and an agent that lacks nothing starts as if nothing had been.
    ensure!(leftovers::filters(scene.host(Server))?.is_empty(), "left: {}", context());
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply).with_context(context)?;
    let agent =
        scene.agent(Role::Host, attach, &web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    ensure!(!agent.complaints().contains("adopting"), "it adopts what was half made: {}", agent.complaints());
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
}

/// Since Linux 5.11 maps are charged to the memory cgroup, not to `RLIMIT_MEMLOCK`.
fn little_locked_memory_is_enough(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let lack = Lack { first: "ulimit -l 64", ..NOTHING };
    let (code, said) = start(&scene, attach, &lack)?;
    ensure!(code == Some(0) && said.contains("ready "), "exit code {code:?}, and it said:\n{said}");
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
}
