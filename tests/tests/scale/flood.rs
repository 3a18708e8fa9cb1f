//! Ten thousand connections that exchange data while somebody asks for as many as a processor takes, each from another
//! end. None of the ten thousand may be lost.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use sg_common::flow::Direction::{self, Egress as OUT, Ingress as IN};
use sg_tests::{
    lab::{self, Agent, Attach, Generator, Host, Lab, Sent, Vary},
    packet::checksum,
};

use crate::{
    amount,
    differential::{
        judges::{self, nft, parameter},
        packet::{ACK, Body, Packet, SYN, Segment},
        policy::{Policy, Service},
        rig::{LOCAL, OUTER, Rig, Step, number_of},
    },
    support::suite::Suite,
};

const FLOWS: usize = 10_000;
/// New connections that are tried in each round of data.
const NEWCOMERS: usize = 200;
/// How often a packet is sent before it counts as lost: queues may overflow on the way, and an end would send it again.
const TRIES: usize = 3;
/// Packets under way at once: a socket holds only so many.
const WINDOW: usize = 64;
/// How long to wait for what is under way.
const SILENCE: Duration = Duration::from_millis(50);
/// Where the flood is aimed: the router forwards it to a device that leads nowhere.
const FLOODED: Ipv4Addr = Ipv4Addr::new(172, 16, 1, 99);
const SINK: &str = "sink";
/// Packets of the flood before it looks whether it is over: a tenth of a second or less.
const BATCH: u32 = 1 << 16;

pub(crate) fn tests(suite: &mut Suite) {
    let name = "established_connections_are_not_lost";
    suite.when(name, lab::missing(), established_connections_are_not_lost);
    suite.when("its_packets_are_whole", lab::missing(), its_packets_are_whole);
}

fn policy() -> Policy {
    Policy::of(&[(true, Service::Tcp([80, 80]))], &[(false, Service::All)])
}

/// The rule that decides about the flood: the one before it is that of the lab.
const RULE: &str = "g0/ingress/1";

fn established_connections_are_not_lost(lab: Lab) -> Result<()> {
    let rig = rig(lab)?;
    let agent = Agent::start(&rig.router, &policy().document(), Attach::Auto.into())?;
    let before = agent.stats()?.rule(RULE);
    let seen = flood(&rig)?;
    let judged = agent.stats()?.rule(RULE) - before;
    println!("sgd: {seen}");
    // The rule counts the connections that it accepted as well.
    ensure!(seen.passed > 0 && judged >= seen.passed, "{judged} were judged, but {} passed", seen.passed);
    ensure!(seen.lost_meanwhile == 0 && seen.lost == 0, "connections were lost: {seen}");
    ensure!(seen.made > 0, "nobody could connect: {seen}");
    if amount(false, true) && judges::missing().is_none() {
        nftables_under_the_same(lab)?;
    }
    Ok(())
}

/// For comparison; what it loses is no failure of ours.
fn nftables_under_the_same(lab: Lab) -> Result<()> {
    let rig = rig(lab)?;
    nft(&rig.router, &["-f", "-"], &policy().ruleset())?;
    let seen = flood(&rig)?;
    let [count, most] = ["nf_conntrack_count", "nf_conntrack_max"].map(|name| parameter(&rig.router, name));
    println!("nftables: {seen}; {} entries of {}", count?, most?);
    Ok(())
}

fn rig(lab: Lab) -> Result<Rig> {
    let rig = Rig::new(lab)?;
    // A bridge without ports takes everything, and leads nowhere.
    rig.router.ip(&format!(
        "link add {SINK} type bridge\nlink set {SINK} up\nroute add {FLOODED}/32 dev {SINK}\n\
         neigh add {FLOODED} lladdr 02:00:00:00:00:01 dev {SINK} nud permanent"
    ))?;
    Ok(rig)
}

