//! Policy changes as fast as the agent applies them.

use std::{
    collections::BTreeSet,
    fs,
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{Agent, Attach, Family, Lab, Outcome, SILENCE, Service, ask, respond, until};

use crate::{
    amount,
    support::{
        background_traffic::{BackgroundTraffic, OPEN},
        scene::{Client, Role, Scene, Server, filtered, question, web},
        suite::Suite,
    },
};

/// The port that only the one policy accepts, and the port that only the other does.
const TELLING: [u16; 2] = [5001, 5002];
/// How long the receiver of a pair waits for the one of the two that arrives.
const PAIR: Duration = Duration::from_millis(5);
/// How long after the last change nothing may change any more.
const LAST: Duration = Duration::from_millis(500);
/// By how much the agent may grow: allocators keep what they had. An image kept for each change would be more.
const GROWTH_KIB: u64 = 6 * 1024;

pub(crate) fn tests(suite: &mut Suite) {
    // The second changes its size class with every change.
    for (name, padding) in [("small_images", [0, 0]), ("images_that_grow_and_shrink", [0, 1500])] {
        suite.each(name, move |lab, attach| storm(lab, attach, padding));
    }
    suite.each("the_last_change_asked_for_is_in_force", the_last_change_asked_for_is_in_force);
}

/// The one policy or the other. `padding` rules concern nobody who is here.
fn policy(which: usize, padding: u32) -> String {
    let mut rules = format!(
        "
ingress:
  - {{ id: open-tcp, protocol: tcp, ports: {OPEN} }}
  - {{ id: open-udp, protocol: udp, ports: {OPEN} }}
  - {{ id: telling, protocol: udp, ports: {} }}
",
        TELLING[which]
    );
    rules.extend((0..padding).map(|n| {
        let (net, port) = (n % 250, 10_000 + n);
        format!("  - {{ protocol: tcp, remote: 10.99.{net}.{}/32, ports: {port} }}\n", n / 250)
    }));
    web(Role::Host, &(rules + "egress:\n  - { id: nothing-out, action: drop, protocol: all }\n"))
}

/// What the agent holds.
#[derive(Debug)]
struct Held {
    rss_kib: u64,
    files: usize,
    mappings: usize,
}

impl Held {
    fn by(agent: &Agent) -> Result<Self> {
        let process = format!("/proc/{}", agent.pid());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let maps = fs::read_to_string(format!("{process}/maps"))?;
        Ok(Self {
            rss_kib: rss.trim().trim_end_matches(" kB").parse()?,
            files: fs::read_dir(format!("{process}/fd"))?.count(),
            // An image is filled through a mapping.
            mappings: maps.lines().filter(|line| line.contains("bpf-map")).count(),
        })
    }
}

fn storm(lab: Lab, attach: Attach, padding: [u32; 2]) -> Result<()> {
    let policies = [0, 1].map(|which| policy(which, padding[which]));
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policies[0])?;
    // What is taken once and kept is taken now.
    for n in 1..=4 {
        agent.apply(&policies[n % 2])?;
    }
    let before = Held::by(&agent)?;
    let meanwhile = BackgroundTraffic::begin(&scene)?;
    let over = AtomicBool::new(false);
    let (changes, seen) = thread::scope(|scope| {
        let telling = scope.spawn(|| tell(&scene, &over));
        let start = Instant::now();
        let mut changes = 0;
        let changed = loop {
            if start.elapsed() > Duration::from_secs(amount(3, 30)) {
                break Ok(());
            }
            changes += 1;
            if let Err(error) = agent.apply(&policies[changes % 2]) {
                break Err(error.context(format!("change {changes}")));
            }
        };
        over.store(true, Ordering::Relaxed);
        let seen = telling.join().map_err(|_| anyhow!("the pairs panicked"))?;
        changed.and(seen).map(|seen| (changes, seen))
    })?;
    let exchanged = meanwhile.end()?;
    if changes % 2 == 1 {
        agent.apply(&policies[0])?;
    }
    let after = Held::by(&agent)?;

    ensure!(seen.turns > 0, "no pair saw a change");
    ensure!(
        seen.turns <= changes,
        "{changes} changes, but the packets were judged by {} policies one after the other: a mixture",
        seen.turns
    );
    ensure!(
        after.rss_kib <= before.rss_kib + GROWTH_KIB
            && after.files <= before.files
            && after.mappings <= before.mappings,
        "{changes} changes: the agent held {before:?} and holds {after:?}"
    );
    if amount(false, true) {
        println!(
            "{attach} {padding:?}: {changes} changes; {} pairs told, {} turns; {exchanged}; {before:?} {after:?}",
            seen.pairs, seen.turns
        );
    }
    Ok(())
}

