//! Words of a map that programs read and write at the same time, mapped into memory. It must never know what they mean. Called by
//! `images`, `denied` and `watch`.

use std::{
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use memmap2::{MmapOptions, MmapRaw};

use super::{KernelError, object::take_map};

/// Words of an array that programs read and write at the same time.
pub(super) struct Window {
    /// `None` if there are no words.
    mapping: Option<MmapRaw>,
    count: usize,
}

/// A whole array in memory. It stays open: a program that is loaded later refers to it by its descriptor.
pub(super) struct MappedArray {
    window: Window,
    _map: MapData,
}

impl MappedArray {
    /// Takes an array of `words` words out of the object.
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str, words: usize) -> Result<Self, KernelError> {
        let Map::Array(map) = take_map(ebpf, name)? else {
            return Err(KernelError::Missing { what: "array", name });
        };
        Ok(Self { window: Window::of(&map, 0, words)?, _map: map })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        self.window.words()
    }
}

impl Window {
    /// Maps `count` words from `place` on.
    pub(super) fn of(array: &MapData, place: usize, count: usize) -> Result<Self, KernelError> {
        let mut options = MmapOptions::new();
        options.offset((place * size_of::<u64>()) as u64).len(count * size_of::<u64>());
        let mapped = (count > 0).then(|| options.map_raw(array.fd().as_fd().as_raw_fd())).transpose();
        let mapping = mapped.map_err(KernelError::call("map a part of a table into memory"))?;
        Ok(Self { mapping, count })
    }

    /// Maps the first `count` words of a file, which must be as long.
    pub(super) fn of_file(file: &File, count: usize) -> Result<Self, KernelError> {
        let mapped = MmapOptions::new().len(count * size_of::<u64>()).map_raw(file);
        let mapping = mapped.map_err(KernelError::call("map a file into memory"))?;
        Ok(Self { mapping: Some(mapping), count })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        #![expect(unsafe_code, reason = "memory that the kernel reads at the same time")]
        #![expect(clippy::cast_ptr_alignment, reason = "whole words from the beginning of a page")]
        let Some(mapping) = &self.mapping else { return &[] };
        // SAFETY: the mapping has `count` words, begins at one, and lives as long as the reference; they are accessed as
        // atomics only.
        unsafe { std::slice::from_raw_parts(mapping.as_ptr().cast::<AtomicU64>(), self.count) }
    }

    pub(super) fn store(&self, words: &[u64], order: Ordering) {
        for (place, &word) in self.words().iter().zip(words) {
            place.store(word, order);
        }
    }
}
