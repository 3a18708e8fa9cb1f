//! The images of the NICs: those that say something else than what is published, compiled before the first of them is
//! published. It must never publish. Called by `prepare`.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    thread::available_parallelism,
};

use sg_common::image::header;

use super::{AgentError, Numbers, inputs::Inputs, nic_block};
use crate::{
    compile::{Compiler, Image, ImageOptions},
    model::{Nic, Policy},
    workers,
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

/// A NIC whose image is asked for.
pub(super) struct Asked<'a> {
    pub(super) nic: &'a Nic,
    pub(super) slot: u16,
    /// Whether there is anything that its image could be for.
    pub(super) has_device: bool,
    /// The fingerprint of the image in force.
    pub(super) published: Option<u64>,
}

/// What is known of the images that were asked for.
pub(super) struct Answer {
    /// In the order in which they were asked for.
    pub(super) fingerprints: Vec<u64>,
    /// Those that are to be published, by slot.
    pub(super) compiled: BTreeMap<u16, Compiled>,
    pub(super) known: Known,
}

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

    /// The images of the NICs of `policy` that are to be published, and the fingerprints of all. One that cannot be
    /// compiled refuses all.
    pub(super) fn of(
        &self,
        policy: &Policy,
        numbers: &Numbers,
        asked: &[Asked<'_>],
    ) -> Result<Answer, AgentError> {
        let mut inputs = Inputs::new(policy, numbers, &self.hashes);
        let inputs: Vec<u64> = asked.iter().map(|asked| inputs.fingerprint(asked.nic, asked.slot)).collect();
        let mut fingerprints: Vec<Option<u64>> =
            asked.iter().zip(&inputs).map(|(asked, input)| self.known(asked, *input)).collect();
        let left: Vec<usize> = (0..asked.len()).filter(|&place| fingerprints[place].is_none()).collect();
        let processors = available_parallelism().map_or(1, usize::from);
        let images = workers::share(left.len(), processors, |jobs| {
            let mut compiler = Compiler::new(policy);
            jobs.map(|job| (job, self.compile(&mut compiler, numbers, &asked[left[job]]))).collect()
        });
        let mut compiled = BTreeMap::new();
        for (place, image) in left.into_iter().zip(images) {
            let image = image?;
            fingerprints[place] = Some(image.fingerprint);
            compiled.insert(asked[place].slot, image);
        }
        let fingerprints: Vec<u64> = fingerprints.into_iter().flatten().collect();
        let known = inputs.into_iter().zip(fingerprints.iter().copied()).collect();
        Ok(Answer { fingerprints, compiled, known })
    }

    /// The fingerprint of an image that need not be compiled: it is known what comes of the input, and it is published or
    /// has no device yet.
    fn known(&self, asked: &Asked<'_>, input: u64) -> Option<u64> {
        let known = self.known.get(&input).copied();
        known.filter(|&known| !asked.has_device || asked.published == Some(known))
    }

    fn compile(
        &self,
        compiler: &mut Compiler<'_>,
        numbers: &Numbers,
        asked: &Asked<'_>,
    ) -> Result<Compiled, AgentError> {
        let &Asked { nic, slot, .. } = asked;
        // The generation is counted when it is known that there will be another.
        let options =
            ImageOptions { generation: 0, counters: nic_block(slot), budget_words: self.budget_words };
        let image = compiler.compile(nic, &options, &mut |decider| numbers.counter(slot, decider))?;
        let fingerprint = self.fingerprint(image.words());
        Ok(Compiled { image, fingerprint })
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
