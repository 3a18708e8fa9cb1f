//! Clients that watch and do not read, or are gone: they cost themselves, and nobody else.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya::maps::{Array, Map, MapData};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_common::{abi::flows::EVENTS_LOST, event::Watch};
use sg_kernel::pins::{self, Counters};
use sg_tests::lab::{self, Agent, Attach, Binaries, Family, Lab, Outcome, PATIENCE, Service, slowly, until};

use super::{
    floods::{flood, generator, memory},
    records::{RULES, lost},
};
use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, web},
    suite::Suite,
};

/// Clients that may follow at a time (docs/use/observing.md).
const WATCHERS: usize = 8;

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("a_client_that_stops_reading_loses_counted_records", lab::missing(), stops_reading);
    suite.when("a_watcher_that_was_killed_costs_nothing", lab::missing(), killed_watchers_cost_nothing);
}

/// A document is in force after it was written within this time, with a busy machine in it.
const USUAL: Duration = Duration::from_secs(5);
const MORE_MEMORY: u64 = 160 << 10;

fn scene(lab: Lab) -> Result<(Scene, Agent)> {
    filtered(lab, Attach::Tcx, Role::Host, &web(Role::Host, RULES))
}

/// A request to the agent's API, whose response nobody has read.
fn request(agent: &Agent, query: &str) -> Result<UnixStream> {
    let socket = PathBuf::from(format!("/run/sgd/{}/api.sock", agent.instance()));
    let mut stream = UnixStream::connect(&socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("GET /v1/observe?{query} HTTP/1.1\r\nhost: sgd\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// The status line of a response that goes on.
fn status(stream: &mut UnixStream) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("no status line")?;
    Ok(line.trim_end().to_owned())
}

/// So many watchers there may be, and after them there is no room for another.
fn fill_with_watchers(agent: &Agent) -> Result<Vec<UnixStream>> {
    let mut streams = Vec::new();
    for number in 0..=WATCHERS {
        let wanted = if number < WATCHERS { "HTTP/1.1 200 " } else { "HTTP/1.1 429 " };
        // The place of one that has just gone is free a moment after the program was told.
        slowly(&format!("watcher {number}: {wanted}"), || {
            let mut stream = request(agent, "follow=true&port=9")?;
            let is_so = status(&mut stream)?.starts_with(wanted);
            streams.extend(is_so.then_some(stream));
            Ok(is_so)
        })?;
    }
    Ok(streams)
}

/// Descriptors that the agent has open.
fn descriptors(agent: &Agent) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count())
}

/// How many single events the program could not put into its ring.
fn lost_in_ring(agent: &Agent) -> Result<u64> {
    let read = Counters::open(&pins::directory(agent.instance()))?.read(&[EVENTS_LOST])?;
    Ok(read.first().context("no counter")?.packets)
}

/// Until when the program is told that somebody watches.
fn told_until(agent: &Agent) -> Result<u64> {
    let map = MapData::from_pin(pins::directory(agent.instance()).join("WATCH"))?;
    let watch: Array<_, [u64; size_of::<Watch>() / 8]> = Array::try_from(Map::from_map_data(map)?)?;
    Ok(watch.get(&0, 0)?[0])
}

/// Whether the program is told again and again.
pub(crate) fn is_told(agent: &Agent) -> Result<bool> {
    let before = told_until(agent)?;
    thread::sleep(Duration::from_millis(700));
    Ok(told_until(agent)? != before)
}

/// Lines of a response in chunks, as many as come until none has come for a while.
fn read_lines(stream: UnixStream) -> Result<Vec<Value>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        ensure!(!line.starts_with("HTTP") || line.starts_with("HTTP/1.1 200"), "{line}");
        line.clear();
    }
    let mut text = Vec::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
        let size = usize::from_str_radix(line.trim(), 16).with_context(|| line.clone())?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        text.extend_from_slice(chunk.get(..size).unwrap_or_default());
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).with_context(|| String::from_utf8_lossy(line).into_owned()))
        .collect()
}

