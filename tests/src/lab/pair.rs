//! Two hosts that exchange more than one request and reply.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    ask::Question,
    host::Host,
    responder::is_silence,
    stream,
    wait::{PATIENCE, uninterrupted},
};

/// An end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end that opened the flow.
    Initiator = 0,
    /// The other end.
    Responder = 1,
}

impl End {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Initiator, Self::Responder];

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// A flow with both ends under control.
pub trait Pair {
    /// Sends one more message from this end.
    ///
    /// # Errors
    /// If the socket does not take it.
    fn send(&mut self, from: End) -> Result<()>;

    /// Whether the newest message of the other end arrives at this one within `patience`.
    ///
    /// # Errors
    /// If the socket failed for a reason other than silence.
    fn arrives(&mut self, at: End, patience: Duration) -> Result<bool>;
}

/// A TCP connection. Its messages are bytes: lost ones are retransmitted, so all of them arrive or none of the newest.
#[derive(Debug)]
pub struct Streams {
    ends: [TcpStream; 2],
    sent: [usize; 2],
    received: [usize; 2],
}

impl Streams {
    /// Connects `initiator` with `responder`, which listens for just this connection.
    ///
    /// # Errors
    /// If the connection cannot be established.
    pub fn open(initiator: &Host, responder: &Host, question: &Question) -> Result<Self> {
        let listener = responder.inside(|| Ok(stream::listen(question.destination())?))?;
        let near = initiator
            .inside(|| Ok(stream::connect(question.source(), question.destination(), PATIENCE)?))
            .with_context(|| format!("connecting: {question}"))?;
        let (far, _) = listener.accept()?;
        far.set_nodelay(true)?;
        Ok(Self { ends: [near, far], sent: [0; 2], received: [0; 2] })
    }

    /// The sockets of both ends, indexed by [`End`].
    #[must_use]
    pub fn into_sockets(self) -> [TcpStream; 2] {
        self.ends
    }

    /// The socket of an end.
    #[must_use]
    pub fn socket(&self, end: End) -> &TcpStream {
        &self.ends[end as usize]
    }
}

impl Pair for Streams {
    fn send(&mut self, from: End) -> Result<()> {
        self.ends[from as usize].write_all(b".")?;
        self.sent[from as usize] += 1;
        Ok(())
    }

    fn arrives(&mut self, at: End, patience: Duration) -> Result<bool> {
        let start = Instant::now();
        let mut buffer = [0; 1024];
        while self.received[at as usize] < self.sent[at.other() as usize] {
            let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            self.ends[at as usize].set_read_timeout(Some(left))?;
            match uninterrupted(|| self.ends[at as usize].read(&mut buffer)) {
                Ok(length) => {
                    ensure!(length > 0, "the connection was closed");
                    self.received[at as usize] += length;
                }
                Err(error) if is_silence(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// A UDP flow. Its messages are numbered datagrams: lost ones stay lost.
#[derive(Debug)]
pub struct Datagrams {
    ends: [UdpSocket; 2],
    sent: [u32; 2],
    received: [BTreeSet<u32>; 2],
}

impl Datagrams {
    /// A socket on each host, connected to the other. Nothing is sent.
    ///
    /// # Errors
    /// If an address or port cannot be bound.
    pub fn open(initiator: &Host, responder: &Host, question: &Question) -> Result<Self> {
        let bind = |host: &Host, at: SocketAddr| host.inside(|| Ok(UdpSocket::bind(at)?));
        let near = bind(initiator, question.source())?;
        let far = bind(responder, question.destination())?;
        near.connect(far.local_addr()?)?;
        far.connect(near.local_addr()?)?;
        Ok(Self { ends: [near, far], sent: [0; 2], received: Default::default() })
    }

    /// How many messages of the other end never arrived at this one.
    #[must_use]
    pub fn lost(&self, at: End) -> usize {
        self.sent[at.other() as usize] as usize - self.received[at as usize].len()
    }
}

impl Pair for Datagrams {
    fn send(&mut self, from: End) -> Result<()> {
        self.sent[from as usize] += 1;
        self.ends[from as usize].send(&self.sent[from as usize].to_be_bytes())?;
        Ok(())
    }

    fn arrives(&mut self, at: End, patience: Duration) -> Result<bool> {
        let newest = self.sent[at.other() as usize];
        let start = Instant::now();
        let mut number = [0; 4];
        while !self.received[at as usize].contains(&newest) {
            let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            self.ends[at as usize].set_read_timeout(Some(left))?;
            match uninterrupted(|| self.ends[at as usize].recv(&mut number)) {
                Ok(_) => {
                    self.received[at as usize].insert(u32::from_be_bytes(number));
                }
                Err(error) if is_silence(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
