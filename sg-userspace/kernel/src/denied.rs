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
    abi::{denied_spare, denied_spares},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, DeniedNic, DeniedRing, Fold, Origin, Recent},
    flow::{Direction, PortsProtoNic},
    packet::Family,
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
    pub(super) const USED: usize = 0;
    pub(super) const KEY: usize = 1;
    pub(super) const RECENT: usize = 7;
    pub(super) const PACKETS: usize = 8;
    pub(super) const BYTES: usize = 9;
    pub(super) const FIRST: usize = 10;
    pub(super) const LAST: usize = 11;
    pub(super) const LATEST: usize = 12;
    pub(super) const REPORTED_PACKETS: usize = 13;
    pub(super) const REPORTED_BYTES: usize = 14;
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(DeniedEntry, used) == word::USED * 8);
    assert!(offset_of!(DeniedEntry, key) == word::KEY * 8);
    assert!(offset_of!(DeniedEntry, recent) == word::RECENT * 8);
    assert!(offset_of!(DeniedEntry, packets) == word::PACKETS * 8);
    assert!(offset_of!(DeniedEntry, bytes) == word::BYTES * 8);
    assert!(offset_of!(DeniedEntry, first) == word::FIRST * 8);
    assert!(offset_of!(DeniedEntry, last) == word::LAST * 8);
    assert!(offset_of!(DeniedEntry, latest) == word::LATEST * 8);
    assert!(offset_of!(DeniedEntry, reported_packets) == word::REPORTED_PACKETS * 8);
    assert!(offset_of!(DeniedEntry, reported_bytes) == word::REPORTED_BYTES * 8);
    assert!(offset_of!(DeniedRing, head) == 0 && offset_of!(DeniedRing, tail) == 8);
};
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
        if sys::wait_for_programs().is_err() {
            // Processors are isolated. No program takes as long.
            thread::sleep(Duration::from_millis(50));
        }
        let mut is_free = vec![false; self.named];
        for place in head..tail {
            let index = self.free_at(place).map(|word| word.load(Ordering::Relaxed) as usize);
            if let Some(free) = index.and_then(|index| is_free.get_mut(index)) {
                *free = true;
            }
        }
        for (index, is_free) in is_free.into_iter().enumerate() {
            if !is_free && self.entry(index).is_some_and(|entry| entry.used() == 0) {
                self.push(index);
            }
        }
        self.count_entries();
    }

    /// Counts the entries of each NIC again: a reader that was killed may have counted one twice, or not.
    fn count_entries(&self) {
        let mut counts = vec![0_u64; self.nics.words().len() / NIC];
        for entry in (0..self.named).filter_map(|index| self.entry(index)).filter(|entry| entry.used() != 0) {
            if let Some(count) = counts.get_mut(usize::from(entry.key().l4.nic())) {
                *count += 1;
            }
        }
        for (slot, count) in counts.into_iter().enumerate() {
            if let Some(word) = self.nics.words().get(slot * NIC + NIC_ENTRIES) {
                word.store(count, Ordering::Relaxed);
            }
        }
    }

    /// Reports what was counted since the last pass, and removes what was out of use.
    ///
    /// # Errors
    /// If the kernel refuses to remove a name; the pass was completed.
    pub(super) fn collect(
        &mut self,
        Jiffies { now, hertz }: Jiffies,
        idle_seconds: u64,
        mut report: impl FnMut(Denial),
    ) -> Result<(), KernelError> {
        self.free_unnamed(&mut report);
        let idle = idle_seconds * u64::from(hertz);
        // Entries are first drawn in their order.
        let drawn = usize::try_from(self.ends().0).unwrap_or(usize::MAX).min(self.named);
        let mut out_of_use = Vec::new();
        for index in 0..drawn {
            let Some(entry) = self.entry(index) else { break };
            if entry.used() == 0 {
                continue;
            }
            match entry.take() {
                Some(denial) => report(denial),
                None if now.wrapping_sub(entry.read(word::LAST)).cast_signed() >= idle.cast_signed() => {
                    out_of_use.push(index);
                }
                None => {}
            }
        }
        self.collect_spares(&mut report);
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
    fn collect_spares(&self, report: &mut impl FnMut(Denial)) {
        if self.named == 0 {
            return;
        }
        let nics = self.nics.words().len() / NIC;
        let host = Origin::of_host(sg_common::verdict::Decision::new(
            sg_common::verdict::Verdict::Drop,
            sg_common::verdict::Reason::NoNic,
            0,
        ));
        let spare = |index: usize, key: DeniedKey| {
            let denial = self.entry(index).and_then(Entry::take)?;
            Some(Denial { key, is_named: false, ..denial })
        };
        if let Some(denial) = spare(self.named, DeniedKey { origin: host, ..DeniedKey::default() }) {
            report(denial);
        }
        for slot in 0..nics {
            for direction in [Direction::Ingress, Direction::Egress] {
                let index = denied_spare(self.named as u32, slot as u16, direction) as usize;
                let l4 = PortsProtoNic::new((0, 0), slot as u16, 0, Family::V4);
                let decision = sg_common::verdict::Decision::new(
                    sg_common::verdict::Verdict::Drop,
                    sg_common::verdict::Reason::Default,
                    0,
                );
                let mut key =
                    DeniedKey { l4, origin: Origin::new(decision, direction, false), ..DeniedKey::default() };
                key.fold(Fold::Others);
                if let Some(denial) = spare(index, key) {
                    report(denial);
                }
            }
        }
    }

    /// Frees the entries whose names were removed in the last pass: no program adds to them any more.
    fn free_unnamed(&mut self, report: &mut impl FnMut(Denial)) {
        if self.unnamed.is_empty() {
            return;
        }
        // The pass before was a second ago or more, which no program takes; where the call exists, this is certain.
        drop(sys::wait_for_programs());
        for index in std::mem::take(&mut self.unnamed) {
            let Some(entry) = self.entry(index) else { continue };
            if let Some(denial) = entry.take() {
                report(denial);
            }
            let slot = usize::from(entry.key().l4.nic());
            if let Some(count) = self.nics.words().get(slot * NIC + NIC_ENTRIES) {
                count.fetch_sub(1, Ordering::Relaxed);
            }
            entry.clear();
            self.push(index);
        }
    }

    /// Removes the name of an entry, unless it belongs to another one.
    fn remove_name(&mut self, index: usize) -> Result<(), KernelError> {
        let Some(key) = self.entry(index).map(Entry::key) else { return Ok(()) };
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
        if let (Some(place), Some(end)) = (self.free_at(tail), self.ring.words().get(1)) {
            place.store(index as u64, Ordering::Relaxed);
            end.store(tail.wrapping_add(1), Ordering::Release);
        }
    }

    /// The numbers between which the ring has free entries.
    fn ends(&self) -> (u64, u64) {
        let end = |at: usize| self.ring.words().get(at).map_or(0, |word| word.load(Ordering::Acquire));
        (end(0), end(1))
    }

    fn free_at(&self, place: u64) -> Option<&AtomicU64> {
        let at = usize::try_from(place.checked_rem(self.named as u64)?).ok()?;
        self.free.words().get(at)
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        Some(Entry(self.entries.words().get(index * ENTRY..(index + 1) * ENTRY)?.first_chunk()?))
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

    fn used(self) -> u64 {
        self.0.first().map_or(0, |word| word.load(Ordering::Acquire))
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

    /// What was counted since it was last taken; noted as reported.
    fn take(self) -> Option<Denial> {
        // In this order: what moves from the one to the other meanwhile is missing until the next time, and never double.
        let (packets, bytes) = (self.read(word::PACKETS), self.read(word::BYTES));
        let recent = Recent::of(self.read(word::RECENT));
        let (packets, bytes) = (packets + recent.packets(), bytes + recent.bytes());
        let (known, known_bytes) = (self.read(word::REPORTED_PACKETS), self.read(word::REPORTED_BYTES));
        if packets <= known || bytes <= known_bytes {
            return None;
        }
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

    /// Makes it as it was before it was used.
    fn clear(self) {
        for at in 1..ENTRY {
            self.write(at, 0);
        }
        if let Some(used) = self.0.first() {
            used.store(0, Ordering::Release);
        }
    }
}
