//! The images of the NICs: compiles those that differ from what is published, before the first of them is published. It must
//! never publish. Called by `prepare`.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
    thread::available_parallelism,
};

use sg_common::image::{flags, header};
use sg_compile::{Compiler, Image, ImageOptions, Patch, Patchable};
use sg_host::parallel;
use sg_model::{Nic, Policy};
use sha2::{Digest as _, Sha256};

use super::{
    candidate::ImageDigest,
    image_cache::{Entry, Kept},
    inputs::{Inputs, Sums},
};
use crate::{
    error::AgentError,
    host::numbers::{Numbers, nic_block},
};

/// An image that is ready to be published, except for its generation.
pub(crate) struct Compiled {
    change: Change,
    /// The fingerprint of its input.
    input: u64,
    /// The fingerprint of the image without its generation.
    pub(crate) fingerprint: u64,
}

/// How an image is produced.
enum Change {
    /// Compiled as a whole.
    Whole(Image),
    /// By patching the one in force.
    Patch(Patch),
}

impl Compiled {
    /// The image, if it was compiled as a whole.
    pub(crate) const fn whole(&self) -> Option<&Image> {
        match &self.change {
            Change::Whole(image) => Some(image),
            Change::Patch(_) => None,
        }
    }

    pub(crate) fn set_generation(&mut self, generation: u32) {
        match &mut self.change {
            Change::Whole(image) => image.set_generation(generation),
            Change::Patch(patch) => patch.set_generation(generation),
        }
    }
}

/// An image that is being published.
pub(crate) struct Leaving {
    pub(crate) slot: u16,
    /// The patch to apply to the image in force, if that is enough.
    pub(crate) patch: Option<Patch>,
    entry: Entry,
}

impl Leaving {
    /// The whole image.
    pub(crate) fn image(&self) -> &Image {
        self.entry.patchable.image()
    }

    pub(crate) const fn fingerprint(&self) -> u64 {
        self.entry.fingerprint
    }
}

/// What is known of the images of one policy.
#[derive(Debug, Default)]
pub(crate) struct KnownImages {
    /// The image that each input gives, as fingerprints. Few images are kept once they are published.
    by_input: HashMap<u64, u64>,
    sums: Sums,
}

/// Keeps the fingerprints of patched images apart from those of compiled ones.
const PATCHED: u64 = 0x7061_7463_6865_6421;

/// A NIC whose image is requested.
pub(crate) struct ImageRequest<'a> {
    pub(crate) nic: &'a Nic,
    pub(crate) slot: u16,
    /// Whether the NIC has a device.
    pub(crate) has_device: bool,
    /// The fingerprint of the image in force.
    pub(crate) published: Option<u64>,
}

/// The result for the requested images.
pub(crate) struct PreparedImages {
    /// In the order of the requests.
    pub(crate) fingerprints: Vec<u64>,
    /// The images to be published, by slot.
    pub(crate) compiled: BTreeMap<u16, Compiled>,
    pub(crate) known: KnownImages,
}

/// Compiles images and compares them.
#[derive(Debug)]
pub(crate) struct Images {
    budget_words: usize,
    /// Randomly keyed: nobody can write a policy whose image collides with the one before it.
    hashes: RandomState,
    /// What is known of the policy in force.
    known: KnownImages,
    kept: Kept,
}

impl Images {
    pub(crate) fn new(budget_words: usize) -> Self {
        Self {
            budget_words,
            hashes: RandomState::new(),
            known: KnownImages::default(),
            kept: Kept::default(),
        }
    }

