//! A live connection gets no reject: both ends send all the time, each on a processor of its own if there are
//! two, so the filter judges packets of both directions in the same moment (S24).

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use sg_tests::lab::{Attach, End, Family, Lab, PATIENCE, Service, Streams};

use crate::{
    reject::reply_sent::scene,
    support::{
        scene::{Client, Role, Server, question, web},
        suite::Suite,
    },
};

/// How long both ends speak.
const EXCHANGE: Duration = Duration::from_millis(1_500);
/// What one says at once: many packets a second, rather than large ones.
const MESSAGE: usize = 64;
/// Fewer messages of an end would show nothing.
const FEW: usize = 1_000;

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "a_busy_connection_is_never_reset", a_busy_connection);
}

/// Nothing is open inbound, and the server connected.
fn a_busy_connection(lab: Lab, attach: Attach) -> Result<()> {
    let policy = format!("default: reject\n{}", web(Role::Host, "inner_access: drop"));
    let (scene, agent, _other) = scene(lab, attach, Role::Host, &policy)?;
    for family in Family::ALL {
        let asked = question(Server, Client, family, Service::Tcp(7_002));
        let streams = Streams::open(scene.host(Server), scene.host(Client), &asked)?;
        let said: [Result<(usize, usize)>; 2] = thread::scope(|scope| {
            let ends = End::ALL.map(|end| {
                let stream = streams.socket(end);
                scope.spawn(move || exchange(stream, end as usize).with_context(|| format!("the {end:?}")))
            });
            ends.map(|end| end.join().map_err(|_| anyhow!("an end panicked"))?)
        });
        let [Ok(near), Ok(far)] = said else { bail!("{family}: {said:?}; {:?}", agent.stats()?) };
        let said = [near, far];
        ensure!(near.0 == far.1 && far.0 == near.1, "{family}: sent and received {said:?} bytes");
        ensure!(near.0.min(far.0) > FEW * MESSAGE, "{family}: too few to show anything: {said:?} bytes");
    }
    let stats = agent.stats()?;
    for reason in ["reject-sent", "reject-rate-limited", "not-taken-over"] {
        ensure!(stats.reason(reason) == 0, "{reason}: {}", stats.reason(reason));
    }
    ensure!(stats.default_of("ingress") == 0, "{} packets belonged to no flow", stats.default_of("ingress"));
    // The control: what is rejected is told.
    let shut = question(Client, Server, Family::V4, Service::Tcp(81));
    scene.puts(Client, &shut, sg_tests::lab::Outcome::Refused)
}

/// The byte of a stream at a place.
const fn byte(place: usize) -> u8 {
    // No power of two, so that what is lost or comes twice is seen.
    (place % 251) as u8
}

/// Sends and receives at once for [`EXCHANGE`], then says that this was all, and receives the rest. How many bytes were sent, and
/// received.
fn exchange(mut stream: &TcpStream, number: usize) -> Result<(usize, usize)> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let processors: Vec<_> = (0..CpuSet::count()).filter(|&at| allowed.is_set(at).unwrap_or(false)).collect();
    let mut own = CpuSet::new();
    own.set(processors[number % processors.len()])?;
    sched_setaffinity(Pid::from_raw(0), &own)?;

    let (mut sent, mut received) = (0, 0);
    let mut buffer = vec![0; 1 << 16];
    stream.set_nonblocking(true)?;
    let start = Instant::now();
    while start.elapsed() < EXCHANGE {
        let message: [u8; MESSAGE] = std::array::from_fn(|at| byte(sent + at));
        let moved = [now(stream.write(&message))?, now(stream.read(&mut buffer))?];
        sent += moved[0].unwrap_or(0);
        match moved {
            // It began to exchange earlier, and is through.
            [_, Some(0)] => break,
            [_, Some(length)] => received = follows(&buffer[..length], received)?,
            [None, None] => thread::yield_now(),
            [Some(_), None] => {}
        }
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.shutdown(Shutdown::Write)?;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok((sent, received)),
            length => received = follows(&buffer[..length], received)?,
        }
    }
}

/// What came of a call that does not wait.
fn now(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        done => done.map(Some),
    }
}

/// Checks that `bytes` are those of a stream from `place` on; where it goes on.
fn follows(bytes: &[u8], place: usize) -> Result<usize> {
    let wrong = bytes.iter().zip(place..).find(|&(&received, at)| received != byte(at));
    ensure!(wrong.is_none(), "another byte at {:?}", wrong.map(|(_, at)| at));
    Ok(place + bytes.len())
}
