//! Connections without a key that never complete a request, or never read a response, to both APIs at once: more than there are
//! places, or memory for their bodies, each opened again as soon as it is closed. Honest clients are served meanwhile, within a
//! moment.

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

use super::{BOTH, ECS, Key, NATIVE, bytes::honest_here, exchange_here, expect};
use crate::support::{served::Served, suite::Suite};

/// To each API: three times as many as it serves at once.
const CONNECTIONS: usize = 1_500;
/// How long honest clients are watched.
const TIME: Duration = Duration::from_secs(6);
/// How many of their requests are sent to each API, however long it takes.
const LEAST: usize = 3;
/// How long one of them may take for a request to each API, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(8);

pub(super) fn tests(suite: &mut Suite) {
    suite.add("slow_connections_starve_neither_api", starved);
    suite.add("bodies_that_do_not_end_starve_neither_api", starved_of_memory);
}

/// Bodies that stop a byte before their end: three times as many as there is memory for.
const BODIES: usize = 72;
/// The most that a body may have.
const BODY: usize = 2 << 20;
/// So many honest requests of each kind are sent meanwhile.
const HONEST: usize = 8;

fn starved_of_memory(lab: Lab) -> Result<()> {
    let host = lab.host("starved-of-memory")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    let before = served.memory()?;
    let stop = AtomicBool::new(false);
    let (took, closed, after) = host.inside(|| {
        posts(&key, "before", 100)?;
        thread::scope(|scope| {
            let attackers = [ECS, NATIVE].map(|api| {
                let stop = &stop;
                scope.spawn(move || hold_bodies(api, stop))
            });
            // Until all of the memory is taken.
            thread::sleep(Duration::from_secs(1));
            let honest = || -> Result<(Duration, u64)> {
                let mut longest = Duration::ZERO;
                for number in 0..HONEST {
                    let asked = Instant::now();
                    // Some are small, and some need the memory that the others hold.
                    let size = if number % 4 == 3 { 100_000 } else { 100 };
                    posts(&key, &format!("n{number}"), size)?;
                    longest = longest.max(asked.elapsed());
                }
                Ok((longest, served.memory()?))
            };
            let honest = honest();
            stop.store(true, Ordering::Relaxed);
            let mut closed = Vec::new();
            for attacker in attackers {
                closed.push(attacker.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))??);
            }
            honest.map(|(longest, after)| (longest, closed, after))
        })
    })?;
    println!(
        "{HONEST} honest POSTs to each API beside {BODIES} bodies of {BODY} bytes without their last: the longest took \
         {took:?}; {closed:?} of the bodies were refused; memory {before} KiB before, {after} KiB meanwhile"
    );
    ensure!(took < LONGEST, "an honest request took {took:?}");
    // Those that the ECS API has no memory for, and all of those that the native API knows nobody of.
    ensure!(closed[0] >= BODIES / 2 && closed[1] >= BODIES, "{closed:?} were refused");
    ensure!(after < before + (160 << 10), "{before} KiB before, {after} KiB meanwhile");
    Ok(())
}

/// A POST to each API, with a body of some `size`, served at once.
fn posts(key: &Key, name: &str, size: usize) -> Result<()> {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let request =
        key.acs3("DescribeRegions", &[], &format!("AcceptLanguage={}", "x".repeat(size)), Some(form), &[])?;
    expect("an honest POST to the ECS API", &exchange_here(ECS, &request)?, 200, "")?;
    let body = format!(r#"{{"name":"{name}"{}}}"#, " ".repeat(size));
    let request = key.native("POST", "/v1/vpcs", "Content-Type: application/json\r\n", body.as_bytes());
    expect("an honest POST to the native API", &exchange_here(NATIVE, &request)?, 200, "")
}

/// Holds so many bodies, each begun again once it is refused; how many were.
fn hold_bodies(api: SocketAddr, stop: &AtomicBool) -> Result<usize> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let request =
        [format!("{head}Content-Length: {BODY}\r\n\r\n").as_bytes(), &vec![b'a'; BODY - 1]].concat();
    let (mut held, mut refused) = (Vec::with_capacity(BODIES), 0);
    while !stop.load(Ordering::Relaxed) {
        let before = held.len();
        held.retain_mut(|(stream, _)| is_silent(stream));
        refused += before - held.len();
        while held.len() < BODIES {
            let stream = TcpStream::connect(api)?;
            stream.set_nonblocking(true)?;
            held.push((stream, 0));
        }
        for (stream, sent) in &mut held {
            // As much as is taken now.
            while let Some(rest @ [_, ..]) = request.get(*sent..) {
                match stream.write(rest) {
                    Ok(count) => *sent += count,
                    Err(_) => break,
                }
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(refused)
}

/// Whether nothing was sent back, and nothing closed.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
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
            while (began.elapsed() < TIME || took.len() < LEAST) && failed.is_none() {
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
        // Responses that it never reads.
        _ => stream.write_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20).as_bytes()),
    };
}

/// Sends one byte more; whether the connection is open, or on its way.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut response = [0; 64];
    let closed = |error: &std::io::Error| {
        !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
    };
    if stream.write(b"X").is_err_and(|error| closed(&error) && error.kind() != ErrorKind::BrokenPipe) {
        return false;
    }
    // Looking at what is there is not reading it.
    match stream.peek(&mut response) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => !closed(&error),
    }
}
