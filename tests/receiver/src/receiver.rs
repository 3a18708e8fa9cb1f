//! The receiver: a stack as Linux has it, whose sockets and replies tell what arrived.
//!
//! It owns the sockets. It must never filter: what nobody reads is lost for the judgement.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, IoSliceMut},
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt,
        sockopt::{Ipv6RecvHopLimit, RcvBufForce},
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    address::case_of,
    frames::{Ends, Family, number},
    lab::Host,
    rules::{CLOSED, OPEN},
    seen::{By, Seen},
};

/// What arrived, by case.
pub type Arrivals = BTreeMap<u32, Vec<Seen>>;

/// Protocols whose datagrams are looked at, whatever they are.
const PROTOCOLS: [u8; 8] = [
    number::TCP,
    number::UDP,
    number::SCTP,
    number::UDP_LITE,
    number::DCCP,
    number::GRE,
    number::EXPERIMENT,
    // The family's ICMP is put in its place.
    0,
];
/// No datagram is longer.
const LONGEST: usize = 66_000;

/// The sockets of a receiver.
pub struct Receiver {
    raw: Vec<(Family, u8, Socket)>,
    udp: Vec<(u16, Socket)>,
    _listeners: Vec<Socket>,
    marks: Socket,
    out: [Socket; 2],
}

/// A large enough buffer for what arrives at once.
pub(crate) fn roomy(socket: &Socket) -> Result<()> {
    Ok(setsockopt(socket, RcvBufForce, &(8 << 20))?)
}

impl Receiver {
    /// Opens them on `host`.
    ///
    /// # Errors
    /// Where the kernel does not have one of them.
    pub fn open(host: &Host) -> Result<Self> {
        host.inside(|| {
            let mut raw = Vec::new();
            for family in Family::ALL {
                for protocol in PROTOCOLS {
                    let protocol = if protocol == 0 { crate::rules::icmp(family) } else { protocol };
                    let socket = raw_socket(family, protocol)?;
                    socket.set_nonblocking(true)?;
                    raw.push((family, protocol, socket));
                }
            }
            let (mut udp, mut listeners) = (Vec::new(), Vec::new());
            for port in (OPEN[0]..=OPEN[1]).chain(CLOSED[0]..=CLOSED[1]) {
                for any in ["0.0.0.0", "::"] {
                    let address = SocketAddr::new(any.parse()?, port);
                    let socket = bound(address, Type::DGRAM)?;
                    roomy(&socket)?;
                    socket.set_nonblocking(true)?;
                    udp.push((port, socket));
                    let listener = bound(address, Type::STREAM)?;
                    listener.listen(64)?;
                    listeners.push(listener);
                }
            }
            let marks = raw_socket(Family::V4, number::MARK)?;
            // What is sent through these has its own IP header.
            let out = [
                Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?,
                Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(255)))?,
            ];
            Ok(Self { raw, udp, _listeners: listeners, marks, out })
        })
    }

    /// Sends an IP packet of its own.
    ///
    /// # Errors
    /// Where the stack does not take it. That a filter dropped it is no error.
    pub fn send(&self, ends: Ends, packet: &[u8]) -> Result<()> {
        let socket = &self.out[usize::from(ends.family() == Family::V6)];
        match socket.send_to(packet, &SocketAddr::new(ends.to, 0).into()) {
            Err(error) if matches!(error.raw_os_error(), Some(code) if code == Errno::ENOBUFS as i32 || code == Errno::EPERM as i32) => {
                Ok(())
            }
            sent => sent.map(drop).context("the receiver cannot send"),
        }
    }

    /// The socket that marks come to.
    pub(crate) fn marks(&self) -> &Socket {
        &self.marks
    }

    /// All that arrived since it was asked last.
    ///
    /// # Errors
    /// Where a socket cannot be read.
    pub fn drain(&self, arrivals: &mut Arrivals) -> Result<()> {
        let mut buffer = vec![0_u8; LONGEST];
        for (family, protocol, socket) in &self.raw {
            while let Some((source, hop_limit, length)) = next_raw(socket, *family, &mut buffer)? {
                let start = match family {
                    Family::V4 => usize::from(buffer[0] & 0x0f) * 4,
                    Family::V6 => 0,
                };
                let Some(case) = case_of(source) else { continue };
                arrivals.entry(case).or_default().push(Seen {
                    by: By::Raw,
                    family: *family,
                    protocol: *protocol,
                    hop_limit,
                    bytes: buffer[start.min(length)..length].to_vec(),
                });
            }
        }
        for (port, socket) in &self.udp {
            while let Some(source) = next_datagram(socket)? {
                let Some(case) = case_of(source.ip()) else { continue };
                let mut bytes = source.port().to_be_bytes().to_vec();
                bytes.extend(port.to_be_bytes());
                let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
                let seen = Seen { by: By::Socket, family, protocol: number::UDP, hop_limit: None, bytes };
                arrivals.entry(case).or_default().push(seen);
            }
        }
        Ok(())
    }
}

fn domain(family: Family) -> Domain {
    match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    }
}

fn raw_socket(family: Family, protocol: u8) -> Result<Socket> {
    let socket = Socket::new(domain(family), Type::RAW, Some(Protocol::from(i32::from(protocol))))
        .with_context(|| format!("no raw socket for protocol {protocol}"))?;
    roomy(&socket)?;
    if family == Family::V6 {
        setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
    }
    Ok(socket)
}

fn bound(address: SocketAddr, kind: Type) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The next packet of a raw socket: who sent it, its hop limit where that is told, and its length in `buffer`.
fn next_raw(
    socket: &Socket,
    family: Family,
    buffer: &mut [u8],
) -> Result<Option<(IpAddr, Option<u8>, usize)>> {
    if family == Family::V4 {
        let length = match nix::sys::socket::recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error).context("a raw socket"),
        };
        let source: [u8; 4] = buffer[12..16].try_into()?;
        return Ok(Some((source.into(), None, length)));
    }
    let mut control = cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(buffer)];
    let received =
        match recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()) {
            Ok(received) => received,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error).context("a raw socket"),
        };
    let source = received.address.context("a packet from nowhere")?.ip();
    let limit = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
        _ => None,
    });
    Ok(Some((source.into(), limit, received.bytes)))
}

fn next_datagram(socket: &Socket) -> Result<Option<SocketAddr>> {
    let mut buffer = [MaybeUninit::uninit(); 8];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((_, source)) => return Ok(source.as_socket()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            // An ICMP error about something that it never sent.
            Err(error) if error.raw_os_error() == Some(Errno::ECONNREFUSED as i32) => {}
            Err(error) => return Err(error).context("a UDP socket"),
        }
    }
}
