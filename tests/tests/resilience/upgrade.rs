//! Another `sgd` replaces the one before, under traffic: a changed program, a changed layout, and a downgrade, which is refused.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_common::abi;
use sg_tests::lab::{
    Agent, Attach, End, Family, Host, Lab, Outcome, PATIENCE, Pair, SILENCE, Service, Streams,
};

use crate::{
    amount,
    resilience::leftovers,
    support::{
        background_traffic::{BackgroundTraffic, OPEN, SHUT},
        scene::{Client, Role, Scene, Server, filtered, question, web},
        suite::Suite,
    },
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("a_changed_program_takes_over", a_changed_program_takes_over);
    suite.each("the_layout_before_is_taken_over", |lab, attach| {
        the_layout_before(lab, attach, AreFlows::AsNow)
    });
    suite.each("flows_of_another_form_are_left_behind", |lab, attach| {
        the_layout_before(lab, attach, AreFlows::Longer)
    });
    suite.each("kills_in_the_middle_of_it", kills_in_the_middle_of_it);
    suite.each("pins_without_a_catalog_are_replaced", pins_without_a_catalog_are_replaced);
    suite.each("another_hook_takes_over", another_hook_takes_over);
    suite.each("a_later_layout_is_refused", a_later_layout_is_refused);
}

/// Accepts at [`OPEN`] and replies; what else comes in is dropped, and nothing may begin from within.
fn policy() -> String {
    web(
        Role::Host,
        &format!(
            "
ingress:
  - {{ id: open, protocol: all, priority: 2, remote: 10.77.0.0/24 }}
  - {{ id: open-v6, protocol: udp, priority: 2, ports: {OPEN} }}
  - {{ id: shut-tcp, action: drop, protocol: tcp, ports: {SHUT} }}
  - {{ id: shut-udp, action: drop, protocol: udp, ports: {SHUT}-{STORMED} }}
egress:
  - {{ id: nothing-out, action: drop, protocol: all }}
"
        ),
    )
}

/// No policy accepts it; nobody else's datagrams go there.
const STORMED: u16 = 23;

/// Datagrams to [`STORMED`], one after the other without a pause.
struct Storm {
    wanted: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
    receiver: UdpSocket,
}

impl Storm {
    fn begin(scene: &Scene) -> Result<Self> {
        let to = SocketAddr::new(Server.address(Family::V4), STORMED);
        let receiver = scene.host(Server).inside(|| Ok(UdpSocket::bind(to)?))?;
        let from = SocketAddr::new(Client.address(Family::V4), 0);
        let socket = scene.host(Client).inside(|| Ok(UdpSocket::bind(from)?))?;
        let wanted = Arc::new(AtomicBool::new(true));
        let is_wanted = wanted.clone();
        let sender = thread::spawn(move || {
            let mut sent = 0;
            while is_wanted.load(Ordering::Relaxed) {
                for _ in 0..8 {
                    socket.send_to(b"storm", to)?;
                }
                sent += 8;
                // Some 100,000 a second, and time for who else wants the processor.
                thread::sleep(Duration::from_micros(20));
            }
            Ok(sent)
        });
        Ok(Self { wanted, sender, receiver })
    }

    /// Ends it; how many were sent. None may have arrived.
    fn end(self) -> Result<u64> {
        self.wanted.store(false, Ordering::Relaxed);
        let sent = self.sender.join().map_err(|_| anyhow!("the storm panicked"))??;
        self.receiver.set_read_timeout(Some(SILENCE))?;
        let (mut arrived, mut buffer) = (0, [0; 8]);
        while self.receiver.recv(&mut buffer).is_ok() {
            arrived += 1;
        }
        ensure!(arrived == 0, "{arrived} of {sent} datagrams to a closed port arrived");
        ensure!(sent > 1000, "{sent} datagrams are no storm");
        Ok(sent)
    }
}

/// A program on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loaded {
    id: u64,
    /// Bytes behind the verifier, which drops what a program never comes to.
    length: u64,
}

/// The two programs on the server's NIC.
fn loaded(server: &Host, attach: Attach) -> Result<Vec<Loaded>> {
    let mut ids = Vec::new();
    if attach == Attach::Clsact {
        for direction in ["ingress", "egress"] {
            let shown =
                leftovers::printed(server, "tc", &["-j", "filter", "show", "dev", "eth0", direction])?;
            let filters: Vec<serde_json::Value> = serde_json::from_str(&shown)?;
            ids.extend(filters.iter().filter_map(|filter| filter.pointer("/options/prog/id")?.as_u64()));
        }
    } else {
        let instance = fs::read_dir(format!("/sys/fs/bpf/sgd/{}", server.netns()))?;
        for directory in instance.flatten() {
            for pin in names(&directory.path())?.iter().filter(|pin| pin.to_string_lossy().contains("/link_"))
            {
                let link = leftovers::listed(server, &["link", "show", "pinned", &pin.to_string_lossy()])?;
                ids.push(link["prog_id"].as_u64().context("a link without a program")?);
            }
        }
    }
    let program = |id: u64| {
        let shown = leftovers::listed(server, &["prog", "show", "id", &id.to_string()])?;
        Ok(Loaded { id, length: shown["bytes_xlated"].as_u64().context("no length")? })
    };
    ids.into_iter().map(program).collect()
}