/// What a flood did.
struct Seen {
    lasted: Duration,
    sent: Sent,
    /// Of those sent.
    passed: u64,
    rounds: usize,
    /// Packets of data that were sent again.
    again: usize,
    /// Connections that no longer got a reply in some round.
    lost_meanwhile: usize,
    /// Connections that do not reply after it.
    lost: usize,
    /// New connections that came about, and that were tried.
    made: usize,
    tried: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} SYN/s sent ({:.0} a second of the generator's processor), {} of them judged and passed, for {:.1} s; of {FLOWS} connections {} lost meanwhile, {} after it \
             ({} rounds of data, {} packets sent again); {} of {} new connections made",
            per_second(self.sent.packets, self.lasted),
            self.sent.rate(),
            per_second(self.passed, self.lasted),
            self.lasted.as_secs_f64(),
            self.lost_meanwhile,
            self.lost,
            self.rounds,
            self.again,
            self.made,
            self.tried
        )
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    (u128::from(count) * 1_000 / time.as_millis().max(1)) as u64
}

fn flood(rig: &Rig) -> Result<Seen> {
    let mut ends = Ends { rig, again: 0 };
    let all: Vec<_> = (0..FLOWS).collect();
    ensure!(ends.connect([10, 8], &all)?.len() == FLOWS, "not all connected before the flood");
    ends.again = 0;
    let over = AtomicBool::new(false);
    let before = passed(&rig.router)?;
    thread::scope(|scope| {
        let generator = scope.spawn(|| generate(rig, &over));
        let start = Instant::now();
        let meanwhile = meanwhile(&mut ends, &all, start);
        let lasted = start.elapsed();
        over.store(true, Ordering::Relaxed);
        let sent = generator.join().map_err(|_| anyhow!("the generator panicked"))??;
        let mut seen = Seen { lasted, sent, passed: passed(&rig.router)? - before, ..meanwhile? };
        seen.again = ends.again;
        let round = seen.rounds as u32;
        seen.lost = FLOWS - ends.exchange([10, 8], round, &all)?.len();
        Ok(seen)
    })
}

/// Rounds of data and newcomers, until the time is over.
fn meanwhile(ends: &mut Ends<'_>, all: &[usize], start: Instant) -> Result<Seen> {
    let (mut rounds, mut made, mut tried) = (0, 0, 0);
    let mut lost = vec![false; FLOWS];
    while start.elapsed() < Duration::from_secs(amount(3, 30)) {
        let replied = ends.exchange([10, 8], rounds as u32, all)?;
        let mut replies = replied.into_iter().peekable();
        for (flow, lost) in lost.iter_mut().enumerate() {
            *lost |= replies.next_if_eq(&flow).is_none();
        }
        let newcomers: Vec<_> = (rounds * NEWCOMERS..(rounds + 1) * NEWCOMERS).collect();
        tried += newcomers.len();
        made += ends.connect([10, 9], &newcomers)?.len();
        rounds += 1;
    }
    let lost_meanwhile = lost.into_iter().filter(|&lost| lost).count();
    Ok(Seen {
        lasted: Duration::ZERO,
        sent: Sent::default(),
        passed: 0,
        rounds,
        again: 0,
        lost_meanwhile,
        lost: 0,
        made,
        tried,
    })
}

/// Both ends of all connections.
struct Ends<'a> {
    rig: &'a Rig,
    again: usize,
}

impl Ends<'_> {
    /// Connects these; tells which came about.
    fn connect(&mut self, net: [u8; 2], flows: &[usize]) -> Result<Vec<usize>> {
        let asked = self.put(net, IN, flows, ([1_000, 0], SYN, 0))?;
        let replied = self.put(net, OUT, &asked, ([5_000, 1_001], SYN | ACK, 0))?;
        self.put(net, IN, &replied, ([1_001, 5_001], ACK, 0))
    }

    /// A byte each way; tells which connections brought both. The responder goes first: no rule would let its byte
    /// pass, and that of the other end could make a flow anew.
    fn exchange(&mut self, net: [u8; 2], round: u32, flows: &[usize]) -> Result<Vec<usize>> {
        let replied = self.put(net, OUT, flows, ([5_001 + round, 1_001 + round], ACK, 1))?;
        self.put(net, IN, &replied, ([1_001 + round, 5_002 + round], ACK, 1))
    }

    /// Sends a packet for each flow; tells for which it arrived.
    fn put(
        &mut self,
        net: [u8; 2],
        direction: Direction,
        flows: &[usize],
        (numbers, flags, payload): ([u32; 2], u8, u16),
    ) -> Result<Vec<usize>> {
        let mut buffer = [0; 256];
        let mut arrived = Vec::with_capacity(flows.len());
        for window in flows.chunks(WINDOW) {
            let mut missing = window.to_vec();
            for attempt in 0..TRIES {
                self.again += if attempt == 0 { 0 } else { missing.len() };
                for &flow in &missing {
                    self.rig.send(&step(net, direction, flow, numbers, flags, payload), number_of(flow))?;
                }
                let receiver = self.rig.receiver(direction);
                while !missing.is_empty()
                    && let Some(frame) = receiver.next(SILENCE, &mut buffer)?
                {
                    // One that came late, or twice, is none of these.
                    missing.retain(|&flow| !is_of(frame, net, direction, flow));
                }
                if missing.is_empty() {
                    break;
                }
            }
            arrived.extend(window.iter().filter(|flow| !missing.contains(flow)));
        }
        Ok(arrived)
    }
}

