//! The images of all NICs, compiled before the first of them is published, and telling whether one says
//! anything new. It must never publish. Called by `reconcile`.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use sg_common::image::header;

use super::{AgentError, Catalog, Numbers, nic_block};
use crate::{
    compile::{Image, ImageOptions, compile},
    model::Policy,
};

/// An image that is ready to be published.
pub(super) struct Compiled {
    pub(super) image: Image,
    pub(super) generation: u32,
    /// Of the image but for its generation.
    pub(super) fingerprint: u64,
}

/// Compiles images and tells them apart.
#[derive(Debug)]
pub(super) struct Images {
    budget_words: usize,
    /// Keyed at random: nobody can write a policy whose image looks like the one before it.
    hashes: RandomState,
}

impl Images {
    pub(super) fn new(budget_words: usize) -> Self {
        Self { budget_words, hashes: RandomState::new() }
    }

    /// The image of each NIC, by slot; `slots` are in the order of the policy's NICs. One that cannot be
    /// compiled refuses all.
    pub(super) fn compile_all(
        &self,
        policy: &Policy,
        slots: &[u16],
        numbers: &Numbers,
        catalog: &Catalog,
    ) -> Result<BTreeMap<u16, Compiled>, AgentError> {
        let mut all = BTreeMap::new();
        for (nic, &slot) in policy.nics().iter().zip(slots) {
            let last = catalog.nic(&nic.device).map_or(0, |record| record.generation);
            let generation = last.wrapping_add(1);
            let options =
                ImageOptions { generation, counters: nic_block(slot), budget_words: self.budget_words };
            let image = compile(policy, nic, &options, &mut |decider| numbers.counter(slot, decider))?;
            let fingerprint = self.fingerprint(image.words());
            all.insert(slot, Compiled { image, generation, fingerprint });
        }
        Ok(all)
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
