//! The forwarding path of a packet: a router that filters what one device receives and forwards what passes to another, which
//! leads nowhere. The cost is what the kernel counts from the first to the last step on one processor.
//!
//! It must never know which filter runs.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use sg_benches::cloud::{Question, TCP};
use sg_tests::{
    lab::{FrameSocket, Generator, Host, Lab, Sent, Vary},
    packet::{SYN, ethernet, ip, summed, tcp, udp},
};

/// The filtered device.
pub(crate) const OUTER: &str = "outer";
/// The device behind it: a bridge without ports takes everything.
pub(crate) const INNER: &str = "inner";
/// The destination of all packets.
pub(crate) const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 5);

pub(crate) struct ForwardingPath {
    pub(crate) router: Host,
    _neighbour: Host,
    /// Towards the filter, and from behind it.
    generators: [Generator; 2],
    links: [[u8; 6]; 2],
}

/// The sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Remote = 0,
    Local = 1,
}

impl ForwardingPath {
    pub(crate) fn new(lab: Lab) -> Result<Self> {
        let (router, neighbour) = (lab.host("router")?, lab.host("neighbour")?);
        // Unrequested packets would be counted.
        for host in [&router, &neighbour] {
            host.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        }
        lab.wire((&router, OUTER), (&neighbour, "eth0"), 1500)?;
        router.address(OUTER, &["192.0.2.1/24"])?;
        // A bridge with multicast snooping reports to other such bridges, twice in the first seconds (RFC 4286): packets that no
        // test sent would be counted.
        router.ip(&format!(
            "link add {INNER} type bridge mcast_snooping 0\nlink set {INNER} up\nroute add {LOCAL}/32 dev {INNER}\n\
             route add default via 192.0.2.2\n\
             neigh add {LOCAL} lladdr 02:00:00:00:00:01 dev {INNER} nud permanent\n\
             neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev {OUTER} nud permanent"
        ))?;
        router.sysctl("net/ipv4/ip_forward", "1")?;
        for device in ["all", OUTER, INNER] {
            router.sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
        }
        let both = [OUTER, INNER];
        let [outer, inner] = both.map(|device| FrameSocket::open(&router, device, 0x0800));
        let [one, other] = both.map(|device| Generator::new(&router, device));
        let mut generators = [one?, other?];
        neighbour.ip("link add idle0 type veth peer name idle1")?;
        for (generator, device) in generators.iter_mut().zip(["idle0", "idle1"]) {
            generator.stay(&neighbour, device)?;
        }
        let links = [outer?.address(), inner?.address()];
        Ok(Self { router, _neighbour: neighbour, generators, links })
    }

    /// Sets what is sent from now on.
    pub(crate) fn load(&mut self, from: From, packets: &[Packet], vary: Vary) -> Result<()> {
        let link = self.links[from as usize];
        let frames: Vec<_> = packets.iter().map(|packet| packet.frame(link, from)).collect();
        self.generators[from as usize].load(&frames, vary)
    }

    /// Sends `count` packets; returns how many of them passed.
    pub(crate) fn send(&mut self, from: From, count: u32) -> Result<(Sent, u64)> {
        let towards = [INNER, OUTER][from as usize];
        let before = self.passed(towards)?;
        let sent = self.generators[from as usize].send(count)?;
        Ok((sent, self.passed(towards)? - before))
    }

    /// Packets that the router forwarded to a device.
    fn passed(&self, device: &str) -> Result<u64> {
        let devices = self.router.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
        let mut lines = devices.lines().filter_map(|line| line.trim().strip_prefix(device));
        let line = lines.find_map(|line| line.strip_prefix(':')).context("no such device")?;
        Ok(line.split_whitespace().nth(9).context("no count of packets sent")?.parse()?)
    }
}

/// A packet of the flow that a question describes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) question: Question,
    /// The remote port; zero if the generator chooses it.
    pub(crate) remote_port: u16,
    pub(crate) flags: u8,
    /// Sequence and acknowledgement numbers.
    pub(crate) numbers: [u32; 2],
}

impl Packet {
    /// The first packet of a flow.
    pub(crate) fn opening(question: Question, remote_port: u16) -> Self {
        Self { question, remote_port, flags: SYN, numbers: [0, 0] }
    }

    fn frame(&self, link: [u8; 6], from: From) -> Vec<u8> {
        let Question { remote, protocol, port } = self.question;
        let mut ends = [(remote, self.remote_port), (LOCAL, port)];
        if from == From::Local {
            ends.reverse();
        }
        let (ends, ports) = (ends.map(|(end, _)| end.into()), ends.map(|(_, port)| port));
        let segment = match protocol {
            TCP => tcp(ports, self.numbers, self.flags),
            _ => udp(ports, &[1, 2, 3, 4]),
        };
        ethernet([link, [2, 0, 0, 0, 0, 3]], &ip(ends, protocol, 64, &summed(ends, protocol, segment)))
    }
}

/// For each question, whether the packet that opens its flow passes.
pub(crate) fn verdicts(path: &mut ForwardingPath, questions: &[Question]) -> Result<Vec<bool>> {
    let packets: Vec<_> = questions.iter().map(|&question| Packet::opening(question, 40_000)).collect();
    path.load(From::Remote, &packets, Vary::Nothing)?;
    let mut passes = |_: &Question| {
        let (_, passed) = path.send(From::Remote, 1)?;
        ensure!(passed <= 1, "{passed} packets passed, but one was sent");
        Ok(passed == 1)
    };
    questions.iter().map(&mut passes).collect()
}
