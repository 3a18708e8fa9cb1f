//! Two things that an image must be, by the lowest bit of the input's first byte (the next bit asks for a policy's
//! image twice):
//!
//! - 0: any words are an image that gives a decision or none, in bounded time, and gives the same whether it is
//!   read as the kernel reads it or as hosts do.
//! - 1: an image of a policy says of every probe what the rules as written say. Policy and probes are made of
//!   the bytes.

#![no_main]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a target reports")]

mod policy;

use libfuzzer_sys::fuzz_target;
use sg_check::{CompiledNic, Engine, ImageEngine, OracleEngine};
use sg_common::{
    image::{DIMENSIONS, Header, Keys, Walk, Words, header},
    verdict::Decision,
};
use sg_compile::LARGEST_WORDS;
use sg_model::Policy;
use sg_probe::Probe;

use policy::Source;

const PROBES: usize = 48;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first & 1 == 0 {
        any_words(rest);
    } else {
        any_policy(rest, first & 2 != 0);
    }
});

fn any_words(bytes: &[u8]) {
    let mut words =
        bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    let keys = Keys::from(std::array::from_fn(|_| words.next().unwrap_or(0)));
    let image: Vec<u64> = words.collect();
    let decisions = read(&image[..], &keys);
    assert_eq!(decisions, read(&image[..], &keys), "the same words twice");
    match image.len() {
        5..=8 => assert_eq!(decisions, read(&padded::<8>(&image), &keys)),
        9..=16 => assert_eq!(decisions, read(&padded::<16>(&image), &keys)),
        17..=32 => assert_eq!(decisions, read(&padded::<32>(&image), &keys)),
        33..=64 => assert_eq!(decisions, read(&padded::<64>(&image), &keys)),
        65..=128 => assert_eq!(decisions, read(&padded::<128>(&image), &keys)),
        _ => {}
    }
    assert_eq!(
        Header::read(&image[..]).is_some(),
        image.first() == Some(&Header::magic_version()),
        "the version is not asked"
    );
}

/// What the header says, and every walk that the datapath can start.
fn read<I: Words + ?Sized>(image: &I, keys: &Keys) -> (Option<Header>, [Option<Decision>; header::WORDS]) {
    let walks = std::array::from_fn(|root| Walk::from(image, root).run(image, keys));
    (Header::read(image), walks)
}

/// As the kernel has it: the rest of the map's value is zero.
fn padded<const N: usize>(image: &[u64]) -> [u64; N] {
    std::array::from_fn(|index| image.get(index).copied().unwrap_or(0))
}

fn any_policy(bytes: &[u8], twice: bool) {
    let mut source = Source::new(bytes);
    let parts = source.parts();
    let policy = match Policy::new(parts) {
        Ok(policy) => policy,
        Err(error) => panic!("the target made an invalid policy: {error}"),
    };
    check_images(&policy, twice);
    let (mut oracle, mut image) = (OracleEngine::new(&policy), ImageEngine::new(&policy));
    for _ in 0..PROBES {
        let Some(probe) = source.probe() else { break };
        compare(&policy, &mut oracle, &mut image, &probe);
    }
}

/// The same policy gives the same words, which fit, and whose walks end for keys that no packet has too.
fn check_images(policy: &Policy, twice: bool) {
    for nic in policy.nics() {
        let compiled = CompiledNic::new(policy, nic).unwrap_or_else(|error| panic!("{error}"));
        if twice {
            let again = CompiledNic::new(policy, nic).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(compiled.image, again.image, "the same policy twice");
        }
        let words = compiled.image.words();
        assert!(words.len() <= LARGEST_WORDS && words.len().is_multiple_of(8));
        for key in [0, 1, u64::from(u32::MAX), 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
            let keys = Keys::from([key; DIMENSIONS]);
            for root in header::ROOTS..header::ALLOWED_SOURCES + 2 {
                assert!(Walk::from(words, root).run(words, &keys).is_some(), "root {root}, key {key:#x}");
            }
        }
    }
}

fn compare(policy: &Policy, oracle: &mut OracleEngine<'_>, image: &mut ImageEngine<'_>, probe: &Probe) {
    let check = |engine: &mut dyn Engine| engine.check(probe).unwrap_or_else(|error| panic!("{error}"));
    let (wanted, found) = (check(oracle), check(image));
    assert_eq!(
        found,
        wanted,
        "{probe} over {}: the rules say {}, the image says {}",
        policy.nics()[probe.nic()].device,
        wanted.written(policy),
        found.written(policy)
    );
}
