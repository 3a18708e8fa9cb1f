//! Where a NIC is judged: what XDP is refused for, and that a change of hook opens nothing.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sg_kernel::{Datapath, Device, Limits, Options};
use sg_model::Hook;
use sg_tests::lab::{Agent, Attach, End, Family, Lab, Outcome, PATIENCE, Pair as _, Service, Streams, until};

use crate::support::{
    scene::{Client, Counted, Role, Scene, Server, counts, filtered, native_xdp, question, web},
    suite::Suite,
};

const SHUT: u16 = 55;
const RULES: &str = "
ingress:
  - { id: tcp, protocol: tcp, ports: 80 }
  - { id: udp, protocol: udp, ports: 54 }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("are_where_the_policy_says", are_where_the_policy_says);
    suite.each("a_change_opens_nothing", a_change_opens_nothing);
    let xdp = [Attach::Xdp];
    suite.over(&xdp, "bulk_passes", bulk_passes);
    suite.over(&xdp, "a_driver_without_it_is_named", a_driver_without_it_is_named);
    suite.over(&xdp, "a_large_mtu_is_named", a_large_mtu_is_named);
    suite.over(&xdp, "another_program_is_named", another_program_is_named);
}

fn policy(hook: Hook) -> String {
    web(Role::Host, RULES).replace("device: eth0,", &format!("device: eth0, hook: {hook:?},").to_lowercase())
}

/// One datagram each way, each judged once.
fn is_judged_once(scene: &Scene, agent: &Agent) -> Result<()> {
    counts(agent, Counted::Rule("udp"), 2..=2, || {
        scene.asks(Client, Server, Family::V4, Service::Udp(54), Outcome::Reply)
    })?;
    scene.asks(Client, Server, Family::V6, Service::Udp(SHUT), Outcome::Silent)
}

fn are_where_the_policy_says(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy(Hook::Tc))?;
    ensure!(native_xdp(scene.host(Server), "eth0")?.is_none(), "nobody asked for XDP");
    for hook in [Hook::Xdp, Hook::Tc, Hook::Xdp] {
        agent.apply(&policy(hook))?;
        let found = native_xdp(scene.host(Server), "eth0")?;
        ensure!(found.is_some() == (hook == Hook::Xdp), "{hook:?}, and at XDP is {found:?}");
        is_judged_once(&scene, &agent).with_context(|| format!("at {hook:?}"))?;
    }
    // What another run finds there is replaced where it is, or changes its hook with the policy.
    let before = native_xdp(scene.host(Server), "eth0")?;
    for hook in [Hook::Xdp, Hook::Tc, Hook::Xdp] {
        agent.kill()?;
        agent.hand(&policy(hook))?;
        agent.start_again()?;
        let found = native_xdp(scene.host(Server), "eth0")?;
        ensure!(found.is_some() == (hook == Hook::Xdp), "{hook:?}, and at XDP is {found:?}");
        ensure!(found != before, "a run has a program of its own");
        is_judged_once(&scene, &agent).with_context(|| format!("at {hook:?}, by a new run"))?;
    }
    agent.stop()?;
    agent.detach()?;
    ensure!(native_xdp(scene.host(Server), "eth0")?.is_none(), "`sgctl detach` takes it off");
    scene.asks(Client, Server, Family::V4, Service::Udp(SHUT), Outcome::Reply)
}

/// Datagrams to a port that is shut come all the time, and a connection lives on.
fn a_change_opens_nothing(lab: Lab, attach: Attach) -> Result<()> {
    const PAUSE: Duration = Duration::from_micros(50);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy(Hook::Tc))?;
    let asked = question(Client, Server, Family::V4, Service::Tcp(80));
    let mut streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    let at = |port| SocketAddr::new(Server.address(Family::V4), port);
    let bound = |port| scene.host(Server).inside(|| Ok(UdpSocket::bind(at(port))?));
    let (open, shut) = (bound(54)?, bound(SHUT)?);
    let sender = scene.host(Client).inside(|| Ok(UdpSocket::bind((Client.address(Family::V4), 0))?))?;
    let (ended, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                for port in [54, SHUT] {
                    // A full queue is no reason to stop.
                    let _ = sender.send_to(b".", at(port));
                }
                sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        let changes = (0..6).try_for_each(|round| {
            agent.apply(&policy(if round % 2 == 0 { Hook::Xdp } else { Hook::Tc }))?;
            End::ALL.into_iter().try_for_each(|end| {
                streams.send(end)?;
                ensure!(streams.arrives(end.other(), PATIENCE)?, "the connection was lost");
                Ok(())
            })
        });
        ended.store(true, Ordering::Relaxed);
        changes
    })?;
    let received = |socket: &UdpSocket| {
        socket.set_nonblocking(true)?;
        anyhow::Ok(std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count())
    };
    let sent = sent.into_inner();
    ensure!(sent > 100 && received(&open)? > 0, "{sent} were sent, and none came where it may");
    let leaked = received(&shut)?;
    ensure!(leaked == 0, "{leaked} of {sent} datagrams came through");
    Ok(())
}