    /// Prepares the images of the NICs of `policy` that are to be published, and the fingerprints of all. If one cannot be
    /// compiled, all are refused. With `goes_back` none is patched: the image in force is to stay as it is.
    pub(crate) fn of(
        &mut self,
        policy: &Policy,
        numbers: &Numbers,
        asked: &[ImageRequest<'_>],
        goes_back: bool,
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
                && !goes_back
                && let Some(patch) = self.patch(policy, numbers, asked)
            {
                // A patched image differs from every compiled one; but an empty patch leaves the fingerprint unchanged.
                let said = if patch.is_empty() { asked.published } else { None };
                let found = said.unwrap_or_else(|| self.hashes.hash_one((PATCHED, input)));
                *fingerprint = Some(found);
                compiled
                    .insert(asked.slot, Compiled { change: Change::Patch(patch), input, fingerprint: found });
            }
        }
        let left: Vec<usize> = (0..asked.len()).filter(|&place| fingerprints[place].is_none()).collect();
        let processors = available_parallelism().map_or(1, usize::from);
        let images = parallel::parallel_map(left.len(), processors, |jobs| {
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

    /// The fingerprint of an image that need not be compiled: the input's image is known, and it is published or the NIC has no
    /// device yet.
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

    /// The generation is set once it is known that there will be a new one.
    fn options(&self, slot: u16) -> ImageOptions {
        ImageOptions { generation: 0, counters: nic_block(slot), budget_words: self.budget_words }
    }

    /// The image of a NIC by another policy and its numbers, compiled as a whole.
    pub(crate) fn elsewhere(
        &self,
        policy: &Policy,
        numbers: &Numbers,
        nic: &Nic,
        slot: u16,
    ) -> Result<Image, AgentError> {
        let number = &mut |decider| numbers.counter(slot, decider);
        Ok(Compiler::new(policy).compile(nic, &self.options(slot), number)?)
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

    /// Takes a slot's image out for publishing. Until [`Self::arrived`], nothing is cached for the slot. `None` if it is a patch
    /// of an image that is not cached. `change` is the id of the change that publishes it, if it is to be confirmed, else zero;
    /// `has_candidate`, whether a candidate is asked beside it.
    pub(crate) fn leave(
        &mut self,
        slot: u16,
        compiled: Compiled,
        change: u32,
        has_candidate: bool,
    ) -> Option<Leaving> {
        let kept = self.kept.take(slot);
        let Compiled { change: how, input, fingerprint } = compiled;
        let (mut patchable, patch) = match how {
            Change::Whole(mut image) => {
                image.set_candidate(has_candidate);
                (Patchable::new(image), None)
            }
            // The mark stays as it is: where it is to change, the image is published as a whole.
            Change::Patch(patch) => {
                let mut patchable = kept?.patchable;
                patchable.apply(&patch);
                (patchable, Some(patch))
            }
        };
        patchable.set_pending(change);
        Some(Leaving { slot, patch, entry: Entry { patchable, input, fingerprint } })
    }

    /// Caches an image that is now in force.
    pub(crate) fn arrived(&mut self, leaving: Leaving) {
        self.kept.put(leaving.slot, leaving.entry);
    }

    /// Removes the image of a slot that is no longer in force.
    pub(crate) fn forget(&mut self, slot: u16) {
        self.kept.take(slot);
    }

    /// Records the policy that is now in force, and what is known of it. `left` was prepared for it and not published.
    pub(crate) fn keep(&mut self, policy: Arc<Policy>, known: KnownImages, left: BTreeMap<u16, Compiled>) {
        self.known = known;
        for (slot, Compiled { input, fingerprint, .. }) in left {
            // The image in force decides the same.
            self.kept.renew(slot, fingerprint, input);
        }
        self.kept.policy = Some(policy);
    }

    /// The fingerprint of an image without its generation: an image that decides the same is not published again.
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

/// The digest of an image, see [`ImageDigest`].
pub(crate) fn digest(image: &Image) -> ImageDigest {
    const MARK: u64 = (flags::CANDIDATE as u64) << 32;
    const GENERATION: u64 = 0xffff_ffff;
    let mut hash = Sha256::new();
    for (place, word) in image.words().iter().enumerate() {
        let word = match place {
            header::GENERATION_FLAGS => word & !(MARK | GENERATION),
            header::PENDING => 0,
            _ => *word,
        };
        hash.update(word.to_ne_bytes());
    }
    ImageDigest(hash.finalize().into())
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
