//! Records of the last minutes, within a limit of memory: the oldest go first, and are counted.
//!
//! Age is counted on a clock that nobody sets: a step of the time of day forgets nothing. A chunk is forgotten when its newest
//! record is old, so that some records stay longer. Full chunks never change, so a snapshot shares them. Called by `Observed`.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Limits,
    compact::{Compact, KnownNames},
};
use crate::{filter::Filter, record::Record};

/// Records in a chunk: what a snapshot copies at most, and what is forgotten at a time at least.
const CHUNK: usize = 1024;

/// What a history holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// Records.
    pub records: u64,
    /// Bytes of memory.
    pub bytes: u64,
    /// End of the oldest record. Absent: nothing is held.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
    /// Records that were forgotten because they were old.
    pub expired: u64,
    /// Records that were forgotten for lack of memory, before they were old.
    pub evicted: u64,
}

/// The records that are remembered.
#[derive(Debug)]
pub struct Memory {
    limits: Limits,
    /// The oldest first. All but the last are full.
    chunks: VecDeque<Chunk>,
    names: KnownNames,
    /// Bytes of names at which those that are not used were last looked for.
    names_checked: usize,
    expired: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Chunk {
    records: Arc<Vec<Compact>>,
    /// When its newest record was appended.
    newest: Instant,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunks: VecDeque::new(),
            names: KnownNames::default(),
            names_checked: 0,
            expired: 0,
            evicted: 0,
        }
    }

    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        self.append_at(Instant::now(), records);
    }

    pub(super) fn append_at<'a>(&mut self, now: Instant, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            if self.limits.bytes == 0 {
                self.evicted += 1;
                continue;
            }
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
        while self.bytes() > self.limits.bytes
            && self.forget_oldest().is_some_and(|count| {
                self.evicted += count;
                true
            })
        {
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
        while self.chunks.front().is_some_and(is_old) {
            self.expired += self.forget_oldest().unwrap_or(0);
            any = true;
        }
        if any {
            self.forget_names();
        }
    }

    fn forget_oldest(&mut self) -> Option<u64> {
        self.chunks.pop_front().map(|chunk| chunk.records.len() as u64)
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

    pub(super) fn held(&self) -> Held {
        let oldest = self.chunks.front().and_then(|chunk| chunk.records.first());
        Held {
            records: self.chunks.iter().map(|chunk| chunk.records.len() as u64).sum(),
            bytes: self.bytes() as u64,
            oldest: oldest.map(|record| record.record().end),
            expired: self.expired,
            evicted: self.evicted,
        }
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

    /// The same, all of them together.
    #[must_use]
    pub fn read(&self, filter: &Filter, last: Option<usize>) -> Vec<Record> {
        self.each(filter, last).collect()
    }
}

fn admitted(compact: &Compact, filter: &Filter) -> Option<Record> {
    if compact.is_outside(filter.since, filter.until) {
        return None;
    }
    Some(compact.record()).filter(|record| filter.admits(record))
}
