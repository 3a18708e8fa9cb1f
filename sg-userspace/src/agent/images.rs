//! The images of the NICs: those that say something else than what is published, compiled before the first of them is
//! published. It must never publish. Called by `prepare`.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
    thread::available_parallelism,
};

use sg_common::image::header;

use super::{
    AgentError, Numbers,
    image_cache::{Entry, Kept},
    inputs::{Inputs, Sums},
    nic_block,
};
use crate::{
    compile::{Compiler, Image, ImageOptions, Patch, Patchable},
    model::{Nic, Policy},
    workers,
};

/// An image that is ready to be published, but for its generation.
pub(super) struct Compiled {
    change: Change,
    /// The fingerprint of what it was made of.
    input: u64,
    /// Of the image but for its generation.
    pub(super) fingerprint: u64,
}

/// How an image is made.
enum Change {
    /// It is there.
    Whole(Image),
    /// Out of the one in force.
    Patch(Patch),
}

impl Compiled {
    pub(super) fn set_generation(&mut self, generation: u32) {
        match &mut self.change {
            Change::Whole(image) => image.set_generation(generation),
            Change::Patch(patch) => patch.set_generation(generation),
        }
    }
}

/// An image on its way to be published.
pub(super) struct Leaving {
    pub(super) slot: u16,
    /// What has been done to the one in force, where that is enough.
    pub(super) patch: Option<Patch>,
    entry: Entry,
}

impl Leaving {
    /// All of it.
    pub(super) fn image(&self) -> &Image {
        self.entry.patchable.image()
    }

    pub(super) const fn fingerprint(&self) -> u64 {
        self.entry.fingerprint
    }
}

/// What is known of the images of one policy.
#[derive(Debug, Default)]
pub(super) struct KnownImages {
    /// Which image comes of which input, as fingerprints. Few images are kept once they are published.
    by_input: HashMap<u64, u64>,
    sums: Sums,
}

/// What sets the fingerprints of patched images apart.
const PATCHED: u64 = 0x7061_7463_6865_6421;

/// A NIC whose image is asked for.
pub(super) struct ImageRequest<'a> {
    pub(super) nic: &'a Nic,
    pub(super) slot: u16,
    /// Whether there is anything that its image could be for.
    pub(super) has_device: bool,
    /// The fingerprint of the image in force.
    pub(super) published: Option<u64>,
}

/// What is known of the images that were asked for.
pub(super) struct PreparedImages {
    /// In the order in which they were asked for.
    pub(super) fingerprints: Vec<u64>,
    /// Those that are to be published, by slot.
    pub(super) compiled: BTreeMap<u16, Compiled>,
    pub(super) known: KnownImages,
}

/// Compiles images and tells them apart.
#[derive(Debug)]
pub(super) struct Images {
    budget_words: usize,
    /// Keyed at random: nobody can write a policy whose image looks like the one before it.
    hashes: RandomState,
    /// Of the policy in force.
    known: KnownImages,
    kept: Kept,
}

impl Images {
    pub(super) fn new(budget_words: usize) -> Self {
        Self {
            budget_words,
            hashes: RandomState::new(),
            known: KnownImages::default(),
            kept: Kept::default(),
        }
    }

