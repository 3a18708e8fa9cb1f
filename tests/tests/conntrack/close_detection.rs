//! The filter sees the close of a connection over each kind of wire, with the offloads that leave segments or checksums to others:
//! the ends are unmodified hosts, and the flow is `closing` in time.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{Agent, Attach, End, Family, Lab, PATIENCE, Service, Streams};
use socket2::SockRef;

use crate::{
    conntrack::flows::shown,
    support::{
        scene::{Client, Role, Scene, Server, native_xdp, over_roles, question, web},
        suite::Suite,
    },
};

/// Inbound a few ports are open, outbound nothing: what the server sends belongs to the flow.
const RULES: &str = "
ingress:
  - { id: in, protocol: tcp, ports: 22-25 }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";
/// Within this time after the close the flow is `closing`, or has been.
const KNOWN: Duration = Duration::from_secs(3);
/// What each end says before it closes: more than a segment, and no whole number of them.
const BULK: usize = 100_000;

#[derive(Clone, Copy, Debug)]
enum Wire {
    /// Veth pairs: checksums and segments are left to a device that never comes; then to nobody.
    Veths,
    /// Two taps with complete frames.
    Taps,
    /// Two taps as virtual machines have them: checksums and segments are left to the receiver.
    UnfinishedTaps,
}

pub(crate) fn tests(suite: &mut Suite) {
    for (wire, name) in
        [(Wire::Veths, "veths"), (Wire::Taps, "taps"), (Wire::UnfinishedTaps, "unfinished_taps")]
    {
        over_roles(suite, &format!("a_close_is_known_in_time_over_{name}"), move |lab, attach, role| {
            a_close_is_known(lab, attach, role, wire)
        });
    }
}

fn a_close_is_known(lab: Lab, attach: Attach, role: Role, wire: Wire) -> Result<()> {
    let (scene, taps) = match wire {
        Wire::Veths => (Scene::new(lab)?, None),
        Wire::Taps | Wire::UnfinishedTaps => {
            let (scene, taps) = Scene::over_taps(lab, matches!(wire, Wire::UnfinishedTaps))?;
            (scene, Some(taps))
        }
    };
    let agent = scene.agent(role, attach, &web(role, RULES))?;
    if attach == Attach::Xdp {
        ensure!(native_xdp(scene.host(Server), "eth0")?.is_some(), "it is not attached at XDP");
    }
    closes_are_known(&scene, &agent, [22, 23]).context("as devices are made")?;
    match taps {
        None => {
            for (host, device) in
                [(scene.host(Server), "eth0"), (scene.host(Client), "eth0"), (scene.lan.switch(), "server")]
            {
                host.no_offloads(device)?;
            }
            closes_are_known(&scene, &agent, [24, 25]).context("without offloads")
        }
        Some(taps) => {
            let expected = matches!(wire, Wire::UnfinishedTaps);
            ensure!((taps.unfinished() > 0) == expected, "{} frames were unfinished", taps.unfinished());
            Ok(())
        }
    }
}

/// With each end closing first, at a port of its own.
fn closes_are_known(scene: &Scene, agent: &Agent, ports: [u16; 2]) -> Result<()> {
    for family in Family::ALL {
        for (first, port) in End::ALL.into_iter().zip(ports) {
            let asked = question(Client, Server, family, Service::Tcp(port));
            let streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
            let (remote, port) = (Client.address(family).to_string(), port.to_string());
            let states = || {
                let flows = shown(agent, &["--port", &port, "--remote", &remote])?;
                let states = flows.iter().map(|flow| flow["state"].as_str().unwrap_or_default().to_owned());
                anyhow::Ok(states.collect::<Vec<_>>())
            };
            says_and_closes(&streams, first, true)?;
            ensure!(states()? == ["established"], "{family}, half closed: {:?}", states()?);
            says_and_closes(&streams, first.other(), false)?;
            let closed = Instant::now();
            loop {
                let asked = closed.elapsed();
                let states = states()?;
                // One that was `closing` may be gone, as no other one is so soon.
                if states.iter().all(|state| state == "closing") {
                    break;
                }
                let what = format!("{family}, the {first:?} first: {states:?}, {asked:?} after the close");
                ensure!(asked < KNOWN, what);
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Ok(())
}

/// Sends from `end`, which says no more, until the other one has received all of it. The FIN has data before it in its segment
/// where that is `held` back for it.
fn says_and_closes(streams: &Streams, end: End, held: bool) -> Result<()> {
    let (mut from, mut to) = (streams.socket(end), streams.socket(end.other()));
    from.set_write_timeout(Some(PATIENCE))?;
    SockRef::from(from).set_tcp_cork(held)?;
    to.set_read_timeout(Some(PATIENCE))?;
    thread::scope(|scope| {
        let saying = scope.spawn(move || {
            from.write_all(&vec![7; BULK])?;
            from.shutdown(Shutdown::Write)
        });
        let mut received = Vec::new();
        to.read_to_end(&mut received).with_context(|| format!("receiving what the {end:?} says"))?;
        saying.join().map_err(|_| anyhow!("the sender panicked"))??;
        ensure!(received.len() == BULK, "{} of {BULK} bytes arrived", received.len());
        Ok(())
    })
}
