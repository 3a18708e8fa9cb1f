//! Reads the counts of packets that do not pass, and removes names that are no longer in use. It must never decide what is done
//! with a count. Called by `datapath`.
//!
//! No count is lost. The program adds, this file takes differences and notes in the entry what it has reported, before it reports
//! it: a reader that continues after another was killed reports nothing twice. An entry that is not in use goes in two steps, one
//! pass apart: first its name, so that no program finds it; then, once every program that had found it has ended, its last count
//! is read and the entry is free.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use sg_common::{
    abi::{denied_host, denied_spare, denied_spares},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, DeniedNic, DeniedRing, Fold, Origin, Recent},
    flow::{Direction, PortsProtoNic},
    packet::Family,
    verdict::{Decision, Reason, Verdict},
};

use super::{Jiffies, KernelError, error::absent_is_fine, object::open, sys, window::MappedArray};

/// Packets that did not pass since the last pass, all of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Who sent what to whom, and why it did not pass. Without a name, only the NIC and the direction are known.
    pub key: DeniedKey,
    /// Whether the packets have a name: if not, there was no entry left.
    pub is_named: bool,
    /// Packets.
    pub packets: u64,
    /// Bytes, including Ethernet headers.
    pub bytes: u64,
    /// Time of the first packet of this name, in jiffies: it may have been reported before.
    pub first: u64,
    /// Time of the last packet, in jiffies.
    pub last: u64,
    /// The generation of the policy that judged the last packet.
    pub generation: u32,
    /// The source port of the last packet.
    pub source_port: u16,
    /// Whether nothing of this name was reported before.
    pub is_first: bool,
}

/// The entries and their names.
pub(super) struct Denied {
    entries: MappedArray,
    free: MappedArray,
    ring: MappedArray,
    nics: MappedArray,
    narrow: HashMap<MapData, DeniedKeyV4, u32>,
    wide: HashMap<MapData, DeniedKey, u32>,
    /// The number of entries with a name; zero if nothing is counted.
    named: usize,
    /// Entries whose names were removed in the last pass.
    unnamed: Vec<usize>,
}

/// Words of an entry, of a NIC, and of the ring.
const ENTRY: usize = size_of::<DeniedEntry>() / size_of::<u64>();
const NIC: usize = size_of::<DeniedNic>() / size_of::<u64>();
const RING: usize = size_of::<DeniedRing>() / size_of::<u64>();

/// Places of words in an entry.
mod word {
    use core::mem::offset_of;

    use sg_common::denied::DeniedEntry;

    /// The place of the word that is this many bytes behind the first.
    const fn at(offset: usize) -> usize {
        offset / size_of::<u64>()
    }

    pub(super) const USED: usize = at(offset_of!(DeniedEntry, used));
    pub(super) const KEY: usize = at(offset_of!(DeniedEntry, key));
    pub(super) const RECENT: usize = at(offset_of!(DeniedEntry, recent));
    pub(super) const PACKETS: usize = at(offset_of!(DeniedEntry, packets));
    pub(super) const BYTES: usize = at(offset_of!(DeniedEntry, bytes));
    pub(super) const FIRST: usize = at(offset_of!(DeniedEntry, first));
    pub(super) const LAST: usize = at(offset_of!(DeniedEntry, last));
    pub(super) const LATEST: usize = at(offset_of!(DeniedEntry, latest));
    pub(super) const REPORTED_PACKETS: usize = at(offset_of!(DeniedEntry, reported_packets));
    pub(super) const REPORTED_BYTES: usize = at(offset_of!(DeniedEntry, reported_bytes));
    pub(super) const UNNAMED: usize = at(offset_of!(DeniedEntry, unnamed));
}

/// Places of the words of a [`DeniedRing`].
const HEAD: usize = core::mem::offset_of!(DeniedRing, head) / 8;
const TAIL: usize = core::mem::offset_of!(DeniedRing, tail) / 8;
/// Place of the number of entries in what is known of a NIC.
const NIC_ENTRIES: usize = core::mem::offset_of!(DeniedNic, entries) / 8;

impl Denied {
    /// Entries of an earlier run go on. `named` and `nics` are the sizes that the maps were made with.
    pub(super) fn take(ebpf: &mut Ebpf, named: u32, nics: u32) -> Result<Self, KernelError> {
        let mut array = |name: &'static str, words: usize| MappedArray::take(ebpf, name, words);
        let entries = array("DENIED", (named + denied_spares(nics)) as usize * ENTRY)?;
        let (free, ring) = (array("DENIED_FREE", named as usize)?, array("DENIED_RING", RING)?);
        let nics = array("DENIED_NICS", nics as usize * NIC)?;
        let (narrow, wide) = (open(ebpf, "DENIED_V4")?, open(ebpf, "DENIED_V6")?);
        let named = named as usize;
        let mut denied = Self { entries, free, ring, nics, narrow, wide, named, unnamed: Vec::new() };
        denied.fill();
        Ok(denied)
    }

