//! Images in force that can be patched, and the policy they were compiled from. It must never claim that an image is in force:
//! the records do, and a cached image is valid only while they agree. Called by `images`.

use std::{collections::BTreeMap, sync::Arc};

use sg_common::image::CLASS_WORDS;
use sg_compile::{ImageOptions, Patch, Patchable};
use sg_model::{Decider, Nic, Policy};

/// Smaller images are compiled as fast as they are patched.
const LEAST_WORDS: usize = 1 << 10;

/// The maximum total size of cached images: 64 MiB, in words.
const MOST_WORDS: usize = CLASS_WORDS[CLASS_WORDS.len() - 1];

/// An image, and its input.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) patchable: Patchable,
    /// The fingerprint of its input.
    pub(crate) input: u64,
    /// The fingerprint of the image.
    pub(crate) fingerprint: u64,
}

/// Cached images by slot.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    entries: BTreeMap<u16, Entry>,
    /// The policy their inputs were read from.
    pub(crate) policy: Option<Arc<Policy>>,
}

impl Kept {
    /// Caches the image published for a slot, if it is large enough and there is room.
    pub(crate) fn put(&mut self, slot: u16, entry: Entry) {
        let memory = |entry: &Entry| entry.patchable.capacity();
        let others: usize = self.entries.values().map(memory).sum();
        if entry.patchable.image().words().len() > LEAST_WORDS && others + memory(&entry) <= MOST_WORDS {
            self.entries.insert(slot, entry);
        }
    }

    /// Removes the image of a slot from the cache and returns it.
    pub(crate) fn take(&mut self, slot: u16) -> Option<Entry> {
        self.entries.remove(&slot)
    }

    /// Records that `input` gives the image of a slot too, if its fingerprint is `fingerprint`.
    pub(crate) fn renew(&mut self, slot: u16, fingerprint: u64, input: u64) {
        if let Some(entry) = self.entries.get_mut(&slot).filter(|entry| entry.fingerprint == fingerprint) {
            entry.input = input;
        }
    }

    /// Computes the patch that turns the image in force, whose fingerprint is `published`, into that of `policy`; `None` if that
    /// image is not cached, or cannot be patched. `was` returns the fingerprint of the image that an input of the policy before
    /// gave.
    pub(crate) fn patch(
        &mut self,
        (slot, published): (u16, Option<u64>),
        was: impl Fn(u64) -> Option<u64>,
        (policy, nic): (&Policy, &Nic),
        options: &ImageOptions,
        number: &mut dyn FnMut(Decider) -> u32,
    ) -> Option<Patch> {
        let before = self.policy.as_deref()?;
        let entry = self.entries.get_mut(&slot)?;
        // The image was made from the input, the input is of the policy before, and the image is in force.
        let known = published == Some(entry.fingerprint) && was(entry.input) == published;
        if !known {
            return None;
        }
        entry.patchable.patch((before, policy), nic, options, number)
    }
}
