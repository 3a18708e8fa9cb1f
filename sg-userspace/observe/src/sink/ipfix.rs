//! Records to an IPFIX collector, over UDP or TCP.
//!
//! Over TCP a connection that fails is made again, with the templates first; a message that was sent in part is sent again, since
//! the collector drops the part. Over UDP templates are sent again every ten minutes, and after the collector's host has reported that
//! nobody listens. Called by `Delivery`.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    counters::{Counters, Why},
    interface::Sink,
    target::Transport,
    unix::has_closed,
};
use crate::{
    ipfix::{Encoder, MAX_TCP, MAX_UDP},
    record::Record,
};

/// Records that are kept at most.
const MAX_KEPT: usize = 65_536;
/// Over UDP, as RFC 7011 has it.
const TEMPLATES_EVERY: Duration = Duration::from_mins(10);
/// How long a connection that is made, or a collector that does not read, holds up the thread.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct IpfixSink {
    host: String,
    port: u16,
    transport: Transport,
    socket: Option<Socket>,
    encoder: Encoder,
    message: Vec<u8>,
    kept: VecDeque<Arc<Record>>,
    /// When the templates were last sent over this socket.
    templates: Option<Instant>,
    /// Records of the last message over UDP: if nobody listens, the kernel says so at the next one.
    last: u32,
    failed: bool,
    counters: Arc<Counters>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl IpfixSink {
    pub(super) fn new(
        transport: Transport,
        host: &str,
        port: u16,
        domain: u32,
        counters: Arc<Counters>,
    ) -> Self {
        let max = match transport {
            Transport::Udp => MAX_UDP,
            Transport::Tcp => MAX_TCP,
        };
        Self {
            host: host.to_owned(),
            port,
            transport,
            socket: None,
            encoder: Encoder::new(domain, max),
            message: Vec::new(),
            kept: VecDeque::new(),
            templates: None,
            last: 0,
            failed: false,
            counters,
        }
    }

    fn drain(&mut self) {
        if self.failed {
            return;
        }
        while !self.kept.is_empty() {
            if let Err(error) = self.send_some() {
                self.failed = true;
                let Self { host, port, .. } = self;
                self.counters.fails(Some(format!("cannot send to {host} port {port}: {error}")));
                return;
            }
        }
        self.counters.fails(None);
    }

    /// Sends one message of what is kept, after the templates if the collector needs them.
    fn send_some(&mut self) -> io::Result<()> {
        self.connect()?;
        let again = matches!(self.transport, Transport::Udp).then_some(TEMPLATES_EVERY);
        let due = |sent: Instant| again.is_some_and(|every| sent.elapsed() >= every);
        if self.templates.is_none_or(due) {
            self.encoder.templates(Timestamp::now(), &mut self.message);
            self.send()?;
            self.templates = Some(Instant::now());
        }
        let kept = self.kept.make_contiguous();
        let taken = self.encoder.data(kept, Timestamp::now(), &mut self.message);
        if !self.message.is_empty()
            && let Err(error) = self.send()
        {
            self.encoder.take_back(taken.written);
            return Err(error);
        }
        self.last = taken.written;
        self.counters.delivered(taken.written.into(), self.message.len());
        self.kept.drain(..taken.looked_at);
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        if let Some(Socket::Tcp(stream)) = &self.socket
            && has_closed(stream)
        {
            self.socket = None;
        }
        if self.socket.is_some() {
            return Ok(());
        }
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match open(self.transport, address) {
                Ok(socket) => {
                    if let Socket::Tcp(_) = socket {
                        self.encoder.begin_session();
                    }
                    (self.socket, self.templates, self.last) = (Some(socket), None, 0);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = match &mut self.socket {
            Some(Socket::Udp(socket)) => socket.send(&self.message).map(drop),
            Some(Socket::Tcp(stream)) => stream.write_all(&self.message),
            None => Err(ErrorKind::NotConnected.into()),
        };
        if let Err(error) = &sent {
            if error.kind() == ErrorKind::ConnectionRefused {
                self.counters.lost(self.last.into(), Why::Collector);
            }
            (self.socket, self.templates, self.last) = (None, None, 0);
        }
        sent
    }
}

fn open(transport: Transport, address: SocketAddr) -> io::Result<Socket> {
    match transport {
        Transport::Udp => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(address)?;
            Ok(Socket::Udp(socket))
        }
        Transport::Tcp => {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Socket::Tcp(stream))
        }
    }
}

impl Sink for IpfixSink {
    fn deliver(&mut self, records: &[Arc<Record>]) {
        for chunk in records.chunks(MAX_KEPT / 4) {
            if self.kept.len() + chunk.len() > MAX_KEPT {
                self.drain();
            }
            let room = MAX_KEPT.saturating_sub(self.kept.len());
            let (kept, lost) = chunk.split_at(room.min(chunk.len()));
            self.kept.extend(kept.iter().filter(|record| record.event.is_traffic()).cloned());
            self.counters.lost(lost.len() as u64, Why::Collector);
        }
        self.drain();
    }

    /// IPFIX has nothing for it.
    fn no_data(&mut self, _interval: &Record) {}

    /// Nor for this: gaps of the sequence numbers are messages that were lost on the way.
    fn tell_loss(&mut self, _records: u64) {}

    fn retry(&mut self) {
        self.failed = false;
        self.drain();
    }

    fn finish(&mut self) {
        self.retry();
        self.counters.lost(self.kept.len() as u64, Why::Ended);
        self.kept.clear();
    }
}
