//! The images of the NICs: those that say something else than what is published, compiled before the first of them is
//! published. It must never publish. Called by `prepare`.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use sg_common::image::header;

use super::{AgentError, Numbers, inputs::Inputs, nic_block};
use crate::{
    compile::{Compiler, Image, ImageOptions},
    model::{Nic, Policy},
};

/// An image that is ready to be published, but for its generation.
pub(super) struct Compiled {
    pub(super) image: Image,
    /// Of the image but for its generation.
    pub(super) fingerprint: u64,
}

/// Which image comes of which input, as fingerprints. Images themselves are large, and not kept once they are
/// published.
pub(super) type Known = HashMap<u64, u64>;

/// Compiles images and tells them apart.
#[derive(Debug)]
pub(super) struct Images {
    budget_words: usize,
    /// Keyed at random: nobody can write a policy whose image looks like the one before it.
    hashes: RandomState,
    /// Of the policy in force.
    known: Known,
}

impl Images {
    pub(super) fn new(budget_words: usize) -> Self {
        Self { budget_words, hashes: RandomState::new(), known: Known::new() }
    }

    /// Begins with another policy.
    pub(super) fn batch<'a>(&'a self, policy: &'a Policy, numbers: &'a Numbers) -> Batch<'a> {
        Batch {
            images: self,
            numbers,
            inputs: Inputs::new(policy, numbers, &self.hashes),
            compiler: Compiler::new(policy),
            compiled: BTreeMap::new(),
            known: Known::new(),
        }
    }

    /// Remembers what is known of the policy that is in force now.
    pub(super) fn keep(&mut self, known: Known) {
        self.known = known;
    }

    /// Of an image but for its generation: one that says the same is not published again.
    fn fingerprint(&self, words: &[u64]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        for (place, word) in words.iter().enumerate().take(header::WORDS) {
            let word = if place == header::GENERATION_FLAGS { word >> 32 } else { *word };
            word.hash(&mut hasher);
        }
        words.get(header::WORDS..).hash(&mut hasher);
        hasher.finish()
    }
}

/// The images of one policy.
pub(super) struct Batch<'a> {
    images: &'a Images,
    numbers: &'a Numbers,
    inputs: Inputs<'a>,
    compiler: Compiler<'a>,
    compiled: BTreeMap<u16, Compiled>,
    known: Known,
}

impl Batch<'_> {
    /// The fingerprint of the image of `nic`. It is compiled where nobody knows what comes of it, or where it is
    /// to be `published` and is not.
    pub(super) fn fingerprint(
        &mut self,
        nic: &Nic,
        slot: u16,
        has_device: bool,
        published: Option<u64>,
    ) -> Result<u64, AgentError> {
        let input = self.inputs.fingerprint(nic, slot);
        let known = self.images.known.get(&input).copied();
        let fingerprint = match known.filter(|&known| !has_device || published == Some(known)) {
            Some(fingerprint) => fingerprint,
            None => self.compile(nic, slot)?,
        };
        self.known.insert(input, fingerprint);
        Ok(fingerprint)
    }

    fn compile(&mut self, nic: &Nic, slot: u16) -> Result<u64, AgentError> {
        // The generation is counted when it is known that there will be another.
        let options =
            ImageOptions { generation: 0, counters: nic_block(slot), budget_words: self.images.budget_words };
        let image =
            self.compiler.compile(nic, &options, &mut |decider| self.numbers.counter(slot, decider))?;
        let fingerprint = self.images.fingerprint(image.words());
        self.compiled.insert(slot, Compiled { image, fingerprint });
        Ok(fingerprint)
    }

    /// The images, by slot, and what is known of them and all others.
    pub(super) fn end(self) -> (BTreeMap<u16, Compiled>, Known) {
        (self.compiled, self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_everything_but_the_generation() {
        let images = Images::new(0);
        let words: Vec<u64> = (0..24).collect();
        let with = |place: usize, word: u64| {
            let mut words = words.clone();
            words[place] = word;
            images.fingerprint(&words)
        };
        let same = images.fingerprint(&words);
        assert_eq!(with(header::GENERATION_FLAGS, 77), same, "the generation");
        assert_ne!(with(header::GENERATION_FLAGS, 1 << 32), same, "the flags");
        for place in (0..24).filter(|&place| place != header::GENERATION_FLAGS) {
            assert_ne!(with(place, 99), same, "word {place}");
        }
    }
}
