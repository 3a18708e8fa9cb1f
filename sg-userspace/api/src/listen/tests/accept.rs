//! What happens when `accept` fails.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{
    super::{
        Peer,
        connection::Caller,
        serve::{Accept, serve},
    },
    limits, router,
};

/// Fails a number of times, then has one connection, then none.
struct Failing {
    errors: [Errno; 6],
    asked: AtomicUsize,
    stream: Mutex<Option<DuplexStream>>,
}

impl Accept for Failing {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, Caller)> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.errors.get(asked) {
            return Err((*error).into());
        }
        let stream = self.stream.lock().unwrap().take();
        let Some(stream) = stream else { return std::future::pending().await };
        let peer = Peer::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        Ok((stream, Caller { peer, local: None, admitted: true }))
    }
}

#[tokio::test]
async fn a_listener_without_descriptors_waits_for_them() {
    let (mut client, server) = duplex(1024);
    let errors =
        [Errno::EMFILE, Errno::ECONNABORTED, Errno::ENFILE, Errno::EINTR, Errno::ENOMEM, Errno::ENOBUFS];
    let failing = Failing { errors, asked: AtomicUsize::new(0), stream: Mutex::new(Some(server)) };
    let began = Instant::now();
    let asking = async {
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        reply
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = serve(failing, router(), limits(), async { drop(stopped.await) });
    let (reply, ()) = tokio::join!(
        async {
            let reply = asking.await;
            drop(stop);
            reply
        },
        serving
    );
    assert!(reply.ends_with("ok"), "{reply}");
    // A pause for each failure except the two that are the client's.
    assert!((Duration::from_millis(900)..Duration::from_secs(20)).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_listener_that_waits_can_be_stopped() {
    let failing =
        Failing { errors: [Errno::EMFILE; 6], asked: AtomicUsize::new(0), stream: Mutex::default() };
    let stop = tokio::time::sleep(Duration::from_millis(100));
    let began = Instant::now();
    serve(failing, router(), limits(), stop).await;
    assert!(began.elapsed() < Duration::from_millis(1200));
}
