//! Records of the last minutes, within a limit of memory: the oldest go first.
//!
//! Age is counted on a clock that nobody sets: a step of the time of day forgets nothing. A chunk is forgotten when its newest
//! record is old, so that some records stay longer. Full chunks never change, so a snapshot shares them. Called by `Observed`.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{
    Limits,
    compact::{Compact, KnownNames},
};
use crate::{filter::Filter, record::Record};

/// Records in a chunk: what a snapshot copies at most, and what is forgotten at a time at least.
const CHUNK: usize = 1024;

/// The records that are remembered.
#[derive(Debug)]
pub struct Memory {
    limits: Limits,
    /// The oldest first. All but the last are full.
    chunks: VecDeque<Chunk>,
    names: KnownNames,
    /// Bytes of names at which those that are not used were last looked for.
    names_checked: usize,
}

#[derive(Debug)]
struct Chunk {
    records: Arc<Vec<Compact>>,
    /// When its newest record was appended.
    newest: Instant,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, chunks: VecDeque::new(), names: KnownNames::default(), names_checked: 0 }
    }

    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        self.append_at(Instant::now(), records);
    }

    pub(super) fn append_at<'a>(&mut self, now: Instant, records: impl Iterator<Item = &'a Record>) {
        if self.limits.bytes == 0 {
            return;
        }
        for record in records {
            let record = Compact::new(record, &mut self.names);
            let full = |chunk: &Chunk| chunk.records.len() >= CHUNK;
            if self.chunks.back().is_none_or(full) {
                self.chunks.push_back(Chunk { records: Arc::new(Vec::with_capacity(CHUNK)), newest: now });
                self.make_room();
            }
            if let Some(chunk) = self.chunks.back_mut() {
                // A snapshot may share it: it then gets a copy, with room for the rest.
                let records = Arc::make_mut(&mut chunk.records);
                records.reserve_exact(CHUNK.saturating_sub(records.len()));
                records.push(record);
                chunk.newest = now;
            }
            // A name may be as long as it likes.
            if self.bytes() > self.limits.bytes {
                self.make_room();
            }
        }
        self.expire(now);
    }

    /// Forgets the oldest chunks until the limit holds. One chunk may be more than the limit: then it is all there is.
    fn make_room(&mut self) {
        if self.bytes() <= self.limits.bytes {
            return;
        }
        // Looking through the names each time would cost more than they take.
        if self.names.bytes() >= self.names_checked.saturating_mul(2) {
            self.forget_names();
        }
        while self.bytes() > self.limits.bytes && self.chunks.pop_front().is_some() {
            if self.bytes() > self.limits.bytes && self.names.bytes() > self.limits.bytes / 2 {
                self.forget_names();
            }
        }
    }

    /// Forgets chunks of which every record is old.
    pub(super) fn expire(&mut self, now: Instant) {
        let limit = self.limits.age;
        let is_old = |chunk: &Chunk| now.saturating_duration_since(chunk.newest) > limit;
        let mut any = false;
        while self.chunks.pop_front_if(|chunk| is_old(chunk)).is_some() {
            any = true;
        }
        if any {
            self.forget_names();
        }
    }

    fn forget_names(&mut self) {
        self.names.forget_unused();
        self.names_checked = self.names.bytes();
    }

    /// Memory: chunks at their full size, and names.
    pub(super) fn bytes(&self) -> usize {
        const A_CHUNK: usize = CHUNK * size_of::<Compact>() + size_of::<Chunk>();
        self.chunks.len() * A_CHUNK + self.names.bytes()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { chunks: self.chunks.iter().map(|chunk| Arc::clone(&chunk.records)).collect() }
    }
}

/// The past at one moment.
#[derive(Debug)]
pub struct Snapshot {
    chunks: Vec<Arc<Vec<Compact>>>,
}

impl Snapshot {
    /// Records that `filter` admits, the oldest first; with `last`, the newest that many. One at a time: all of them together take
    /// several times the memory that they are kept in.
    pub fn each<'a>(&'a self, filter: &'a Filter, last: Option<usize>) -> impl Iterator<Item = Record> + 'a {
        let newest = last.map(|last| {
            let all = self.chunks.iter().rev().flat_map(|chunk| chunk.iter().rev());
            let newest = all.filter(|one| admitted(one, filter).is_some()).take(last);
            newest.collect::<Vec<_>>().into_iter().rev().map(Compact::record)
        });
        let all = newest.is_none().then(|| self.chunks.iter().flat_map(|chunk| chunk.iter()));
        let all = all.into_iter().flatten().filter_map(|one| admitted(one, filter));
        newest.into_iter().flatten().chain(all)
    }
}

fn admitted(compact: &Compact, filter: &Filter) -> Option<Record> {
    if compact.is_outside(filter.since, filter.until) {
        return None;
    }
    Some(compact.record()).filter(|record| filter.admits(record))
}
