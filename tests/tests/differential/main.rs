//! Engines against the oracle, over random policies and probes aimed at the edges of their rules.
//!
//! A failure prints the seed, the probe and the smallest policy that was found to show it. `SG_DEEP=1` runs
//! more than a million probes.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

mod compare;
mod planted;

use compare::{Opponent, Size};
use sg_userspace::check::EngineKind;

fn agrees(engine: EngineKind) {
    let size = Size::from_environment();
    match compare::run(Opponent::honest(engine), size) {
        Ok(probes) => println!("{engine} agreed with the oracle on {probes} probes"),
        Err(disagreement) => panic!("{disagreement}"),
    }
}

/// Of the comparison itself: the oracle agrees with the oracle.
#[test]
fn the_oracle_agrees_with_itself() {
    let size = Size { policies: 50, probes: 100 };
    assert_eq!(compare::run(Opponent::honest(EngineKind::Oracle), size).unwrap(), 5_000);
}

#[test]
fn the_image_agrees_with_the_oracle() {
    agrees(EngineKind::Image);
}

#[test]
fn planted_bugs_are_caught_in_the_oracle() {
    planted::are_caught(EngineKind::Oracle);
}

#[test]
fn planted_bugs_are_caught_in_the_image() {
    planted::are_caught(EngineKind::Image);
}
