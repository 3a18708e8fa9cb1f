//! The lab leaves nothing behind, however it ends. Seen from inside the lab of the tests, where a second lab
//! is entered and killed.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio, exit},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sg_tests::lab::{Binaries, Entered, Lab, until};

use crate::support::suite::Suite;

/// Asks this program to enter a lab, make something in it, and wait to be killed.
const IDLE: &str = "SG_TRAFFIC_IDLE";
const BUILT: &str = "built";

/// Idles in a lab where that is what this process was started for.
pub(crate) fn idle() -> Result<bool> {
    if env::var_os(IDLE).is_none() {
        return Ok(false);
    }
    let Entered::Inside(lab) = Lab::enter()? else { bail!("no lab") };
    let lan = lab.lan()?;
    let host = lan.host("idle", &["10.79.0.1/24"])?;
    let _process = host.spawn(Command::new("sleep").arg("1000"))?;
    println!("{BUILT}");
    thread::sleep(Duration::from_secs(1000));
    exit(1)
}

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("nothing_is_left_after_ctrl_c", |_| ends_with(Signal::SIGINT, |lab| lab[0]));
    suite.add("nothing_is_left_after_sigterm", |_| ends_with(Signal::SIGTERM, |lab| lab[0]));
    suite.add("nothing_is_left_after_kill_of_the_outside", |_| ends_with(Signal::SIGKILL, |lab| lab[0]));
    suite.add("nothing_is_left_after_kill_of_the_inside", |_| ends_with(Signal::SIGKILL, |lab| lab[1]));
    suite.add("the_demonstration_shows_what_is_expected", |_| demo_shows_what_is_expected());
    suite.add("nothing_of_the_demonstration_is_left_after_ctrl_c", |_| {
        leaves_nothing(&mut demo()?, "ready: ", Signal::SIGINT, |lab| lab[0])
    });
}

fn demo() -> Result<Command> {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_sg-demo"));
    demo.env("SG_BIN_DIR", Binaries::find()?.directory());
    Ok(demo)
}

fn demo_shows_what_is_expected() -> Result<()> {
    let output = demo()?.output()?;
    ensure!(
        output.status.success(),
        "sg-demo ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let shown = String::from_utf8(output.stdout)?;
    let (_, table) = shown.split_once("\nFROM ").context("it shows no table")?;
    let wide = table.lines().find(|line| line.chars().count() > 80);
    ensure!(wide.is_none(), "a line is wider than a terminal: {wide:?}");
    ensure!(table.contains("Try next:"), "it ends without saying what to try next:\n{shown}");
    Ok(())
}

/// Enters a second lab, ends it with `signal` to one of its processes, and looks around.
fn ends_with(signal: Signal, whom: impl FnOnce(&[i32]) -> i32) -> Result<()> {
    // A shell starts what it runs in the background with SIGINT ignored, and so would be what the tests start.
    let mut idle = Command::new("env");
    idle.arg("--default-signal=INT").arg(env::current_exe()?).env(IDLE, "1");
    leaves_nothing(&mut idle, BUILT, signal, whom)
}

/// Starts a program that enters a lab, ends it when it has printed `line`, and looks around.
fn leaves_nothing(
    program: &mut Command,
    line: &str,
    signal: Signal,
    whom: impl FnOnce(&[i32]) -> i32,
) -> Result<()> {
    let before = surroundings()?;
    let mut outside = program.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(outside.stdout.take().context("no standard output")?);
    let printed = output.lines().map_while(Result::ok).any(|printed| printed.contains(line));
    ensure!(printed, "the second lab was not built: {line:?} was not printed");

    let lab = family_of(outside.id().cast_signed())?;
    ensure!(lab.len() >= 3, "outside, inside and another, but: {lab:?}");
    kill(Pid::from_raw(whom(&lab)), signal)?;
    outside.wait()?;
    until("every process of the second lab has ended", || Ok(lab.iter().all(|&pid| has_ended(pid))))?;
    ensure!(surroundings()? == before, "{:?} became {:?}", before, surroundings()?);
    Ok(())
}

/// A process and its descendants, elders first.
fn family_of(eldest: i32) -> Result<Vec<i32>> {
    let mut family = vec![eldest];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            family.push(child.parse()?);
        }
        next += 1;
    }
    Ok(family)
}

/// Whether a process is gone, or dead and not buried yet.
fn has_ended(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Mounts, devices and named namespaces, without those of tests that run meanwhile.
fn surroundings() -> Result<[BTreeSet<String>; 3]> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let devices = fs::read_dir("/sys/class/net")?.flatten().map(|device| device.path().display().to_string());
    let namespaces = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    Ok([
        mounts.lines().filter(|mount| !mount.contains("/run/netns")).map(str::to_owned).collect(),
        devices.collect(),
        namespaces
            .map(|name| name.path().display().to_string())
            .filter(|name| name.contains("idle"))
            .collect(),
    ])
}
