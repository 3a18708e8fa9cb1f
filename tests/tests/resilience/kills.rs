//! `kill -9` at any moment, while traffic flows and the policy changes.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Attach, Lab};

use crate::{
    amount,
    support::{
        background_traffic::{BackgroundTraffic, OPEN, SHUT},
        scene::{Role, filtered, web},
        suite::Suite,
    },
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("lose_nothing_and_open_nothing", lose_nothing_and_open_nothing);
}

/// The policy number `n`: all of them accept and refuse the same, in images that differ.
fn policy(n: u64) -> String {
    web(
        Role::Host,
        &format!(
            "
ingress:
  - {{ id: open, protocol: all, priority: 2, remote: 10.77.0.0/24 }}
  - {{ id: open-v6, protocol: udp, priority: 2, ports: {OPEN} }}
  - {{ id: shut-tcp, action: drop, protocol: tcp, ports: {SHUT} }}
  - {{ id: shut-udp, action: drop, protocol: udp, ports: {SHUT} }}
  - {{ id: other, action: drop, protocol: tcp, ports: {} }}
egress:
  - {{ id: nothing-out, action: drop, protocol: all }}
",
            1000 + n % 1000
        ),
    )
}

fn lose_nothing_and_open_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(20_260);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy(0))?;
    agent.kill()?;
    let start = Instant::now();
    agent.start_again()?;
    let to_ready = start.elapsed();

    let counted = agent.stats()?.rule("open");
    let meanwhile = BackgroundTraffic::begin(&scene)?;
    let mut longest = Duration::ZERO;
    for kill in 0..amount(12, 200) {
        let start = Instant::now();
        agent.kill()?;
        longest = longest.max(start.elapsed());
        if random.bool() {
            agent.hand(&policy(random.u64(..)))?;
        }
        // Some are killed while they start, some when they are ready and a change is on its way.
        agent.launch()?;
        thread::sleep(to_ready.mul_f64(random.f64() * 1.5));
        for _ in 0..random.u32(..4) {
            agent.hand(&policy(random.u64(..)))?;
            thread::sleep(Duration::from_millis(random.u64(..30)));
        }
        // Seen from the next start: the one that is killed did not complain of what it found.
        let complaints = agent.complaints();
        ensure!(
            !complaints.contains("starting afresh") && !complaints.contains("ERROR"),
            "run {kill} did not adopt what it found:\n{complaints}"
        );
    }
    agent.kill()?;
    agent.start_again().context("after the last kill")?;
    let exchanged = meanwhile.end()?;
    agent.apply(&policy(1)).context("the last policy")?;
    let counts = agent.stats()?.rule("open");
    ensure!(
        counts >= counted + exchanged.messages / 5,
        "the rule counted {counted} packets, then {exchanged}, and it counts {counts} now"
    );
    if amount(false, true) {
        println!(
            "{attach}: {} kills, ready in {to_ready:?}, gone in {longest:?} at most: {exchanged}",
            amount(12, 200)
        );
    }
    Ok(())
}