fn stops_reading(lab: Lab) -> Result<()> {
    let (scene, mut agent) = scene(lab)?;
    let mut generator = generator(&scene, 23)?;
    let stream = request(&agent, "follow=true&packets=each&port=23")?;
    until("the program is told", || is_told(&agent))?;
    let (before, lost_before) = (memory(&agent)?, lost_in_ring(&agent)?);
    let counted_before = agent.stats()?.default_of("ingress");
    let changed = RULES.replace("ports: 54", "ports: 55");
    let (sent, took) = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&mut generator, 5));
        thread::sleep(Duration::from_secs(2));
        let start = Instant::now();
        let applied = agent.apply(&web(Role::Host, &changed));
        let took = start.elapsed();
        let sent = flooding.join().map_err(|_| anyhow!("the flood panicked"))?;
        anyhow::Ok((applied.and(sent)?, took))
    })?;
    let after = memory(&agent)?;
    println!("{sent} sent; a policy took {took:?}; {before} KiB grew to {after} KiB");
    ensure!(took < USUAL, "a policy took {took:?}");
    ensure!(after < before + MORE_MEMORY, "{before} KiB became {after} KiB");
    ensure!(agent.stats()?.default_of("ingress") - counted_before == sent, "not all were dropped");
    scene.asks(Client, Server, Family::V4, Service::Udp(55), Outcome::Reply)?;
    scene.asks(Client, Server, Family::V4, Service::Udp(54), Outcome::Silent)?;
    let records = read_lines(stream)?;
    let received = records.iter().filter(|record| record["event"] == "denied").count() as u64;
    let (lost, in_ring) = (lost(&records), lost_in_ring(&agent)? - lost_before);
    println!("{received} received, {lost} said to be lost, {in_ring} of them in the ring");
    ensure!(lost > 0 && received > 0, "{received} received, {lost} lost");
    ensure!(received + lost == sent, "{received} received and {lost} lost, of {sent}");
    Ok(())
}

/// `sgctl observe -f` with these arguments.
fn observe(scene: &Scene, agent: &Agent, arguments: &[&str]) -> Result<Child> {
    let mut sgctl = Command::new(Binaries::find()?.sgctl());
    sgctl.args(["observe", "-f", "--instance", agent.instance()]).args(arguments);
    sgctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    scene.host(Server).spawn(&mut sgctl)
}

/// One whose filter matches nothing: it never gets a byte, so nobody notices by writing that it is gone.
fn killed_watchers_cost_nothing(lab: Lab) -> Result<()> {
    let (scene, agent) = scene(lab)?;
    let mut generator = generator(&scene, 23)?;
    ensure!(!is_told(&agent)?, "somebody watches already");
    let open_before = descriptors(&agent)?;
    for (signal, arguments) in [
        (Signal::SIGKILL, &["--port", "9"][..]),
        (Signal::SIGKILL, &["--packets"]),
        (Signal::SIGTERM, &["--port", "9"]),
        (Signal::SIGINT, &["--port", "9"]),
    ] {
        let mut child = observe(&scene, &agent, arguments)?;
        let watched = until("the program is told", || is_told(&agent));
        if let Err(error) = watched {
            child.kill()?;
            let output = child.wait_with_output()?;
            bail!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let before = lost_in_ring(&agent)?;
        generator.send(20_000)?;
        ensure!(lost_in_ring(&agent)? == before, "the filter was not tested before the ring");
        kill(Pid::from_raw(child.id().cast_signed()), signal)?;
        let output = child.wait_with_output()?;
        if arguments.len() > 1 {
            ensure!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let start = Instant::now();
        // One that gets nothing is noticed at the next sign of life, and the program is told for some seconds at a time.
        slowly("the program is no longer told", || Ok(!is_told(&agent)?))
            .with_context(|| format!("{signal} {arguments:?}"))?;
        println!("{signal} {arguments:?}: {:?}, {}", start.elapsed(), output.status);
    }
    // None of them is left: there is room for all watchers that there may be.
    let streams = fill_with_watchers(&agent)?;
    until("the program is told", || is_told(&agent))?;
    drop(streams);
    slowly("the program is no longer told", || Ok(!is_told(&agent)?))?;
    // Each of them had one, and a few may be of what the agent has begun to do meanwhile.
    slowly("the connections are closed", || Ok(descriptors(&agent)? < open_before + WATCHERS / 2))
        .with_context(|| format!("{open_before} descriptors were open, and now {:?}", descriptors(&agent)))
}