/// The peer sends packets that are larger than any frame, as long as nobody looks at them in the driver.
fn bulk_passes(lab: Lab, attach: Attach) -> Result<()> {
    const BYTES: usize = 16 << 20;
    let (scene, _agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    for family in Family::ALL {
        let asked = question(Client, Server, family, Service::Tcp(80));
        let streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
        for end in End::ALL {
            let (mut from, mut to) = (streams.socket(end), streams.socket(end.other()));
            to.set_read_timeout(Some(PATIENCE))?;
            thread::scope(|scope| {
                let sending = scope.spawn(move || from.write_all(&vec![7; BYTES]));
                let mut received = vec![0; BYTES];
                to.read_exact(&mut received).with_context(|| format!("{family}, sent by {end:?}"))?;
                sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
                ensure!(received.iter().all(|&byte| byte == 7), "something else arrived");
                anyhow::Ok(())
            })?;
        }
    }
    Ok(())
}

/// Says `hook: xdp` of a device that cannot have it, and waits for the reason; then the other hook works.
fn is_refused(scene: &Scene, device: &str, why: &[&str]) -> Result<()> {
    let mut agent = scene.agent(Role::Host, Attach::Auto, &policy(Hook::Tc))?;
    let with = |hook| {
        let nic = format!("\n  - {{ device: {device}, hook: {hook}, groups: [web] }}\n");
        policy(Hook::Tc).trim_end().to_owned() + &nic
    };
    agent.apply(&with("xdp"))?;
    for why in why {
        until(&format!("{why} is said"), || Ok(agent.complaints().contains(why)))
            .with_context(|| agent.complaints())?;
    }
    ensure!(agent.complaints().contains("`hook: tc`"), "no remedy: {}", agent.complaints());
    agent.forget();
    agent.apply(&with("tc"))?;
    let attached = format!("attached {device}");
    ensure!(agent.announced().contains(&attached), "{:?}", agent.announced());
    Ok(())
}

fn a_driver_without_it_is_named(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let host = scene.host(Server);
    host.ip("link add br0 type bridge\nlink set br0 up")?;
    is_refused(&scene, "br0", &["device br0: its driver (bridge) refuses native XDP: it has no native XDP"])
}

fn a_large_mtu_is_named(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    lab.wire((scene.host(Server), "jumbo"), (scene.host(Client), "other"), 9_000)?;
    is_refused(&scene, "jumbo", &["device jumbo: its driver (veth) refuses native XDP", "the MTU of 9000"])
}

/// Nobody else's program is taken off, and what was in force at tc stays.
fn another_program_is_named(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let host = scene.host(Server);
    let index = host.inside(|| Ok(nix::net::if_::if_nametoindex("eth0")?))?;
    let device = Device { name: "eth0".to_owned(), index };
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let mut other = Datapath::load(&Options { limits, ..Options::default() })?;
    host.inside(|| Ok(other.attach(0, &device, Hook::Xdp)?))?;
    let id = native_xdp(host, "eth0")?.context("the other program is there")?;
    // It has no policy and drops everything, until it is gone.
    let mut agent = scene.agent(Role::Host, Attach::Auto, &policy(Hook::Tc))?;
    agent.apply(&policy(Hook::Xdp))?;
    let why = format!("device eth0 has an XDP program already, program {id} (sg_xdp): take that off it");
    until("the other program is named", || Ok(agent.complaints().contains(&why)))
        .with_context(|| agent.complaints())?;
    ensure!(native_xdp(host, "eth0")? == Some(id), "the other program was taken off");
    host.inside(|| Ok(other.detach(&device)?))?;
    drop(other);
    until("it is tried again", || Ok(native_xdp(host, "eth0")?.is_some_and(|found| found != id)))?;
    // Until the agent has taken the other one off, too, both judge.
    let mut judged = Ok(());
    let once = || {
        judged = is_judged_once(&scene, &agent);
        Ok(judged.is_ok())
    };
    until("one program is left", once).with_context(|| format!("{judged:?}"))
}
