//! Responder: the services of a host.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use socket2::SockRef;

use super::{host::Host, raw::RawSocket, service::Service, stream};

/// How often a responder's thread checks whether it should end.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// A service that responds until it is dropped; then its port is free again.
#[derive(Debug)]
#[must_use = "a service that is dropped responds to nobody"]
pub struct Responder {
    wanted: Wanted,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.wanted.0.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked sent no replies, and the test sees that.
            let _ = thread.join();
        }
    }
}

/// Whether a responder's thread should go on.
#[derive(Clone, Debug)]
struct Wanted(Arc<AtomicBool>);

impl Wanted {
    fn still(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Repeats `serve`, which returns after [`LOOK`] at the latest, in a thread until it should end.
    fn thread(&self, mut serve: impl FnMut() + Send + 'static) -> JoinHandle<()> {
        let wanted = self.clone();
        thread::spawn(move || {
            while wanted.still() {
                serve();
            }
        })
    }
}

/// Makes `host` respond at `address` for `service`. Echo requests need no thread: the kernel replies to them.
///
/// # Errors
/// If the address or port cannot be bound.
pub fn respond(host: &Host, address: IpAddr, service: Service) -> Result<Responder> {
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let at = SocketAddr::new(address, service.port().unwrap_or(0));
    let thread = host
        .inside(|| match service {
            Service::Tcp(_) => tcp(stream::listen(at)?, &wanted).map(Some),
            Service::Udp(_) => udp(UdpSocket::bind(at)?, &wanted).map(Some),
            Service::Echo => Ok(None),
            Service::Sctp(_) | Service::Gre | Service::Other(_) => {
                let socket = RawSocket::open(address, service, LOOK)?;
                Ok(Some(wanted.thread(move || socket.reply_to_one())))
            }
        })
        .with_context(|| format!("responding for {service} at {address}"))?;
    Ok(Responder { wanted, thread })
}

/// Whether a receive call ended because nothing arrived in time.
pub(super) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn tcp(listener: TcpListener, wanted: &Wanted) -> Result<JoinHandle<()>> {
    // On Linux it bounds `accept`, too.
    SockRef::from(&listener).set_read_timeout(Some(LOOK))?;
    let connections_wanted = wanted.clone();
    Ok(wanted.thread(move || {
        if let Ok((stream, _)) = listener.accept() {
            let wanted = connections_wanted.clone();
            thread::spawn(move || echo(stream, &wanted));
        }
    }))
}

/// Sends back what arrives, until the end of the stream.
fn echo(mut stream: TcpStream, wanted: &Wanted) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    stream.set_read_timeout(Some(LOOK))?;
    while wanted.still() {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => stream.write_all(&buffer[..length])?,
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn udp(socket: UdpSocket, wanted: &Wanted) -> Result<JoinHandle<()>> {
    socket.set_read_timeout(Some(LOOK))?;
    let mut buffer = vec![0; 64 * 1024];
    Ok(wanted.thread(move || {
        if let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            // If the reply cannot be sent, the client gets none, and reports that.
            let _ = socket.send_to(&buffer[..length], asker);
        }
    }))
}
