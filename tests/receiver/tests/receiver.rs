//! Raw frames through the filter, judged by those who receive them. See `docs/design/receiver.md`.

use std::{env, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use sg_receiver::{
    combination::Combination,
    lab::{Binaries, Entered, Lab},
    run::{Plan, Run},
    tally::Tally,
};

/// Frames of the test command, over all combinations.
const FRAMES: u64 = 500_000;
/// Frames of one run: longer ones are several, so that no table fills up that the filter or the kernel keeps.
const ROUND: u64 = 1_000_000;
/// Kinds of cases of which some arrive behind every filter.
const ARRIVING: [&str; 8] = [
    "whole",
    "options",
    "extension headers",
    "fragments",
    "atomic fragment",
    "replies",
    "neighbour discovery",
    "errors",
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let entered = if arguments.list {
        Entered::LeftOut("to be run")
    } else if env::var_os("SG_BIN_DIR").is_none() {
        // `cargo xtask test` builds them and says where they are; a plain `cargo test` need not have them.
        Entered::LeftOut("SG_BIN_DIR, the directory of sgd and sgctl")
    } else {
        Lab::enter()?
    };
    let plan = plan()?;
    let trials = Combination::all().into_iter().map(|combination| match entered {
        Entered::Inside(lab) => Trial::test(combination.to_string(), move || {
            judged(lab, combination, plan).map_err(|error| Failed::from(format!("{error:?}")))
        }),
        Entered::LeftOut(why) => {
            Trial::test(combination.to_string(), move || Err(format!("left out: needs {why}").into()))
                .with_ignored_flag(true)
        }
    });
    Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code())
}

fn number(name: &str) -> Result<Option<u64>> {
    let text = env::var(name).ok();
    text.map(|text| text.parse().with_context(|| format!("{name}={text} is no number"))).transpose()
}

fn plan() -> Result<Plan> {
    let all = number("SG_RECEIVER_FRAMES")?.unwrap_or(FRAMES);
    Ok(Plan {
        seed: number("SG_RECEIVER_SEED")?.unwrap_or(1),
        frames: all.div_ceil(Combination::all().len() as u64),
        round: 0,
        only: number("SG_RECEIVER_CASE")?,
        first: env::var_os("SG_RECEIVER_FIRST").is_some(),
    })
}

fn judged(lab: Lab, combination: Combination, plan: Plan) -> Result<()> {
    Binaries::find()?;
    let mut left = plan.frames;
    for round in 0.. {
        let tally = Run::under(lab, combination, Plan { frames: left.min(ROUND), round, ..plan })?;
        println!("{combination}: {tally}");
        if plan.only.is_some() {
            return Ok(());
        }
        verdict(&tally)?;
        left = left.saturating_sub(tally.frames);
        if left == 0 {
            break;
        }
    }
    Ok(())
}

fn verdict(tally: &Tally) -> Result<()> {
    if !tally.findings.is_empty() {
        let texts: Vec<_> = tally.findings.iter().map(|finding| finding.text.as_str()).collect();
        bail!("{} kinds of cases went wrong:\n{tally}\n\n{}", tally.wrong.len(), texts.join("\n"));
    }
    // The queues of the stacks hold a batch, so hardly anything is lost. More is a filter that blocks for what other cases left
    // behind.
    let most = 2 + tally.cases / 10_000;
    ensure!(
        tally.lost <= most,
        "of {} cases {} lost something that they did not lose alone",
        tally.cases,
        tally.lost
    );
    ensure!(tally.delivered.iter().all(|&delivered| delivered > 0), "nothing arrived in one family");
    for story in ARRIVING {
        ensure!(tally.stories.get(story).is_some_and(|&arrived| arrived > 0), "nothing arrived of `{story}`");
    }
    ensure!(tally.connections > 0, "no connection came about before its rule was taken");
    ensure!(
        tally.forbidden.iter().all(|&forbidden| forbidden > 0),
        "nothing was to be kept out in one family"
    );
    Ok(())
}
