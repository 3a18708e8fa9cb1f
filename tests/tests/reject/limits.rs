//! As many senders are told as was agreed, and nobody learns from how many how often somebody else was.

use std::{
    net::{IpAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sg_tests::{
    lab::{Attach, Family, FrameSocket, Lab, Outcome, Service},
    packet::octets,
};

use crate::{
    reject::reply_sent::scene,
    support::{
        forwarding::{IPV4, IPV6},
        reject_wire::{Crafted, Kind},
        scene::{Client, Counted, Role, Server, Stranger, counts, question, web},
        suite::Suite,
    },
};

const UDP: Service = Service::Udp(81);
/// Rejects that a NIC sends at once, and one peer's share of them.
const BURST: u64 = 50;
const SHARE: u64 = BURST / 4;
/// How long the default rate takes to forget a burst, and a little more.
const FORGOTTEN: Duration = Duration::from_millis(60);

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "rejects_keep_to_their_rate", rejects_keep_to_their_rate);
    suite.over(&Attach::RECEIVED, "rejects_reveal_no_port", rejects_reveal_no_port);
}

fn rejects_keep_to_their_rate(lab: Lab, attach: Attach) -> Result<()> {
    const ASKED: u64 = 500;
    let rules = "ingress: [{ id: told, action: reject, protocol: udp, ports: 81 }]";
    let (scene, mut agent, _other) = scene(lab, attach, Role::Host, &web(Role::Host, rules))?;
    agent.stop()?;
    agent.start_with(&["--reject-rate", "1"])?;
    // The same frames in the name of one, and of a hundred.
    let ask = |names: u8| {
        let [client, server] = [Client, Server].map(|who| FrameSocket::open(scene.host(who), "eth0", IPV4));
        let (client, server) = (client?, server?);
        for number in 0..ASKED {
            let frame = Crafted {
                link: [server.address(), client.address()],
                source: IpAddr::from([10, 77, 1 + number as u8 % names, 2]),
                destination: Server.address(Family::V4),
                between: 0,
                kind: Kind::Datagram,
                ports: [4_000, 81],
            };
            client.send(&frame.bytes())?;
        }
        thread::sleep(FORGOTTEN);
        Ok(())
    };
    // Where a budget ends is drawn for each packet, and so is what a reject costs: between none and two.
    for (names, least, most) in [(1, SHARE / 3, SHARE * 2), (100, BURST / 2, BURST * 3 / 2)] {
        let before = agent.stats()?;
        ask(names)?;
        let after = agent.stats()?;
        let moved = |name: &str| after.reason(name) - before.reason(name);
        let (told, limited) = (moved("reject-sent"), moved("reject-rate-limited"));
        ensure!(
            (least..=most).contains(&told) && told + limited == ASKED,
            "{told} rejects sent, {limited} rate-limited"
        );
        ensure!(after.rule("told") - before.rule("told") == ASKED, "all of them were dropped");
    }

    agent.stop()?;
    agent.start_with(&["--reject-rate", "0"])?;
    counts(&agent, Counted::Reason("reject-sent"), 0..=0, || ask(100))?;
    let question = question(Client, Server, Family::V4, UDP);
    scene.puts(Client, &question, Outcome::Silent)
}

/// The attack of CVE-2020-25705: in the name of a resolver, to as many ports as there are rejects at once, and then one packet in
/// one's own. Where a port belongs to a flow with the resolver, its packet is not rejected, and one more reject is left.
///
/// What is compared is in how many of [`TRIES`] attempts the observer's own packets are rejected, how often: the greatest
/// difference between the two distributions is one where he knows at once, and below [`LEARNED`] in all but one of thousands of
/// runs where he learns nothing (Kolmogorov and Smirnov).
fn rejects_reveal_no_port(lab: Lab, attach: Attach) -> Result<()> {
    const TRIES: usize = 30;
    const LEARNED: f64 = 0.6;
    const PORT: u16 = 40_123;
    let policy = format!("default: reject\n{}", web(Role::Host, ""));
    let (scene, agent, _other) = scene(lab, attach, Role::Host, &policy)?;
    for family in Family::ALL {
        let kind = if family == Family::V4 { IPV4 } else { IPV6 };
        let observer = FrameSocket::open(scene.host(Client), "eth0", kind)?;
        let server = FrameSocket::open(scene.host(Server), "eth0", kind)?.address();
        let resolver = Stranger.address(family);
        let flow = scene.host(Server).inside(|| Ok(UdpSocket::bind((Server.address(family), PORT))?))?;
        let forged = |source, ports| Crafted {
            link: [server, observer.address()],
            source,
            destination: Server.address(family),
            between: 0,
            kind: Kind::Datagram,
            ports,
        };
        let attempt = |first: u16, spoofed: u64, others: u64, own: u16| -> Result<usize> {
            thread::sleep(FORGOTTEN);
            flow.send_to(b"question", (resolver, 53))?;
            for port in 0..spoofed as u16 {
                observer.send(&forged(resolver, [53, first + port]).bytes())?;
            }
            for other in 0..others {
                observer.send(&forged(another(resolver, other / 8), [53, 1]).bytes())?;
            }
            let mine: Vec<Crafted> =
                (0..own).map(|port| forged(Client.address(family), [999, 1 + port])).collect();
            for frame in &mine {
                observer.send(&frame.bytes())?;
            }
            let (start, patience) = (Instant::now(), FORGOTTEN / 4);
            let mut rejects = 0;
            let mut buffer = vec![0; 2_048];
            while let Some(received) = observer.next(patience.saturating_sub(start.elapsed()), &mut buffer)? {
                rejects += usize::from(mine.first().is_some_and(|frame| frame.is_rejected_by(received)));
            }
            Ok(rejects)
        };
        // The attack as it was published; then one that stays below the resolver's share, and uses the rest up in other names.
        for (spoofed, others, own) in [(BURST, 0, 1), (8, BURST - 11, 6)] {
            let mut seen = [const { Vec::new() }; 2];
            for _ in 0..TRIES {
                for (open, seen) in seen.iter_mut().enumerate() {
                    let first = if open == 0 { PORT - 200 } else { PORT - 3 };
                    seen.push(attempt(first, spoofed, others, own)?);
                }
            }
            let learned = difference(&seen);
            ensure!(
                learned < LEARNED,
                "{family}, {spoofed} in the resolver's name: {learned}: {seen:?}, {:?}",
                agent.stats()?
            );
        }
    }
    Ok(())
}

/// Another address of the same network.
fn another(address: IpAddr, number: u64) -> IpAddr {
    let mut octets = octets(&[address]);
    if let Some(last) = octets.last_mut() {
        *last = 100 + number as u8;
    }
    match <[u8; 4]>::try_from(&octets[..]) {
        Ok(v4) => v4.into(),
        Err(_) => <[u8; 16]>::try_from(&octets[..]).map_or(address, Into::into),
    }
}

/// The greatest difference between the shares of two samples that are not above a number.
fn difference(samples: &[Vec<usize>; 2]) -> f64 {
    let most = samples.iter().flatten().max().copied().unwrap_or(0);
    let number = |count: usize| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    let share = |sample: &[usize], most: usize| {
        number(sample.iter().filter(|&&seen| seen <= most).count()) / number(sample.len())
    };
    (0..=most).map(|most| (share(&samples[0], most) - share(&samples[1], most)).abs()).fold(0.0, f64::max)
}
