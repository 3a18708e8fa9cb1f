//! Images in force that can be patched, and the policy that they are of. It must never say that an image is in force:
//! the records do, and what is kept counts only as long as they say the same. Called by `images`.

use std::{collections::BTreeMap, sync::Arc};

use sg_common::image::CLASS_WORDS;

use crate::{
    compile::{ImageOptions, Patch, Patchable},
    model::{Decider, Nic, Policy},
};

/// Images that are smaller are compiled as fast as they are patched.
const LEAST_WORDS: usize = 1 << 10;

/// The most words that are kept, of all images: 64 MiB.
const MOST_WORDS: usize = CLASS_WORDS[CLASS_WORDS.len() - 1];

/// An image, and what it was made of.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) patchable: Patchable,
    /// The fingerprint of its input.
    pub(super) input: u64,
    /// Its own.
    pub(super) fingerprint: u64,
}

/// Images by slot.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: BTreeMap<u16, Entry>,
    /// What their inputs were read from.
    pub(super) policy: Option<Arc<Policy>>,
}

impl Kept {
    /// Keeps the image that was published for a slot, where it is worth it and there is room.
    pub(super) fn put(&mut self, slot: u16, entry: Entry) {
        let memory = |entry: &Entry| entry.patchable.capacity();
        let others: usize = self.entries.values().map(memory).sum();
        if entry.patchable.image().words().len() > LEAST_WORDS && others + memory(&entry) <= MOST_WORDS {
            self.entries.insert(slot, entry);
        }
    }

    /// The image of a slot, which is kept no longer.
    pub(super) fn take(&mut self, slot: u16) -> Option<Entry> {
        self.entries.remove(&slot)
    }

    /// Notes that the image of a slot came of `input` too, where it is the one of that fingerprint.
    pub(super) fn renew(&mut self, slot: u16, fingerprint: u64, input: u64) {
        if let Some(entry) = self.entries.get_mut(&slot).filter(|entry| entry.fingerprint == fingerprint) {
            entry.input = input;
        }
    }

    /// What makes the image of `policy` of the one in force, whose fingerprint is `published`; none where nothing is known
    /// of that one, or a patch cannot do it. `was` tells which image came of which input of the policy before.
    pub(super) fn patch(
        &mut self,
        (slot, published): (u16, Option<u64>),
        was: impl Fn(u64) -> Option<u64>,
        (policy, nic): (&Policy, &Nic),
        options: &ImageOptions,
        number: &mut dyn FnMut(Decider) -> u32,
    ) -> Option<Patch> {
        let before = self.policy.as_deref()?;
        let entry = self.entries.get_mut(&slot)?;
        // The image is of the input, the input is of the policy before, and the image is in force.
        let known = published == Some(entry.fingerprint) && was(entry.input) == published;
        if !known {
            return None;
        }
        entry.patchable.patch((before, policy), nic, options, number)
    }
}
