//! The engines over policies whose rules overlap in every dimension: their images are partitions.

use fastrand::Rng;
use sg_check::{CompiledNic, EngineKind};
use sg_common::image::{Partition, header};
use sg_model::{Direction, Family, Policy};
use sg_tests::generate::{Generator, Shape};

use super::engines::{self, Opponent};
use crate::support::runs::{AskedOf, COMPARED, Test};

pub(crate) const TESTS: &[Test] = &[("sizes_are_those_of_the_page", sizes)];
pub(crate) const ASKED: &[AskedOf] = &[("agrees_with_the_oracle", COMPARED, agrees)];

/// As many as make a partition of every shape.
const RULES: usize = 1_000;

/// A packet for each rule and more: half of them at an edge of one, or beside it.
const PROBES: usize = 1_500;

fn agrees(engine: EngineKind) {
    let seeds = if std::env::var_os("SG_DEEP").is_some() { 10 } else { 1 };
    for shape in Shape::ALL {
        for direction in [Direction::Ingress, Direction::Egress] {
            for family in [Family::V4, Family::V6] {
                let policies = (0..seeds).map(|seed| {
                    let parts = shape.parts(&mut Rng::with_seed(seed), direction, family, RULES);
                    let policy = Policy::new(parts.clone()).unwrap();
                    let what = format!("{} over {family:?}, {direction:?}, seed {seed}", shape.name());
                    assert!(is_partition(&policy, direction, family), "{what}: one tree holds it");
                    (seed, parts, Generator::new(seed).probes(&policy, PROBES))
                });
                if let Err(disagreement) = engines::over(Opponent::honest(engine), policies) {
                    panic!("{}, {direction:?}, {family:?}: {disagreement}", shape.name());
                }
            }
        }
    }
}

fn is_partition(policy: &Policy, direction: Direction, family: Family) -> bool {
    let image = CompiledNic::new(policy, &policy.nics()[0]).unwrap().image;
    let root = header::ROOTS + direction as usize * 2 + family as usize;
    Partition::from_word(image.words()[root]).is_some()
}

/// The same rules are the same bytes on every machine, so an image that grows shows in the page's table.
fn sizes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/design/image-format.md");
    let page = std::fs::read_to_string(page).unwrap();
    for shape in Shape::ALL {
        for (rules, written) in [(100, "100"), (RULES, "1,000")] {
            let parts = shape.parts(&mut Rng::with_seed(1), Direction::Ingress, Family::V4, rules);
            let policy = Policy::new(parts).unwrap();
            let image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
            let (row, size) = (format!("| {} {written} |", shape.name()), size_of_val(image.words()) / 1024);
            let row = page.lines().find(|line| line.starts_with(&row)).unwrap();
            assert!(row.contains(&format!("| {size} KiB |")), "{size} KiB, and the page says {row}");
        }
    }
}
