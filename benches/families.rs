//! What policies whose rules overlap in every dimension cost: by family, direction and number of rules, the words of the
//! image, the longest walk, and the time to compile.
use std::time::Instant;

use fastrand::Rng;
use sg_benches::of_direction;
use sg_common::image::{Keys, Walk, header, service_key};
use sg_tests::generate::Shape;
use sg_userspace::{check::CompiledNic, model::Direction};

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let most: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    for shape in Shape::ALL {
        if only.starts_with("-") || !shape.name().contains(&only) { continue }
        for direction in [Direction::Ingress, Direction::Egress] {
            for count in [100, 1_000, 3_000, 10_000] {
                if count > most { continue }
                let rules = shape.rules(&mut Rng::with_seed(1), direction, count);
                let policy = of_direction(direction, rules);
                let begun = Instant::now();
                let compiled = CompiledNic::new(&policy, &policy.nics()[0]);
                let took = begun.elapsed();
                let size = compiled.map_or("over".to_owned(), |c| format!("{} KiB", c.image.words().len() / 128));
                println!("{} {direction:?} {count}: {size} {took:?}", shape.name());
            }
        }
    }
}