fn remote([one, two]: [u8; 2], flow: usize) -> Ipv4Addr {
    let [high, low] = (flow as u16).to_be_bytes();
    Ipv4Addr::new(one, two, high, low)
}

fn step(net: [u8; 2], direction: Direction, flow: usize, numbers: [u32; 2], flags: u8, payload: u16) -> Step {
    let (remote, [local, _]) = (IpAddr::V4(remote(net, flow)), LOCAL);
    let (from, to, ports) =
        if direction == IN { (remote, local, [40_000, 80]) } else { (local, remote, [80, 40_000]) };
    let body = Body::Tcp(Segment { ports, numbers, flags, payload });
    Step { direction, packet: Packet::new(from, to, body) }
}

/// Whether a frame belongs to the connection, by its remote end.
fn is_of(frame: &[u8], net: [u8; 2], direction: Direction, flow: usize) -> bool {
    let place = if direction == IN { 26 } else { 30 };
    frame.get(place..place + 4) == Some(&remote(net, flow).octets())
}

/// What the generator makes is what it says: each packet from another end, with right checksums. A filter that drops
/// damaged packets would be measured by what it does not do.
fn its_packets_are_whole(lab: Lab) -> Result<()> {
    // A socket holds no more pages than these.
    const PACKETS: u32 = 32;
    let rig = Rig::new(lab)?;
    let [local, _] = LOCAL;
    let mut generator = generator(&rig, local)?;
    let (mut sources, mut buffer) = (BTreeSet::new(), [0; 256]);
    for sent in (1..=8).map(|round| round * PACKETS) {
        generator.send(PACKETS)?;
        while let Some(frame) = rig.receiver(IN).next(SILENCE, &mut buffer)? {
            let (Some(ip), Some(tcp)) = (frame.get(14..34), frame.get(34..54)) else {
                bail!("a frame of {} bytes", frame.len());
            };
            ensure!(checksum(ip) == 0, "the checksum of the IP header is wrong: {ip:02x?}");
            let summed = [&ip[12..20], &[0, 6, 0, 20], tcp].concat();
            ensure!(checksum(&summed) == 0, "the checksum of TCP is wrong: {tcp:02x?}");
            sources.insert([&ip[12..16], &tcp[..2]].concat());
        }
        ensure!(sources.len() == sent as usize, "{sent} packets came from {} ends", sources.len());
    }
    Ok(())
}

/// Sends SYNs, each from another end, as fast as a processor can, until it is over.
fn generate(rig: &Rig, over: &AtomicBool) -> Result<Sent> {
    let mut generator = generator(rig, FLOODED.into())?;
    let mut sent = Sent::default();
    while !over.load(Ordering::Relaxed) {
        sent += generator.send(BATCH)?;
    }
    Ok(sent)
}

/// SYNs to this address, each from another end.
fn generator(rig: &Rig, to: IpAddr) -> Result<Generator> {
    let first = Segment { ports: [0, 80], numbers: [0, 0], flags: SYN, payload: 0 };
    let packet = Packet::new(Ipv4Addr::new(10, 128, 0, 0).into(), to, Body::Tcp(first));
    let mut generator = Generator::new(&rig.router, OUTER)?;
    generator.load(&[packet.frame(rig.links(IN), 0)], Vary::AddressAndPort)?;
    Ok(generator)
}

/// Packets of the flood that the router forwarded.
fn passed(router: &Host) -> Result<u64> {
    let devices = router.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
    let line = devices.lines().find_map(|line| line.trim().strip_prefix("sink:")).context("no sink")?;
    Ok(line.split_whitespace().nth(9).context("no count of packets sent")?.parse()?)
}
