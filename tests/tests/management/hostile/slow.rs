//! Connections without a key that never complete a request, or read no answer, to both APIs at once: more than there is room for,
//! each opened again as soon as it is closed. Honest clients are served meanwhile, within a moment.

use std::{
    io::{ErrorKind, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sg_tests::lab::Lab;
use socket2::{Domain, Socket, Type};

use super::{BOTH, ECS, Key, NATIVE, bytes::honest_here};
use crate::{served::Served, suite::Suite};

/// To each API: three times as many as it serves at once.
const CONNECTIONS: usize = 1_500;
/// How long honest clients are watched.
const TIME: Duration = Duration::from_secs(6);
/// How long one of them may take for a request to each API, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(8);

pub(super) fn tests(suite: &mut Suite) {
    suite.add("hostile::slow_connections_starve_neither_api", starved);
}

fn starved(lab: Lab) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let host = lab.host("starved")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    let before = served.memory()?;
    let stop = AtomicBool::new(false);
    let (took, after, open) = host.inside(|| {
        honest_here(&key)?;
        thread::scope(|scope| {
            let attackers = [ECS, NATIVE].map(|api| {
                let stop = &stop;
                scope.spawn(move || attack(api, stop))
            });
            // Until all places are taken.
            thread::sleep(Duration::from_secs(1));
            let (mut took, began) = (Vec::new(), Instant::now());
            let mut failed = None;
            while began.elapsed() < TIME && failed.is_none() {
                let asked = Instant::now();
                failed = honest_here(&key).err();
                took.push(asked.elapsed());
                thread::sleep(Duration::from_millis(50));
            }
            let cost = (served.memory(), served.descriptors());
            stop.store(true, Ordering::Relaxed);
            for attacker in attackers {
                attacker.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))??;
            }
            failed.map_or(Ok((took, cost.0?, cost.1?)), Err)
        })
    })?;
    let longest = took.iter().max().copied().unwrap_or_default();
    println!(
        "{} honest requests to each API beside {CONNECTIONS} slow connections: the longest took {longest:?}; \
         memory {before} KiB before, {after} KiB meanwhile, {open} descriptors",
        took.len()
    );
    ensure!(longest < LONGEST, "an honest request took {longest:?}");
    ensure!(took.len() >= 3, "{took:?}");
    ensure!(after < before + (128 << 10), "{before} KiB before, {after} KiB after");
    ensure!(open < 1_200, "{open} descriptors");
    Ok(())
}

/// Keeps so many connections open until it is told to stop.
fn attack(api: SocketAddr, stop: &AtomicBool) -> Result<()> {
    let mut held: Vec<TcpStream> = Vec::with_capacity(CONNECTIONS);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        held.retain_mut(is_open);
        while held.len() < CONNECTIONS {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            // It may wait for its turn.
            let _ = socket.connect(&api.into());
            let mut stream = TcpStream::from(socket);
            begin(&mut stream, number);
            held.push(stream);
            number += 1;
        }
        // A byte more, twice a second.
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// What a connection sends at first: of each kind some.
fn begin(stream: &mut TcpStream, number: usize) {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    // What cannot be sent yet is not sent at all: then it is one that says nothing.
    let _ = match number % 6 {
        0 => Ok(()),
        1 => stream.write_all(b"GET /?Action=Describe"),
        2 => stream.write_all(format!("{head}Content-Length: 1000000\r\n\r\nAct").as_bytes()),
        3 => stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").as_bytes()),
        // Its end is closed, and it waits for ours.
        4 => stream.write_all(b"GET /?").and_then(|()| stream.shutdown(Shutdown::Write)),
        // Answers that it never reads.
        _ => stream.write_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20).as_bytes()),
    };
}

/// Sends one byte more; whether the connection is open, or on its way.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 64];
    let closed = |error: &std::io::Error| {
        !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
    };
    if stream.write(b"X").is_err_and(|error| closed(&error) && error.kind() != ErrorKind::BrokenPipe) {
        return false;
    }
    // Looking at what is there is not reading it.
    match stream.peek(&mut answer) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => !closed(&error),
    }
}
