//! Two guests of one host: one floods it with connections that nobody accepts, as fast as a processor makes them (`SG_DEEP=1`:
//! as fast as two do), while the other connects to a server far away. Its half-open connections must last for as long as that
//! takes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::{
    lab::{self, Agent, Attach, FrameSocket, Generator, Host, Lab, Relay, Sent, Vary},
    packet::{SYN, TCP, ethernet, ip, summed, tcp},
};

use crate::support::{forwarding::IPV4, suite::Suite};

/// Connections that each guest makes.
const CONNECTIONS: usize = 20;
/// How far apart they begin.
const PAUSE: Duration = Duration::from_millis(60);
/// The first SYN is lost when it has no reply by then: another one goes out after a second.
const ONE_SYN: Duration = Duration::from_millis(950);
/// Of the link to the server, one way.
const DELAY: Duration = Duration::from_millis(200);
/// Packets of the flood before it looks whether it is over: a tenth of a second or less.
const BATCH: u32 = 1 << 15;
/// Odd, so that together with the ports it takes them all before one comes again.
const VICTIMS: u8 = 61;
const PORT: u16 = 80;

/// Whom the frames of the flood are for: the kernel is done with them as soon as they were judged.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0xff, 1];

const FLOODER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const QUIET: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 1);
/// The host that the guests are on: it routes for them, and stands at the end of each wire.
const ROUTER: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 9, 1, 2), Ipv4Addr::new(10, 9, 2, 2)];

const POLICY: &str = "
groups:
  g: { inner_access: drop }
nics:
  - { device: flooder, role: guest, addresses: [10.9.0.1], groups: [g] }
  - { device: quiet, role: guest, addresses: [10.9.1.1], groups: [g] }
";

pub(crate) fn tests(suite: &mut Suite) {
    let name = "another_nic_goes_on_connecting";
    suite.when(name, lab::missing(), another_nic_goes_on_connecting);
}

fn another_nic_goes_on_connecting(lab: Lab) -> Result<()> {
    let rig = Rig::new(lab)?;
    let agent = Agent::start(&rig.router, POLICY, Attach::Auto.into())?;
    let before = rig.connect_both()?;
    ensure!(before == [CONNECTIONS; 2], "without a flood {before:?} of {CONNECTIONS} connections are made");

    let (start, over) = (Instant::now(), AtomicBool::new(false));
    let (sent, lasted, made) = thread::scope(|scope| {
        let (rig, over) = (&rig, &over);
        let generators: Vec<_> =
            (0..generators()).map(|number| scope.spawn(move || flood(rig, number, over))).collect();
        thread::sleep(Duration::from_millis(500));
        let made = rig.connect_both();
        let lasted = start.elapsed();
        over.store(true, Ordering::Relaxed);
        let mut sent = Sent::default();
        for generator in generators {
            sent += generator.join().map_err(|_| anyhow!("a generator panicked"))??;
        }
        anyhow::Ok((sent, lasted, made?))
    })?;
    let [flooder, quiet] = made;
    let stats = agent.stats()?;
    let evicted = stats.reason("half-open-evicted");
    println!(
        "a flood of {} in {:.1} s ({} a second): of {CONNECTIONS} connections, the flooding NIC made {flooder} nearby, and \
         the other {quiet} at a round trip of {} ms; {evicted} half-open flows made room",
        sent,
        lasted.as_secs_f64(),
        u128::from(sent.packets) * 1_000 / lasted.as_millis().max(1),
        2 * DELAY.as_millis()
    );
    ensure!(evicted > 0, "the flood did not fill the table: {sent}");
    ensure!(quiet == CONNECTIONS, "of {CONNECTIONS} connections of the other NIC {quiet} were made");
    ensure!(flooder == CONNECTIONS, "of {CONNECTIONS} connections of the flooding NIC {flooder} were made");
    Ok(())
}

/// Two guests, their host, and a server behind a slow link.
struct Rig {
    router: Host,
    guests: [Host; 2],
    server: Host,
    relay: (Host, Relay),
    _listeners: [TcpListener; 2],
}