    /// Makes every entry free that is neither in use nor in the ring: all of a new table; of one that goes on, those that its
    /// reader had taken out when it was killed.
    fn fill(&mut self) {
        let (head, tail) = self.ends();
        // Whoever drew an entry before the head was read has marked it by now.
        wait_for_programs();
        let mut is_free = vec![false; self.named];
        for place in head..tail {
            let index = self.free_at(place).map(|word| word.load(Ordering::Relaxed) as usize);
            if let Some(free) = index.and_then(|index| is_free.get_mut(index)) {
                *free = true;
            }
        }
        for (index, is_free) in is_free.into_iter().enumerate() {
            if !is_free && let Some(entry) = self.entry(index).filter(|entry| !entry.is_used()) {
                entry.clear();
                self.push(index);
            }
        }
    }

    /// Writes the number of entries of each NIC. Those that the program adds meanwhile are missing until the next pass.
    fn write_counts(&self, counts: &[u64]) {
        for (slot, &count) in counts.iter().enumerate() {
            if let Some(word) = self.nics.words().get(slot * NIC + NIC_ENTRIES) {
                word.store(count, Ordering::Relaxed);
            }
        }
    }

    /// Reports what was counted since the last pass, and removes what was out of use. Calls `taking` before each is recorded as
    /// reported.
    ///
    /// # Errors
    /// If the kernel refuses to remove a name; the pass was completed.
    pub(super) fn collect(
        &mut self,
        Jiffies { now, hertz }: Jiffies,
        idle_seconds: u64,
        taking: &dyn Fn(),
        mut report: impl FnMut(Denial),
    ) -> Result<(), KernelError> {
        self.free_unnamed(taking, &mut report);
        let idle = idle_seconds * u64::from(hertz);
        // Entries are first drawn in their order.
        let drawn = usize::try_from(self.ends().0).unwrap_or(usize::MAX).min(self.named);
        let mut out_of_use = Vec::new();
        let mut counts = vec![0; self.nics.words().len() / NIC];
        for index in 0..drawn {
            let Some(entry) = self.entry(index) else { break };
            if !entry.is_used() {
                continue;
            }
            let key = entry.key();
            if !key.origin.is_of_host()
                && let Some(count) = counts.get_mut(usize::from(key.l4.nic()))
            {
                *count += 1;
            }
            match entry.take(taking) {
                Some(denial) => report(denial),
                None if now.wrapping_sub(entry.read(word::LAST)).cast_signed() >= idle.cast_signed() => {
                    out_of_use.push(index);
                }
                None => {}
            }
        }
        self.write_counts(&counts);
        self.collect_spares(taking, &mut report);
        let mut result = Ok(());
        for index in out_of_use {
            match self.remove_name(index) {
                Ok(()) => self.unnamed.push(index),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Entries without a name, for packets that found none.
    fn collect_spares(&self, taking: &dyn Fn(), report: &mut impl FnMut(Denial)) {
        if self.named == 0 {
            return;
        }
        let named = self.named as u32;
        let mut spare = |index: u32, key: DeniedKey| {
            if let Some(denial) = self.entry(index as usize).and_then(|entry| entry.take(taking)) {
                report(Denial { key, is_named: false, ..denial });
            }
        };
        let origin = Origin::of_host(Decision::new(Verdict::Drop, Reason::NoNic, 0));
        spare(denied_host(named), DeniedKey { origin, ..DeniedKey::default() });
        let decision = Decision::new(Verdict::Drop, Reason::Default, 0);
        for slot in 0..(self.nics.words().len() / NIC) as u16 {
            for direction in [Direction::Ingress, Direction::Egress] {
                let l4 = PortsProtoNic::new((0, 0), slot, 0, Family::V4);
                let origin = Origin::new(decision, direction, false);
                let mut key = DeniedKey { l4, origin, ..DeniedKey::default() };
                key.fold(Fold::Others);
                spare(denied_spare(named, slot, direction), key);
            }
        }
    }

    /// Frees the entries whose names were removed in the last pass: no program adds to them any more.
    fn free_unnamed(&mut self, taking: &dyn Fn(), report: &mut impl FnMut(Denial)) {
        if self.unnamed.is_empty() {
            return;
        }
        wait_for_programs();
        for index in std::mem::take(&mut self.unnamed) {
            let Some(entry) = self.entry(index) else { continue };
            if let Some(denial) = entry.take(taking) {
                report(denial);
            }
            entry.clear();
            self.push(index);
        }
    }

    /// Removes the name of an entry, unless it belongs to another one.
    fn remove_name(&mut self, index: usize) -> Result<(), KernelError> {
        let Some(entry) = self.entry(index) else { return Ok(()) };
        entry.write(word::UNNAMED, 1);
        let key = entry.key();
        let doing = "remove the name of a count";
        match key.l4.family() {
            Family::V4 => {
                let key = DeniedKeyV4::of(&key);
                if self.narrow.get(&key, 0).is_ok_and(|found| found as usize == index) {
                    absent_is_fine(self.narrow.remove(&key)).map_err(KernelError::call(doing))?;
                }
            }
            Family::V6 => {
                if self.wide.get(&key, 0).is_ok_and(|found| found as usize == index) {
                    absent_is_fine(self.wide.remove(&key)).map_err(KernelError::call(doing))?;
                }
            }
        }
        Ok(())
    }

    /// Puts an entry behind the end of the ring.
    fn push(&self, index: usize) {
        let tail = self.ends().1;
        if let (Some(place), Some(end)) = (self.free_at(tail), self.ring.words().get(TAIL)) {
            place.store(index as u64, Ordering::Relaxed);
            end.store(tail.wrapping_add(1), Ordering::Release);
        }
    }

    /// The numbers between which the ring has free entries.
    fn ends(&self) -> (u64, u64) {
        let end = |at: usize| self.ring.words().get(at).map_or(0, |word| word.load(Ordering::Acquire));
        (end(HEAD), end(TAIL))
    }

    fn free_at(&self, place: u64) -> Option<&AtomicU64> {
        let at = usize::try_from(place.checked_rem(self.named as u64)?).ok()?;
        self.free.words().get(at)
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        Some(Entry(self.entries.words().get(index * ENTRY..(index + 1) * ENTRY)?.first_chunk()?))
    }
}

/// Waits until every program that runs now has ended.
fn wait_for_programs() {
    if sys::wait_for_programs().is_err() {
        // Processors are isolated. No program takes as long.
        thread::sleep(Duration::from_millis(50));
    }
}

/// An entry in memory.
#[derive(Clone, Copy)]
struct Entry<'a>(&'a [AtomicU64; ENTRY]);

impl Entry<'_> {
    fn read(self, word: usize) -> u64 {
        self.0.get(word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn write(self, word: usize, value: u64) {
        if let Some(word) = self.0.get(word) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn is_used(self) -> bool {
        self.read(word::USED) != 0
    }

    fn key(self) -> DeniedKey {
        let word = |at: usize| self.read(word::KEY + at);
        DeniedKey {
            remote_high: word(0),
            remote_low: word(1),
            local_high: word(2),
            local_low: word(3),
            l4: PortsProtoNic::of(word(4)),
            origin: Origin::of(word(5)),
        }
    }

    /// What was counted since it was last taken; recorded as reported.
    fn take(self, taking: &dyn Fn()) -> Option<Denial> {
        // In this order: what moves from the one to the other meanwhile is missing until the next time, and never double.
        let (packets, bytes) = (self.read(word::PACKETS), self.read(word::BYTES));
        let recent = Recent::of(self.read(word::RECENT));
        let (packets, bytes) = (packets + recent.packets(), bytes + recent.bytes());
        let (known, known_bytes) = (self.read(word::REPORTED_PACKETS), self.read(word::REPORTED_BYTES));
        if packets <= known || bytes <= known_bytes {
            return None;
        }
        taking();
        self.write(word::REPORTED_PACKETS, packets);
        self.write(word::REPORTED_BYTES, bytes);
        let latest = self.read(word::LATEST);
        Some(Denial {
            key: self.key(),
            is_named: true,
            packets: packets.wrapping_sub(known),
            bytes: bytes.wrapping_sub(known_bytes),
            first: self.read(word::FIRST),
            last: self.read(word::LAST),
            generation: (latest >> 32) as u32,
            source_port: latest as u16,
            is_first: known == 0,
        })
    }

    /// Makes it as it was before it was used. In this order: a program that has the entry from a hint looks first whether it is used,
    /// then whether it has lost its name, then for the name. A reader that is killed in between leaves an entry that is used and
    /// has no name, or one that is not used.
    fn clear(self) {
        for at in (0..ENTRY).filter(|&at| at != word::USED && at != word::UNNAMED) {
            self.write(at, 0);
        }
        for at in [word::USED, word::UNNAMED] {
            if let Some(word) = self.0.get(at) {
                word.store(0, Ordering::Release);
            }
        }
    }
}
