//! Denials over kills of the agent: nothing is said twice, and what a killed agent had taken and not written is said to be lost.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{self, Attach, Lab};

use super::{
    floods,
    records::{RULES, lines, logged, slowly},
};
use crate::support::{scene::Role, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("denials_are_exact_over_kills", lab::missing(), denials_are_exact_over_kills);
}

fn denials_are_exact_over_kills(lab: Lab) -> Result<()> {
    let (scene, mut agent, log) = logged(lab, Attach::Tcx, Role::Host, RULES)?;
    let mut generator = floods::generator(&scene, 23)?;
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                sent += generator.send(2_000)?.packets;
                thread::sleep(Duration::from_millis(50));
            }
            anyhow::Ok(sent)
        });
        let kills = (0..3).try_for_each(|round| {
            // In the middle of an interval, or with a pass.
            thread::sleep(Duration::from_millis(3_300 + round * 850));
            agent.kill()?;
            thread::sleep(Duration::from_millis(300));
            agent.start_with(&log.arguments())
        });
        is_over.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow!("a thread panicked"))?;
        kills.and(sent)
    })?;
    let counted = agent.stats()?.default_of("ingress");
    ensure!(counted >= sent, "{counted} of {sent} were dropped");
    let lost = || {
        let mut records = log.records()?;
        records.retain(|record| record["event"] == "lost");
        anyhow::Ok(records)
    };
    slowly("nothing is missing but what is said to be", || {
        let reported = floods::denied(&log.records()?);
        ensure!(reported <= counted, "{reported} of {counted}: something was reported twice");
        Ok(reported == counted || !lost()?.is_empty())
    })
    .with_context(|| format!("{:?} of {counted}", log.records().map(|records| floods::denied(&records))))?;
    thread::sleep(Duration::from_secs(6));
    let (reported, lost) = (floods::denied(&log.records()?), lost()?);
    println!("{reported} of {counted} reported{}", lines(&lost));
    ensure!(reported == counted || reported < counted && !lost.is_empty(), "{reported} of {counted}");
    Ok(())
}
