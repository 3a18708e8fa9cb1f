//! A listener and its accept loop. The loop never ends by itself, and never exceeds the maximum number of connections.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use nix::errno::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    Access, Exposure, Limits, ListenError, Peer, access,
    connection::{Caller, Shared, drive},
    memory::Memory,
    seats::Seats,
    tcp,
    unix::{self, SocketFile},
};

/// The pause after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(250);
/// The minimum time between log lines about that.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// A socket that listens.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Unix(Local),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens on a unix socket of mode 0660, and creates its directory if it is missing. A socket that an ended process left is
    /// replaced.
    ///
    /// # Errors
    /// If a process accepts connections on it, if the name belongs to another kind of file, or if the system refuses.
    pub async fn unix(path: &Path, access: Access) -> Result<Self, ListenError> {
        let (listener, file) = unix::bind(path, &access).await?;
        Ok(Self(Kind::Unix(Local { listener, access, _file: file })))
    }

    /// Listens on a TCP address, given by the command-line flag `flag`.
    ///
    /// # Errors
    /// If other hosts could connect and the operator did not allow it, or if the system refuses.
    pub fn tcp(address: SocketAddr, exposure: Exposure, flag: &'static str) -> Result<Self, ListenError> {
        tcp::bind(address, exposure, flag).map(|listener| Self(Kind::Tcp(listener)))
    }

    /// The address of a TCP listener; for port 0, with the port that it got.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Unix(_) => None,
            Kind::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// Serves `router` until `stop`, then closes the socket, lets requests in progress end within [`Limits::grace`], and returns.
    /// Every request carries its [`Peer`] as an extension.
    pub async fn serve(self, router: Router, limits: Limits, stop: impl Future<Output = ()> + Send) {
        match self.0 {
            Kind::Unix(local) => serve(local, router, limits, stop).await,
            Kind::Tcp(listener) => serve(listener, router, limits, stop).await,
        }
    }
}

/// A unix listener.
#[derive(Debug)]
struct Local {
    listener: UnixListener,
    access: Access,
    _file: SocketFile,
}

/// A source of connections. A trait, so that a test can make accepting fail.
pub(super) trait Accept: Send + Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Caller)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Caller)> {
        let (stream, address) = Self::accept(self).await?;
        // Every response is written at once; waiting for more of it would only cost time. If the client is gone already, its
        // connection will notice.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("{address}: {error}");
        }
        let local = stream.local_addr().ok().map(access::Local);
        Ok((stream, Caller { peer: Peer::Address(address), local, admitted: true }))
    }
}

impl Accept for Local {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Caller)> {
        let (stream, _) = self.listener.accept().await?;
        let credentials = stream.peer_cred()?;
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let peer = Peer::Process { uid, gid, pid: credentials.pid() };
        Ok((stream, Caller { peer, local: None, admitted: self.access.admits(uid) }))
    }
}

/// The accept loop.
pub(super) async fn serve(
    listener: impl Accept,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) {
    let mut stop = pin!(stop);
    let seats = Seats::new(&limits);
    let memory = Memory::new(&limits);
    let (close, closing) = watch::channel(false);
    let grace = limits.grace;
    let (limits, large) = (Arc::new(limits), Arc::new(Semaphore::new(1)));
    let (shared_limits, shared_seats) = (Arc::clone(&limits), Arc::clone(&seats));
    let shared = Shared { router, limits: shared_limits, memory, seats: shared_seats, large, closing };
    let mut connections = JoinSet::new();
    let mut complaints = Complaints::default();

    loop {
        let next = async {
            let (stream, caller) = listener.accept().await?;
            // One accepted connection waits for a place; the ones behind it wait in the backlog and cost nothing here.
            Ok((stream, caller, seats.enter(&limits).await))
        };
        let accepted = tokio::select! {
            biased;
            () = stop.as_mut() => break,
            next = next => next,
        };
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        match accepted {
            Ok((stream, caller, seat)) => {
                connections.spawn(drive(stream, caller, shared.clone(), seat));
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                complaints.note(&error);
                tokio::select! {
                    () = stop.as_mut() => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    // The socket first: new clients should reach the next process and not wait for this one.
    drop(listener);
    close.send_replace(true);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!("connections that did not end within {grace:?} are closed");
    }
}

/// Whether `accept` failed because the client went away.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ECONNABORTED | Errno::ECONNRESET | Errno::EINTR)
    )
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a connection ended unexpectedly: {error}");
    }
}

/// Rate limit of the log lines about failed `accept`s: the same line four times a second helps nobody.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
}

impl Complaints {
    fn note(&mut self, error: &io::Error) {
        if self.last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL) {
            tracing::error!("cannot accept a connection: {error}; it is tried again");
            self.last = Some(Instant::now());
        }
    }
}
