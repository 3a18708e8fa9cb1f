//! Denials over kills of the agent: nothing is said twice, and what a killed agent had taken and not written is said to be lost.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{self, Attach, Lab, slowly};

use super::{
    floods,
    records::{RULES, logged, lost},
};
use crate::support::{scene::Role, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("denials_are_exact_over_kills", lab::missing(), denials_are_exact_over_kills);
}

/// Packets that are sent at once.
const BURST: u32 = 2_000;

fn denials_are_exact_over_kills(lab: Lab) -> Result<()> {
    let (scene, mut agent, log) = logged(lab, Attach::Tcx, Role::Host, RULES)?;
    let before = agent.stats()?.default_of("ingress");
    let mut generator = floods::generator(&scene, 23)?;
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let unreported = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            while !is_over.load(Relaxed) {
                sent.fetch_add(generator.send(BURST)?.packets, Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
            anyhow::Ok(())
        });
        // What was sent and is in no record when the agent is killed: of that, it may have taken any.
        let kills = (0..3).try_fold(0, |_, round| {
            // In the middle of an interval, or with a pass.
            thread::sleep(Duration::from_millis(2_300 + round * 850));
            agent.kill()?;
            let sent = before + sent.load(Relaxed) + u64::from(BURST);
            let reported = floods::denied(&log.records()?);
            thread::sleep(Duration::from_millis(300));
            agent.start_with(&log.arguments())?;
            anyhow::Ok(sent.saturating_sub(reported))
        });
        // As much again, of which nothing may be missing.
        thread::sleep(Duration::from_secs(8));
        is_over.store(true, Relaxed);
        sending.join().map_err(|_| anyhow!("a thread panicked"))??;
        kills
    })?;
    let (sent, counted) = (sent.into_inner(), agent.stats()?.default_of("ingress"));
    ensure!(counted - before == sent, "{} of {sent} were dropped", counted - before);
    let told = || {
        let records = log.records()?;
        anyhow::Ok((floods::denied(&records), lost(&records)))
    };
    let is_complete = || {
        let (reported, lost) = told()?;
        ensure!(reported <= counted, "{reported} of {counted}: something was reported twice");
        let missing = counted - reported;
        Ok(missing == 0 || missing <= unreported && lost > 0)
    };
    let told =
        || told().map(|(reported, lost)| format!("{reported} of {counted} reported, {lost} reports lost"));
    slowly("nothing is missing but what is said to be", is_complete)
        .with_context(|| format!("{:?}; {unreported} may be missing", told()))?;
    thread::sleep(Duration::from_secs(6));
    println!("{}; {unreported} may be missing", told()?);
    ensure!(is_complete()?, "it changed afterwards: {}", told()?);
    Ok(())
}