/// Does something while traffic goes on, of which nothing may be lost and nothing let through.
fn under_traffic(scene: &Scene, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (meanwhile, storm) = (BackgroundTraffic::begin(scene)?, Storm::begin(scene)?);
    thread::sleep(Duration::from_millis(50));
    let worked = work();
    thread::sleep(Duration::from_millis(50));
    let (sent, exchanged) = (storm.end(), meanwhile.end());
    worked?;
    println!("{}; {} datagrams of a storm, none let in", exchanged?, sent?);
    Ok(())
}

fn a_changed_program_takes_over(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let server = scene.host(Server);
    let before = loaded(server, attach)?;
    ensure!(before.len() == 2, "a program for each direction, but {before:?}");
    under_traffic(&scene, || {
        agent.kill()?;
        // The program's own log is a constant that is set when it is loaded: the verifier keeps what was dead code.
        agent.start_with(&["--bpf-log", "debug"])
    })?;
    let after = loaded(server, attach)?;
    ensure!(after.len() == 2, "a program for each direction, but {after:?}");
    for (before, after) in before.iter().zip(&after) {
        ensure!(before.id != after.id && before.length < after.length, "{before:?} became {after:?}");
    }
    Ok(())
}

/// The directory of the agent's pins, in this layout.
fn own_pins(agent: &Agent) -> PathBuf {
    PathBuf::from(format!("/sys/fs/bpf/sgd/{}/v{}", agent.instance(), abi::VERSION))
}

fn catalog_file(agent: &Agent) -> PathBuf {
    PathBuf::from(format!("/run/sgd/{}/catalog.json", agent.instance()))
}

/// What the flows are like that the layout before left.
#[derive(Clone, Copy, PartialEq)]
enum AreFlows {
    /// Of the same form.
    AsNow,
    /// Their entries are longer.
    Longer,
}

/// Lets what an agent left look as if it had another layout.
fn relabel(agent: &Agent, layout: u32) -> Result<PathBuf> {
    let old = own_pins(agent).with_file_name(format!("v{layout}"));
    fs::rename(own_pins(agent), &old)?;
    let mut catalog: serde_json::Value = serde_json::from_slice(&fs::read(catalog_file(agent))?)?;
    catalog["abi_version"] = layout.into();
    fs::write(catalog_file(agent), serde_json::to_vec(&catalog)?)?;
    Ok(old)
}

/// Puts a table with longer entries in the place of the pinned one.
fn lengthen(server: &Host, pin: &Path) -> Result<()> {
    fs::remove_file(pin)?;
    let made = ["map", "create", &pin.to_string_lossy(), "type", "hash", "key", "48", "value", "96"];
    leftovers::printed(server, "bpftool", &[&made[..], &["entries", "4096", "name", "FLOWS_V6"]].concat())?;
    Ok(())
}

/// What is left of those before, once another one is ready.
fn nothing_older(agent: &Agent) -> Result<()> {
    let own = own_pins(agent);
    let all: Vec<PathBuf> =
        fs::read_dir(own.parent().context("no parent")?)?.flatten().map(|e| e.path()).collect();
    ensure!(all == [own], "pinned: {all:?}");
    Ok(())
}

/// The layout before this one was never written by any program: it is this one, under another number.
fn the_layout_before(lab: Lab, attach: Attach, flows: AreFlows) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let server = scene.host(Server);
    // A connection that no rule would let go on from within.
    let asked = question(Client, Server, Family::V4, Service::Tcp(OPEN + 1));
    let mut open = Streams::open(scene.host(Client), server, &asked)?;
    open.send(End::Initiator)?;
    ensure!(open.arrives(End::Responder, PATIENCE)?, "the connection is not there");
    let counted = agent.stats()?.rule("open");
    agent.kill()?;
    let old = relabel(&agent, abi::VERSION - 1)?;

    let before = loaded(server, attach)?;
    if flows == AreFlows::AsNow {
        under_traffic(&scene, || agent.start_again())?;
    } else {
        lengthen(server, &old.join("FLOWS_V6"))?;
        under_storm(&scene, || agent.start_again())?;
    }
    let after = loaded(server, attach)?;
    ensure!(
        after.len() == 2 && before.iter().all(|before| !after.contains(before)),
        "{before:?} became {after:?}"
    );
    nothing_older(&agent)?;
    let said = agent.complaints();
    ensure!(!said.contains("starting afresh") && !said.contains("ERROR"), "{said}");
    ensure!(agent.stats()?.rule("open") >= counted, "{counted} packets were forgotten");

    // From within it goes on only where it is known: nothing may begin there.
    open.send(End::Responder)?;
    let arrives = open.arrives(End::Initiator, SILENCE)?;
    if flows == AreFlows::AsNow {
        ensure!(arrives && said.contains("flows of layout"), "the connection was lost:\n{said}");
    } else {
        ensure!(!arrives, "a flow of another form went on");
        ensure!(said.contains("flows are not carried over"), "it does not say so:\n{said}");
        // The other end's next packet meets a rule that accepts it, and then both pass.
        open.send(End::Initiator)?;
        ensure!(open.arrives(End::Responder, PATIENCE)?, "the connection is not picked up");
        ensure!(open.arrives(End::Initiator, PATIENCE)?, "the connection is not picked up by both");
    }
    is_filtered(&scene)
}

