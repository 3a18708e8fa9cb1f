//! Two hosts on one wire, one of them behind the filter, and frames made by hand that are rejected.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use sg_tests::{
    lab::{Agent, Attach, Family, FrameSocket, Host, Lab, PATIENCE, SILENCE},
    packet::{RST, SYN, TCP, UDP, checksum, ethernet, ip, octets, summed, tcp, udp},
};

use crate::support::{
    forwarding::{IPV4, IPV6},
    scene::{Client, Role, Server, Who, accepting_port},
};

const HOP_LIMIT: u8 = 64;
const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;

/// What is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Syn,
    Datagram,
    Echo,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Syn, Self::Datagram, Self::Echo];

    fn protocol(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Syn, _) => TCP,
            (Self::Datagram, _) => UDP,
            (Self::Echo, Family::V4) => 1,
            (Self::Echo, Family::V6) => 58,
        }
    }
}

/// A frame, with right checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crafted {
    /// To and from.
    pub(crate) link: [[u8; 6]; 2],
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Bytes of IPv4 options, or of IPv6 extension headers.
    pub(crate) between: usize,
    pub(crate) kind: Kind,
    pub(crate) ports: [u16; 2],
}

impl Crafted {
    pub(crate) fn family(&self) -> Family {
        Family::from(self.source)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let family = self.family();
        let protocol = self.kind.protocol(family);
        let (ends, segment) = ([self.source, self.destination], self.segment(protocol));
        let mut packet = match family {
            // No operation.
            Family::V4 => ip(ends, protocol, HOP_LIMIT, &[vec![1; self.between], segment].concat()),
            Family::V6 => {
                let next = if self.between == 0 { protocol } else { HOP_BY_HOP };
                let carried = [extension_headers(self.between, protocol), segment].concat();
                ip(ends, next, HOP_LIMIT, &carried)
            }
        };
        if family == Family::V4 {
            packet[0] += (self.between / 4) as u8;
            packet[10..12].fill(0);
            let sum = checksum(&packet[..20 + self.between]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        ethernet(self.link, &packet)
    }

    fn segment(&self, protocol: u8) -> Vec<u8> {
        let ports = self.ports.map(u16::to_be_bytes);
        let segment = match self.kind {
            Kind::Syn => tcp(self.ports, [9, 0], SYN),
            Kind::Datagram => udp(self.ports, b"data"),
            Kind::Echo => {
                let kind = if self.family() == Family::V4 { 8 } else { 128 };
                [&[kind, 0, 0, 0], ports.as_flattened(), b"data"].concat()
            }
        };
        summed([self.source, self.destination], protocol, segment)
    }

    /// Whether `frame` is the reject for it: between the same two, the other way, with right checksums and the right content.
    pub(crate) fn is_rejected_by(&self, frame: &[u8]) -> bool {
        let [to, from] = self.link;
        let (addresses, protocol, header) = match self.family() {
            Family::V4 => (26..34, frame.get(23), 20),
            Family::V6 => (22..54, frame.get(20), 40),
        };
        let back = octets(&[self.destination, self.source]);
        if frame.get(..12) != Some(&[from, to].concat()[..])
            || frame.get(addresses.clone()) != Some(&back[..])
        {
            return false;
        }
        let length = match self.family() {
            Family::V4 => usize::from(u16::from_be_bytes([frame[16], frame[17]])).saturating_sub(20),
            Family::V6 => usize::from(u16::from_be_bytes([frame[18], frame[19]])),
        };
        let begin = 14 + header;
        let (Some(&protocol), Some(segment)) = (protocol, frame.get(begin..begin + length)) else {
            return false;
        };
        let is_right = |pseudo: &[u8]| checksum(&[pseudo, segment].concat()) == 0;
        let pseudo = [&back[..], &[0, protocol], &(length as u16).to_be_bytes()].concat();
        let header_is_right = self.family() == Family::V6 || checksum(&frame[14..34]) == 0;
        header_is_right
            && match (self.kind, self.family(), protocol) {
                (Kind::Syn, _, TCP) => {
                    let ports = self.ports.map(u16::to_be_bytes);
                    segment[..4] == [ports[1], ports[0]].concat()[..]
                        && segment[13] & RST != 0
                        && segment[8..12] == 10_u32.to_be_bytes()
                        && is_right(&pseudo)
                }
                (Kind::Datagram | Kind::Echo, Family::V4, 1) => segment[..2] == [3, 13] && is_right(&[]),
                (Kind::Datagram | Kind::Echo, Family::V6, 58) => segment[..2] == [1, 1] && is_right(&pseudo),
                _ => false,
            }
    }
}

/// So many bytes of extension headers, a multiple of eight, before `protocol`: hop-by-hop options, and what is left in destination
/// options. All of it is padding, one byte after the other (RFC 8200 4.2).
fn extension_headers(length: usize, protocol: u8) -> Vec<u8> {
    let mut headers = vec![0; length];
    if length > 8 {
        headers[0] = DESTINATION_OPTIONS;
        headers[8] = protocol;
        headers[9] = (length / 8 - 2) as u8;
    } else if length == 8 {
        headers[0] = protocol;
    }
    headers
}

/// The two hosts: the server's NIC is filtered.
pub(crate) struct Wire {
    pub(crate) agent: Agent,
    hosts: [Host; 2],
    links: [[u8; 6]; 2],
    _port: Option<Agent>,
}

/// Which end of the wire.
fn at(who: Who) -> usize {
    usize::from(who != Server)
}

impl Wire {
    /// The filter with what `policy` makes of the NIC: a flow mapping's beginning, with its device and, of a guest, what is
    /// known of it.
    pub(crate) fn new(
        lab: Lab,
        attach: Attach,
        role: Role,
        policy: impl FnOnce(&str) -> String,
    ) -> Result<Self> {
        let hosts = [lab.host("server")?, lab.host("client")?];
        let [server, client] = &hosts;
        lab.wire((server, "eth0"), (client, "eth0"), 1500)?;
        for (host, who) in [(server, Server), (client, Client)] {
            let [v4, v6] = Family::ALL.map(|family| who.address(family));
            host.address("eth0", &[&format!("{v4}/24"), &format!("{v6}/64")])?;
        }
        let link = |host| Ok::<_, anyhow::Error>(FrameSocket::open(host, "eth0", IPV4)?.address());
        let links = [link(server)?, link(client)?];
        let nic = match role {
            Role::Host => "device: eth0,".to_owned(),
            Role::Guest => format!("device: eth0, {}", guest(links[0])),
        };
        let filter = match role {
            Role::Host => server,
            Role::Guest => client,
        };
        let agent = Agent::start(filter, &policy(&nic), attach.into())?;
        let port = accepting_port(attach, client, "eth0")?;
        Ok(Self { agent, hosts, links, _port: port })
    }

    pub(crate) fn host(&self, who: Who) -> &Host {
        &self.hosts[at(who)]
    }

    pub(crate) fn link(&self, who: Who) -> [u8; 6] {
        self.links[at(who)]
    }

    /// A frame from the one to the other that is rejected with a reply.
    pub(crate) fn frame(&self, from: Who, family: Family, kind: Kind) -> Crafted {
        let to = if from == Client { Server } else { Client };
        Crafted {
            link: [self.link(to), self.link(from)],
            source: from.address(family),
            destination: to.address(family),
            between: 0,
            kind,
            ports: [4_000, 81],
        }
    }

    /// Sends `frame` from one of the hosts; whether the reject for it comes, which must be as counted.
    pub(crate) fn is_rejected(&self, from: Who, frame: &Crafted) -> Result<bool> {
        let socket = self.listen(from, frame.family())?;
        socket.send(&frame.bytes())?;
        socket.receives(PATIENCE.min(SILENCE * 8), |received| frame.is_rejected_by(received))
    }

    /// Where `who` receives rejects, and sends.
    pub(crate) fn listen(&self, who: Who, family: Family) -> Result<FrameSocket> {
        FrameSocket::open(self.host(who), "eth0", if family == Family::V4 { IPV4 } else { IPV6 })
    }

    /// Checks that none of `frames` gets a reject, each under its name.
    pub(crate) fn are_silent(&self, from: Who, frames: &[(String, Vec<u8>)]) -> Result<()> {
        if self.tells(from, frames)? {
            for frame in frames {
                ensure!(!self.tells(from, std::slice::from_ref(frame))?, "{}: it got a reject", frame.0);
            }
            bail!("one of these got a reject, and then none: {frames:?}");
        }
        Ok(())
    }

    /// Whether the filter tells the sender of any of `frames`, all of which it sees.
    fn tells(&self, from: Who, frames: &[(String, Vec<u8>)]) -> Result<bool> {
        let before = self.agent.stats()?;
        let socket = self.listen(from, Family::V4)?;
        for (_, frame) in frames {
            socket.send(frame)?;
        }
        // Through a veth pair they have gone when they are sent, but for the queue of another processor.
        thread::sleep(SILENCE / 5);
        let after = self.agent.stats()?;
        let moved = |name: &str| after.reason(name) - before.reason(name);
        let seen: u64 = after.moved_since(&before).iter().map(|(_, packets)| packets).sum();
        ensure!(seen >= frames.len() as u64, "the filter saw {seen} packets of {}", frames.len());
        ensure!(moved("reject-rate-limited") == 0, "they were to be told, but for the limit");
        Ok(moved("reject-sent") > 0)
    }

    /// Checks that a frame of each kind gets a reject.
    pub(crate) fn rejects(&self, from: Who, what: &str) -> Result<()> {
        for family in Family::ALL {
            for kind in Kind::ALL {
                let frame = self.frame(from, family, kind);
                ensure!(
                    self.is_rejected(from, &frame).context("sending")?,
                    "{what}: no reject for {frame:?}"
                );
            }
        }
        Ok(())
    }
}

/// What a document says of the server as a guest.
pub(crate) fn guest(link: [u8; 6]) -> String {
    let mac = link.map(|byte| format!("{byte:02x}")).join(":");
    let [v4, v6] = Family::ALL.map(|family| Server.address(family));
    format!("role: guest, addresses: [{v4}, \"{v6}\"], mac: \"{mac}\",")
}

/// `Who` of a third host, that is not there.
pub(crate) fn absent(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 77, 0, 99).into(),
        Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x99).into(),
    }
}
