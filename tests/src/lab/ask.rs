//! Requests to a host's service, and their outcomes.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{host::Host, raw, service::Service, stream, wait::uninterrupted};

/// What the client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A reply arrived; over TCP, data went both ways.
    Reply,
    /// Nothing serves the port, and a reset or an ICMP error says so.
    Refused,
    /// A filter rejects the request, and an ICMP error says so, whether or not anything serves the port.
    Prohibited,
    /// Nothing came back.
    Silent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reply => "reply",
            Self::Refused => "refused",
            Self::Prohibited => "prohibited",
            Self::Silent => "silent",
        })
    }
}

/// A request: client, server and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The client's address.
    pub from: IpAddr,
    /// The client's port; 0 for any free one.
    pub source_port: u16,
    /// The server's address.
    pub to: IpAddr,
    /// The service.
    pub service: Service,
}

impl Question {
    /// A request from any free port.
    #[must_use]
    pub fn new(from: IpAddr, to: IpAddr, service: Service) -> Self {
        Self { from, source_port: 0, to, service }
    }

    pub(super) fn source(&self) -> SocketAddr {
        SocketAddr::new(self.from, self.source_port)
    }

    pub(super) fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.to, self.service.port().unwrap_or(0))
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.service, self.from, self.to)
    }
}

/// Sends a request from `host` and waits for the reply, at most for `patience`.
///
/// # Errors
/// If the request could not even be sent.
pub fn ask(host: &Host, question: &Question, patience: Duration) -> Result<Outcome> {
    host.inside(|| match question.service {
        Service::Tcp(_) => tcp(question, patience),
        Service::Udp(_) => udp(question, patience),
        Service::Echo | Service::Sctp(_) | Service::Gre | Service::Other(_) => raw::ask(question, patience),
    })
    .with_context(|| format!("asking {question}"))
}

fn tcp(question: &Question, patience: Duration) -> Result<Outcome> {
    let start = Instant::now();
    let connected = stream::connect(question.source(), question.destination(), patience);
    let exchanged = connected.and_then(|mut stream| {
        let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        stream.write_all(b"?")?;
        stream.read_exact(&mut [0])
    });
    outcome(exchanged)
}

fn udp(question: &Question, patience: Duration) -> Result<Outcome> {
    let socket = UdpSocket::bind(question.source())?;
    socket.connect(question.destination())?;
    socket.set_read_timeout(Some(patience))?;
    outcome(socket.send(b"?").and_then(|_| uninterrupted(|| socket.recv(&mut [0]))).map(drop))
}

fn outcome(exchanged: io::Result<()>) -> Result<Outcome> {
    match exchanged {
        Ok(()) => Ok(Outcome::Reply),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Ok(Outcome::Refused),
            // Of ICMP code 13 and of ICMPv6 code 1 (icmp_err_convert, net/ipv4/icmp.c; tab_unreach, net/ipv6/icmp.c).
            io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied => Ok(Outcome::Prohibited),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Ok(Outcome::Silent),
            _ => Err(error.into()),
        },
    }
}