    /// The images of the NICs of `policy` that are to be published, and the fingerprints of all. One that cannot be
    /// compiled refuses all.
    pub(super) fn of(
        &mut self,
        policy: &Policy,
        numbers: &Numbers,
        asked: &[ImageRequest<'_>],
    ) -> Result<PreparedImages, AgentError> {
        let before = self.kept.policy.clone();
        let before = before.as_deref().map(|before| (before, &self.known.sums));
        let mut reading = Inputs::new(policy, numbers, &self.hashes, before);
        let inputs: Vec<u64> = asked.iter().map(|asked| reading.fingerprint(asked.nic, asked.slot)).collect();
        let sums = reading.into_sums();
        let mut fingerprints: Vec<Option<u64>> =
            asked.iter().zip(&inputs).map(|(asked, input)| self.known(asked, *input)).collect();
        let mut compiled = BTreeMap::new();
        for ((asked, &input), fingerprint) in asked.iter().zip(&inputs).zip(&mut fingerprints) {
            if fingerprint.is_none()
                && let Some(patch) = self.patch(policy, numbers, asked)
            {
                // What a patch makes is like nothing that is compiled; but what says the same stays the same.
                let said = if patch.is_empty() { asked.published } else { None };
                let found = said.unwrap_or_else(|| self.hashes.hash_one((PATCHED, input)));
                *fingerprint = Some(found);
                compiled
                    .insert(asked.slot, Compiled { change: Change::Patch(patch), input, fingerprint: found });
            }
        }
        let left: Vec<usize> = (0..asked.len()).filter(|&place| fingerprints[place].is_none()).collect();
        let processors = available_parallelism().map_or(1, usize::from);
        let images = workers::parallel_map(left.len(), processors, |jobs| {
            let mut compiler = Compiler::new(policy);
            let compile = |job: usize| {
                let place = left[job];
                (job, self.compile(&mut compiler, numbers, &asked[place], inputs[place]))
            };
            jobs.map(compile).collect()
        });
        for (place, image) in left.into_iter().zip(images) {
            let image = image?;
            fingerprints[place] = Some(image.fingerprint);
            compiled.insert(asked[place].slot, image);
        }
        let fingerprints: Vec<u64> = fingerprints.into_iter().flatten().collect();
        let by_input = inputs.into_iter().zip(fingerprints.iter().copied()).collect();
        Ok(PreparedImages { fingerprints, compiled, known: KnownImages { by_input, sums } })
    }

    /// The fingerprint of an image that need not be compiled: it is known what comes of the input, and it is published or
    /// has no device yet.
    fn known(&self, asked: &ImageRequest<'_>, input: u64) -> Option<u64> {
        let known = self.known.by_input.get(&input).copied();
        known.filter(|&known| !asked.has_device || asked.published == Some(known))
    }

    fn patch(&mut self, policy: &Policy, numbers: &Numbers, asked: &ImageRequest<'_>) -> Option<Patch> {
        let &ImageRequest { nic, slot, published, .. } = asked;
        let was = |input| self.known.by_input.get(&input).copied();
        let options = self.options(slot);
        let number = &mut |decider| numbers.counter(slot, decider);
        self.kept.patch((slot, published), was, (policy, nic), &options, number)
    }

    /// The generation is counted when it is known that there will be another.
    fn options(&self, slot: u16) -> ImageOptions {
        ImageOptions { generation: 0, counters: nic_block(slot), budget_words: self.budget_words }
    }

    fn compile(
        &self,
        compiler: &mut Compiler<'_>,
        numbers: &Numbers,
        asked: &ImageRequest<'_>,
        input: u64,
    ) -> Result<Compiled, AgentError> {
        let &ImageRequest { nic, slot, .. } = asked;
        let number = &mut |decider| numbers.counter(slot, decider);
        let image = compiler.compile(nic, &self.options(slot), number)?;
        let fingerprint = self.fingerprint(image.words());
        Ok(Compiled { change: Change::Whole(image), input, fingerprint })
    }

    /// Makes what is to be published of a slot's image. What is in force of it is nothing to go on with from here until
    /// [`Self::arrived`]. None where it was a patch of an image that is not kept.
    pub(super) fn leave(&mut self, slot: u16, compiled: Compiled) -> Option<Leaving> {
        let kept = self.kept.take(slot);
        let Compiled { change, input, fingerprint } = compiled;
        let (patchable, patch) = match change {
            Change::Whole(image) => (Patchable::new(image), None),
            Change::Patch(patch) => {
                let mut patchable = kept?.patchable;
                patchable.apply(&patch);
                (patchable, Some(patch))
            }
        };
        Some(Leaving { slot, patch, entry: Entry { patchable, input, fingerprint } })
    }

    /// Remembers an image that is in force now.
    pub(super) fn arrived(&mut self, leaving: Leaving) {
        self.kept.put(leaving.slot, leaving.entry);
    }

    /// Forgets the image of a slot that is not in force any more.
    pub(super) fn forget(&mut self, slot: u16) {
        self.kept.take(slot);
    }

    /// Remembers the policy that is in force now, and what is known of it. `left` was made for it, and was not published.
    pub(super) fn keep(&mut self, policy: Arc<Policy>, known: KnownImages, left: BTreeMap<u16, Compiled>) {
        self.known = known;
        for (slot, Compiled { input, fingerprint, .. }) in left {
            // What is in force says the same.
            self.kept.renew(slot, fingerprint, input);
        }
        self.kept.policy = Some(policy);
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