/// Whatever of it was done, the next start goes on from there.
fn kills_in_the_middle_of_it(lab: Lab, attach: Attach) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(20_261);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.kill()?;
    let start = Instant::now();
    agent.start_again()?;
    let to_ready = start.elapsed();
    under_storm(&scene, || {
        for kill in 0..amount(8, 100) {
            agent.kill()?;
            relabel(&agent, abi::VERSION - 1)?;
            agent.launch()?;
            thread::sleep(to_ready.mul_f64(random.f64() * 1.3));
            agent.kill()?;
            agent.start_again()?;
            let said = agent.complaints();
            ensure!(!said.contains("starting afresh") && !said.contains("ERROR"), "run {kill}:\n{said}");
            nothing_older(&agent)?;
        }
        Ok(())
    })?;
    ensure!(loaded(scene.host(Server), attach)?.len() == 2, "not one program for each direction");
    is_filtered(&scene)
}

/// The same where flows do not go on: nothing may be let through.
fn under_storm(scene: &Scene, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let storm = Storm::begin(scene)?;
    let worked = work();
    println!("{} datagrams of a storm, none let in", storm.end()?);
    worked
}

fn is_filtered(scene: &Scene) -> Result<()> {
    scene.asks(Client, Server, Family::V4, Service::Tcp(OPEN), Outcome::Reply)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(SHUT), Outcome::Silent)
}

/// Nobody knows what its numbers mean: it stays until the next one is in its place.
fn pins_without_a_catalog_are_replaced(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.kill()?;
    fs::remove_file(catalog_file(&agent))?;
    under_storm(&scene, || agent.start_again())?;
    let said = agent.complaints();
    ensure!(said.contains("starting afresh"), "{said}");
    nothing_older(&agent)?;
    ensure!(loaded(scene.host(Server), attach)?.len() == 2, "not one program for each direction");
    is_filtered(&scene)
}

fn another_hook_takes_over(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let server = scene.host(Server);
    let other = if attach == Attach::Clsact { Attach::Tcx } else { Attach::Clsact };
    if other == Attach::Clsact {
        // A qdisc that is made stops its device for a moment (`qdisc_graft`, net/sched/sch_api.c), and what is sent then is lost.
        leftovers::printed(server, "tc", &["qdisc", "add", "dev", "eth0", "clsact"])?;
    }
    under_traffic(&scene, || {
        agent.kill()?;
        agent.start_with(&["--attach", &other.to_string()])
    })?;
    ensure!(loaded(server, attach)?.is_empty(), "{attach} is there still");
    ensure!(loaded(server, other)?.len() == 2, "{other} is not there");
    nothing_older(&agent)
}

fn a_later_layout_is_refused(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let server = scene.host(Server);
    let later = abi::VERSION + 7;
    agent.kill()?;
    let pins = relabel(&agent, later)?;
    let before = (loaded(server, attach)?, names(&pins)?, fs::read(catalog_file(&agent))?);
    under_traffic(&scene, || {
        agent.launch()?;
        let status = agent.ends()?;
        let said = agent.complaints();
        ensure!(status.code() == Some(1), "it ended with {status}:\n{said}");
        for word in [format!("layout {later}"), format!("up to {}", abi::VERSION), "sgctl detach".to_owned()]
        {
            ensure!(said.contains(&word), "it does not say {word:?}:\n{said}");
        }
        Ok(())
    })?;
    let after = (loaded(server, attach)?, names(&pins)?, fs::read(catalog_file(&agent))?);
    ensure!(before == after, "something was touched: {before:?} became {after:?}");
    ensure!(!own_pins(&agent).exists(), "pins of this layout were made");
    // Taking it off needs no knowledge of its layout.
    agent.detach()?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(SHUT), Outcome::Reply)
}

fn names(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut names: Vec<PathBuf> = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    Ok(names)
}