impl Rig {
    fn new(lab: Lab) -> Result<Self> {
        let [router, flooder, quiet, slow, server] =
            ["router", "flooder", "quiet", "slow", "server"].map(|name| lab.host(name));
        let (router, guests, slow, server) = (router?, [flooder?, quiet?], slow?, server?);
        for (guest, address) in guests.iter().zip(ROUTER) {
            lab.wire((&router, guest.name()), (guest, "eth0"), 1500)?;
            router.address(guest.name(), &[&format!("{address}/24")])?;
        }
        lab.wire((&router, "out"), (&slow, "near"), 1500)?;
        lab.wire((&slow, "far"), (&server, "eth0"), 1500)?;
        router.address("out", &[&format!("{}/24", ROUTER[2])])?;
        server.address("eth0", &[&format!("{SERVER}/24")])?;
        for (guest, address) in guests.iter().zip([FLOODER, QUIET]) {
            guest.address("eth0", &[&format!("{address}/24")])?;
        }
        for (host, gateway) in [(&guests[0], ROUTER[0]), (&guests[1], ROUTER[1]), (&server, ROUTER[2])] {
            host.ip(&format!("route add default via {gateway}"))?;
        }
        router.sysctl("net/ipv4/ip_forward", "1")?;
        // The relay knows no ARP.
        let link = |host: &Host, device: &str| {
            Ok::<_, anyhow::Error>(mac(FrameSocket::open(host, device, IPV4)?.address()))
        };
        let (out, far) = (link(&router, "out")?, link(&server, "eth0")?);
        router.ip(&format!("neigh add {SERVER} lladdr {far} dev out nud permanent"))?;
        server.ip(&format!("neigh add {} lladdr {out} dev eth0 nud permanent", ROUTER[2]))?;
        let relay = Relay::start(&slow, ["near", "far"], DELAY)?;
        let listen = |host: &Host, at: Ipv4Addr| host.inside(|| Ok(TcpListener::bind((at, PORT))?));
        let listeners = [listen(&router, ROUTER[0])?, listen(&server, SERVER)?];
        Ok(Self { router, guests, server, relay: (slow, relay), _listeners: listeners })
    }

    /// How many connections come about by their first SYN: of the first guest to its host, of the second one to the server.
    fn connect_both(&self) -> Result<[usize; 2]> {
        let [flooder, quiet] = &self.guests;
        thread::scope(|scope| {
            let near = scope.spawn(|| connect(flooder, ROUTER[0]));
            let far = connect(quiet, SERVER)?;
            Ok([near.join().map_err(|_| anyhow!("connecting panicked"))??, far])
        })
    }
}

fn connect(guest: &Host, to: Ipv4Addr) -> Result<usize> {
    guest.inside(|| {
        let begin = |number: usize| {
            thread::sleep(PAUSE * number as u32);
            TcpStream::connect_timeout(&SocketAddr::from((to, PORT)), ONE_SYN).is_ok()
        };
        // Threads of this one are in its namespace.
        Ok(thread::scope(|scope| {
            let all: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || begin(number))).collect();
            all.into_iter().filter_map(|one| one.join().ok()).filter(|&made| made).count()
        }))
    })
}

/// How many processors the flood takes. Other tests run meanwhile, and want one.
fn generators() -> u8 {
    if std::env::var_os("SG_DEEP").is_some() { 2 } else { 1 }
}

/// Sends SYNs as the first guest, each of another connection, as fast as a processor can, until it is over. Each of several
/// generators has a number.
fn flood(rig: &Rig, number: u8, over: &AtomicBool) -> Result<Sent> {
    let guest = FrameSocket::open(&rig.guests[0], "eth0", IPV4)?.address();
    let frames: Vec<_> = (0..VICTIMS).map(|victim| syn(NOBODY, guest, [number, victim])).collect();
    let mut generator = Generator::new(&rig.router, "flooder").context("a generator")?;
    generator.stay([&rig.server, &rig.relay.0][usize::from(number)], "lo")?;
    generator.load(&frames, Vary::Port)?;
    let mut sent = Sent::default();
    while !over.load(Ordering::Relaxed) {
        sent += generator.send(BATCH)?;
    }
    Ok(sent)
}

fn syn(to: [u8; 6], from: [u8; 6], [number, victim]: [u8; 2]) -> Vec<u8> {
    let ends = [FLOODER, Ipv4Addr::new(172, 16, number, victim)].map(IpAddr::V4);
    ethernet([to, from], &ip(ends, TCP, 64, &summed(ends, TCP, tcp([0, PORT], [0, 0], SYN))))
}

fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
