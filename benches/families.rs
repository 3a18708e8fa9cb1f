//! What policies cost whose rules overlap in every dimension: by family, direction and number of rules, the bytes of the
//! image, its graphs, the reads of a walk through it, and the time to compile it.
//!
//! `cargo bench -p sg-benches --bench families [-- WORD]`, where WORD is part of the names that are wanted. Nothing is
//! loaded into the kernel. Bytes, graphs and reads are the same on every machine. Times are the fastest of several
//! rounds, of a packet the fastest of its own: what a packet costs when all that it reads is in the cache.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    cell::Cell,
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use fastrand::Rng;
use sg_common::{
    flow::packet_keys,
    image::{CLASS_WORDS, FOREST_WORDS, Forest, Keys, Walk, Words, header},
    packet::{Parsed, parse},
};
use sg_tests::generate::{Generator, Shape};
use sg_userspace::{
    check::CompiledNic,
    model::{Direction, Family, Policy},
};

const RULES: [usize; 4] = [100, 1_000, 3_000, 10_000];

const PACKETS: usize = 512;

/// Of a compilation, and of each packet.
const ROUNDS: (u32, u32) = (3, 100);

/// As the kernel has the largest images.
type Largest = [u64; CLASS_WORDS[CLASS_WORDS.len() - 1]];

fn main() {
    // Cargo says that this is a benchmark.
    let wanted = env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    println!("family                 rules      KiB  graphs  reads  most  compiled (ms)  walk (ns)");
    for shape in Shape::ALL {
        for family in [Family::V4, Family::V6] {
            for direction in [Direction::Ingress, Direction::Egress] {
                for rules in RULES {
                    let name = format!("{}/{family:?}/{direction:?}", shape.name()).to_lowercase();
                    if name.contains(&wanted) {
                        let parts = shape.parts(&mut Rng::with_seed(1), direction, family, rules);
                        let policy = Policy::new(parts).expect("the parts are valid");
                        println!("{name:20} {rules:7} {}", figures(&policy, direction, family));
                    }
                }
            }
        }
    }
}

fn figures(policy: &Policy, direction: Direction, family: Family) -> String {
    let nic = &policy.nics()[0];
    let mut fastest = Duration::MAX;
    let mut compiled = None;
    for _ in 0..ROUNDS.0 {
        let begun = Instant::now();
        compiled = CompiledNic::new(policy, nic).ok();
        fastest = fastest.min(begun.elapsed());
    }
    let milliseconds = fastest.as_secs_f64() * 1e3;
    let Some(CompiledNic { image, .. }) = compiled else {
        return format!("over the budget, {milliseconds:.1} ms");
    };
    let size = size_of_val(image.words());
    let mut words = image.words().to_vec();
    words.resize(CLASS_WORDS[CLASS_WORDS.len() - 1], 0);
    let words: Box<Largest> = words.try_into().expect("the largest class");

    let root = header::ROOTS + direction as usize * 2 + family as usize;
    let graphs = if Forest::from_word(words[root]).is_none() {
        1
    } else {
        let table = words[root] as u32 as usize;
        words[table..table + FOREST_WORDS].iter().step_by(2).filter(|&&lowest| lowest != u64::MAX).count()
    };
    let packets = packets(policy, direction);
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
    // What the clock itself takes.
    let nothing = (0..1_000).map(|_| Instant::now().elapsed()).min().unwrap_or_default();
    let walks: Duration = packets.iter().map(walk).map(|took| took.saturating_sub(nothing)).sum();
    let of_packets = |sum: f64| sum / f64::from(packets.len() as u32);
    format!(
        "{:8} {graphs:7} {:6.1} {:5} {milliseconds:14.1} {:10.1}",
        size / 1024,
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

/// An image that counts the reads of a walk: one a node, one a word of a directory, two a graph of a forest.
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
        // Behind each node a word is read, and that is counted.
        self.words.node_word(node, index)
    }
}
