//! Requests in protocols without sockets of their own: raw IP sockets, with our own headers.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::socket::{SockaddrStorage, recvfrom},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    ask::{Outcome, Question},
    responder::is_silence,
    service::{Family, Service},
    wait::uninterrupted,
};
use crate::packet::checksum;

/// The last byte of a request, and that of a reply.
const QUESTION: u8 = b'?';
const REPLY: u8 = b'!';
/// The EtherType in our GRE packets: the first of IEEE's for local experiments.
const EXPERIMENTAL: u16 = 0x88b5;
/// Type of the echo request and of the echo reply (RFC 792, RFC 4443).
const fn echo_types(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [8, 0],
        Family::V6 => [128, 129],
    }
}

pub(super) fn ask(question: &Question, patience: Duration) -> Result<Outcome> {
    let family = Family::from(question.to);
    let sent = packet(question, family);
    let expected = reply_to(question.service, family, &sent);
    let socket = RawSocket::open(question.from, question.service, patience)?;
    socket.send(question.to, &sent)?;
    let start = Instant::now();
    while start.elapsed() < patience {
        let Some((_, received)) = socket.receive()? else { break };
        if received == expected {
            return Ok(Outcome::Reply);
        }
    }
    Ok(Outcome::Silent)
}

/// A request packet, after its IP header.
fn packet(question: &Question, family: Family) -> Vec<u8> {
    static NUMBER: AtomicU16 = AtomicU16::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Each request is a flow of its own, where ports or an identifier can distinguish them.
    let from = if question.source_port == 0 { 20_000 + number % 20_000 } else { question.source_port };
    let mut packet = Vec::new();
    match question.service {
        Service::Echo => {
            packet.extend([echo_types(family)[0], 0, 0, 0]);
            packet.extend(from.to_be_bytes());
        }
        Service::Sctp(port) => {
            packet.extend(from.to_be_bytes());
            packet.extend(port.to_be_bytes());
            // Verification tag and checksum, which nobody verifies, then a chunk of eight bytes.
            packet.extend([0; 8]);
            packet.extend([0, 0, 0, 8]);
        }
        Service::Gre => {
            packet.extend([0, 0]);
            packet.extend(EXPERIMENTAL.to_be_bytes());
        }
        Service::Tcp(_) | Service::Udp(_) | Service::Other(_) => {}
    }
    packet.extend(number.to_be_bytes());
    packet.extend([0, QUESTION]);
    with_checksum(packet, question.service, family)
}

/// The reply to `question`: the kernel's echo reply has the same data, our own replies have a marker.
fn reply_to(service: Service, family: Family, question: &[u8]) -> Vec<u8> {
    let mut reply = question.to_vec();
    match service {
        Service::Echo => reply[0] = echo_types(family)[1],
        Service::Sctp(_) => reply[..4].rotate_left(2),
        Service::Tcp(_) | Service::Udp(_) | Service::Gre | Service::Other(_) => {}
    }
    if service != Service::Echo
        && let Some(last) = reply.last_mut()
    {
        *last = REPLY;
    }
    with_checksum(reply, service, family)
}

/// ICMP's checksum; the kernel computes that of ICMPv6, which covers addresses too.
fn with_checksum(mut packet: Vec<u8>, service: Service, family: Family) -> Vec<u8> {
    if service == Service::Echo {
        packet[2..4].fill(0);
        if family == Family::V4 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    packet
}

/// A raw IP socket. It is not connected: a kernel that does not know the protocol sends an ICMP error, which is no reply.
pub(super) struct RawSocket {
    socket: Socket,
    service: Service,
    family: Family,
}

impl RawSocket {
    pub(super) fn open(address: IpAddr, service: Service, patience: Duration) -> Result<Self> {
        let family = Family::from(address);
        let bound = SocketAddr::new(address, 0);
        let protocol = Protocol::from(i32::from(service.protocol(family)));
        let socket = Socket::new(Domain::for_address(bound), Type::RAW, Some(protocol))?;
        socket.bind(&bound.into())?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, service, family })
    }

    /// Replies to the next packet, if it arrives in time and is a request.
    pub(super) fn reply_to_one(&self) {
        if let Ok(Some((asker, question))) = self.receive()
            && question.last() == Some(&QUESTION)
        {
            // If the reply cannot be sent, the client gets none, and reports that.
            let _ = self.send(asker, &reply_to(self.service, self.family, &question));
        }
    }

    fn send(&self, to: IpAddr, packet: &[u8]) -> Result<()> {
        match self.socket.send_to(packet, &SocketAddr::new(to, 0).into()) {
            // An egress filter dropped it: with IPv6 the kernel reports that.
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
            sent => sent.map(drop).context("cannot send"),
        }
    }

    /// The next packet, after its IP header, and its sender; none if nothing arrived in time.
    fn receive(&self) -> Result<Option<(IpAddr, Vec<u8>)>> {
        let mut packet = vec![0; 2048];
        let received =
            uninterrupted(|| Ok(recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut packet)?));
        let (length, source) = match received {
            Err(error) if is_silence(&error) => return Ok(None),
            received => received?,
        };
        packet.truncate(length);
        let source = source.context("a packet from nowhere")?;
        let (source, header) = match (source.as_sockaddr_in(), source.as_sockaddr_in6()) {
            // With IPv4 the header is included.
            (Some(v4), _) => (IpAddr::from(v4.ip()), usize::from(packet[0] & 0x0f) * 4),
            (_, Some(v6)) => (IpAddr::from(v6.ip()), 0),
            _ => return Ok(None),
        };
        let mut packet = packet.split_off(header);
        if self.service == Service::Echo && self.family == Family::V6 {
            // The kernel verified it.
            packet[2..4].fill(0);
        }
        Ok(Some((source, packet)))
    }
}
