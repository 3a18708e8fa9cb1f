//! The cost of policies whose rules overlap in every dimension: by shape and number of rules, the bytes of the image and the time
//! to compile it, which are figures; and its trees and the reads of a walk through it, which are printed.
//!
//! The rules are inbound and IPv4. `cargo bench -p sg-benches --bench families -- WORD` also prints those with WORD in their
//! names, such as `v6` or `acl/v4/egress`. Nothing is loaded into the kernel. Bytes, trees and reads are the same on every
//! machine. Times are the fastest of several rounds, of a packet the fastest of its own: the cost of a packet when everything
//! that it reads is in the cache. Not by criterion: three rounds are enough for a table of hundreds of policies.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    cell::Cell,
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use fastrand::Rng;
use sg_benches::{Figure, Plan, Samples, Unit};
use sg_check::CompiledNic;
use sg_common::{
    flow::packet_keys,
    image::{CLASS_WORDS, Keys, PARTITION_WORDS, Partition, Walk, Words, header},
    packet::{Parsed, parse},
};
use sg_model::{Direction, Family, Policy};
use sg_tests::generate::{Generator, Shape};

/// Numbers of rules, their names in figures, and whether a short run leaves them out.
const RULES: [(usize, &str, bool); 4] =
    [(100, "100", false), (1_000, "1k", false), (3_000, "3k", true), (10_000, "10k", true)];
/// The names that have figures.
const FIGURES: &str = "v4/ingress";

const PACKETS: usize = 512;

/// Of a compilation, and of each packet.
const ROUNDS: (u32, u32) = (3, 100);

/// As the kernel has the largest images.
type Largest = [u64; CLASS_WORDS[CLASS_WORDS.len() - 1]];

fn main() {
    let Some(plan) = Plan::from_env(&["family-bytes", "family-compile"]) else { return };
    // Cargo passes `--bench`.
    let word = env::args().skip(1).find(|word| !word.starts_with('-'));
    let word = word.as_deref().unwrap_or(FIGURES);
    println!("family                 rules      KiB  trees  reads  most  compiled (ms)  walk (ns)");
    for shape in Shape::ALL {
        for family in [Family::V4, Family::V6] {
            for direction in [Direction::Ingress, Direction::Egress] {
                let name = format!("{}/{family:?}/{direction:?}", shape.name()).to_lowercase();
                if !name.contains(word) {
                    continue;
                }
                for (rules, size, is_left_out) in RULES {
                    if plan.quick && is_left_out {
                        println!("{name:20} {rules:7} is left out of a short run");
                        continue;
                    }
                    let parts = shape.parts(&mut Rng::with_seed(1), direction, family, rules);
                    let policy = Policy::new(parts).expect("the parts are valid");
                    let compiled = Compiled::of(&policy);
                    println!("{name:20} {rules:7} {}", compiled.row(&policy, direction, family));
                    if name.ends_with(FIGURES) {
                        compiled.record(&plan, &format!("{}-{size}", shape.name()));
                    }
                }
            }
        }
    }
}

/// A policy's only NIC, and the time to compile it, in microseconds.
struct Compiled {
    nic: Option<CompiledNic>,
    took: Samples,
}

impl Compiled {
    fn of(policy: &Policy) -> Self {
        let (mut nic, mut took) = (None, Samples::default());
        for _ in 0..ROUNDS.0 {
            let begun = Instant::now();
            nic = CompiledNic::new(policy, &policy.nics()[0]).ok();
            took.push(begun.elapsed().as_secs_f64() * Unit::Microseconds.a_second());
        }
        Self { nic, took }
    }

    /// The figures for `name`; none if the image is over the budget.
    #[expect(clippy::cast_precision_loss, reason = "no image is as large")]
    fn record(&self, plan: &Plan, name: &str) {
        let Some(CompiledNic { image, .. }) = &self.nic else { return };
        let bytes = size_of_val(image.words()) as f64;
        for figure in [
            Figure::new(format!("family-bytes/{name}"), bytes, Unit::Bytes),
            Figure::new(format!("family-compile/{name}"), self.took.least(), Unit::Microseconds)
                .spread(self.took.spread()),
        ] {
            plan.record(&figure);
        }
    }

    fn row(&self, policy: &Policy, direction: Direction, family: Family) -> String {
        let milliseconds = self.took.least() / 1e3;
        match &self.nic {
            Some(CompiledNic { image, .. }) => {
                let root = header::ROOTS + direction as usize * 2 + family as usize;
                walked(image.words(), root, &packets(policy, direction), milliseconds)
            }
            None => format!("over the budget, {milliseconds:.1} ms"),
        }
    }
}

/// The rest of a row: of an image, and of the walk of these packets through it.
fn walked(image: &[u64], root: usize, packets: &[Keys], milliseconds: f64) -> String {
    let mut words = image.to_vec();
    words.resize(CLASS_WORDS[CLASS_WORDS.len() - 1], 0);
    let words: Box<Largest> = words.try_into().expect("the largest class");

    let trees = if Partition::from_word(words[root]).is_none() {
        1
    } else {
        let table = words[root] as u32 as usize;
        words[table..table + PARTITION_WORDS].iter().step_by(2).filter(|&&lowest| lowest != u64::MAX).count()
    };
    let reads = packets.iter().map(|keys| {
        let counted = Counted { words: &words, reads: Cell::new(0) };
        let _ = Walk::from(&counted, root).run(&counted, keys).expect("a sound image");
        counted.reads.get()
    });
    let reads: Vec<u32> = reads.collect();
    let walk = |keys: &Keys| {
        let once = || {
            let begun = Instant::now();
            black_box(Walk::from(&*words, root).run(&*words, black_box(keys)));
            begun.elapsed()
        };
        (0..ROUNDS.1).map(|_| once()).min().unwrap_or_default()
    };
    // The cost of reading the clock.
    let nothing = (0..1_000).map(|_| Instant::now().elapsed()).min().unwrap_or_default();
    let walks: Duration = packets.iter().map(walk).map(|took| took.saturating_sub(nothing)).sum();
    let of_packets = |sum: f64| sum / f64::from(packets.len() as u32);
    format!(
        "{:8} {trees:7} {:6.1} {:5} {milliseconds:14.1} {:10.1}",
        size_of_val(image) / 1024,
        of_packets(reads.iter().map(|&reads| f64::from(reads)).sum()),
        reads.iter().max().copied().unwrap_or(0),
        of_packets(walks.as_secs_f64() * 1e9),
    )
}

/// Packets that are aimed at rules and their edges.
fn packets(policy: &Policy, direction: Direction) -> Vec<Keys> {
    let probes = Generator::new(1).probes(policy, PACKETS * 3);
    let probes = probes.iter().filter(|probe| probe.direction() == direction);
    let keys = probes.filter_map(|probe| match parse(&&probe.frame(None)[..]) {
        Parsed::Packet(packet) => Some(packet_keys(direction, &packet)),
        _ => None,
    });
    keys.take(PACKETS).collect()
}

/// An image that counts the reads of a walk: one a node, one a word of a directory, two a tree of a partition.
struct Counted<'a> {
    words: &'a Largest,
    reads: Cell<u32>,
}

impl Words for Counted<'_> {
    fn word(&self, index: usize) -> u64 {
        self.reads.set(self.reads.get() + 1);
        self.words.word(index)
    }

    fn node_word(&self, node: usize, index: usize) -> u64 {
        // A node is one place, whatever is read of it.
        self.reads.set(self.reads.get() + u32::from(index == 0));
        self.words.node_word(node, index)
    }
}