/// What pairs of packets told.
struct Seen {
    pairs: usize,
    /// How often the policy that judged a packet was not that of the packet before.
    turns: usize,
}

/// Sends pairs of packets, one to each telling port: each packet arrives or does not, and so tells which policy
/// judged it.
fn tell(scene: &Scene, over: &AtomicBool) -> Result<Seen> {
    let [to, from] = [Server, Client].map(|who| who.address(Family::V4));
    let mut receivers = Vec::new();
    let mut senders = Vec::new();
    for port in TELLING {
        let receiver = scene.host(Server).inside(|| Ok(UdpSocket::bind((to, port))?))?;
        receiver.set_nonblocking(true)?;
        let sender = scene.host(Client).inside(|| Ok(UdpSocket::bind((from, port))?))?;
        sender.connect((to, port))?;
        receivers.push(receiver);
        senders.push(sender);
    }
    let mut arrived = [BTreeSet::new(), BTreeSet::new()];
    let mut pairs = 0_usize;
    while !over.load(Ordering::Relaxed) {
        for sender in &senders {
            sender.send(&pairs.to_be_bytes())?;
        }
        let start = Instant::now();
        // The next pair waits for this one: packets are judged in the order in which they are sent.
        while start.elapsed() < PAIR {
            let mut number = [0; size_of::<usize>()];
            for (receiver, arrived) in receivers.iter().zip(&mut arrived) {
                while receiver.recv(&mut number).is_ok() {
                    arrived.insert(usize::from_be_bytes(number));
                }
            }
            if arrived.iter().any(|arrived| arrived.contains(&pairs)) {
                break;
            }
        }
        pairs += 1;
        thread::sleep(Duration::from_micros(100));
    }
    // The first policy judged what arrives at the first port and what does not arrive at the second.
    let judges: Vec<_> =
        (0..pairs).flat_map(|pair| [!arrived[0].contains(&pair), arrived[1].contains(&pair)]).collect();
    Ok(Seen { pairs, turns: judges.windows(2).filter(|two| two[0] != two[1]).count() })
}

/// Changes are written faster than they can be read: what is skipped does not matter, the last one does.
fn the_last_change_asked_for_is_in_force(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &policy(0, 0))?;
    for round in 0..amount(4, 40) {
        let last = round % 2;
        for n in 0..20 {
            agent.hand(&policy((last + n) % 2, u32::from(n % 3 == 0) * 200))?;
        }
        agent.hand(&policy(last, 0))?;
        let _responder =
            respond(scene.host(Server), Server.address(Family::V4), Service::Udp(TELLING[last]))?;
        let asked = question(Client, Server, Family::V4, Service::Udp(TELLING[last]));
        until("the last change is in force", || {
            Ok(ask(scene.host(Client), &asked, SILENCE)? == Outcome::Reply)
        })?;
        // It may have been in force earlier, with another on its way. The longest way takes less than this.
        thread::sleep(LAST);
        scene.puts(Client, &asked, Outcome::Reply)?;
        scene.asks(Client, Server, Family::V4, Service::Udp(TELLING[1 - last]), Outcome::Silent)?;
    }
    Ok(())
}
