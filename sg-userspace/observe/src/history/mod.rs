//! The last minutes of records, in memory, and who watches them live.
//!
//! [`Observed`] is what the observer appends to and others read. Appending never waits for a reader: one that reads the past
//! works on a snapshot, and a watcher that is too slow loses records and is told how many. It must never know HTTP or sinks. The
//! observer appends; the API reads and watches.

mod compact;
mod memory;
mod watchers;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

pub use memory::{Memory, Snapshot};
pub use watchers::{Packets, Single, Watched, Watcher};

use self::watchers::Watchers;
use crate::{filter::Filter, record::Record};

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records older than this are forgotten, up to 1,024 at a time once all of them are.
    pub age: Duration,
    /// Bytes of memory. 0: nothing is kept.
    pub bytes: usize,
}

/// 15 minutes, in 64 MiB at most.
impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_mins(15), bytes: 64 << 20 }
    }
}

/// The past and the watchers. Shared by reference.
#[derive(Debug)]
pub struct Observed {
    memory: Mutex<Memory>,
    watchers: Watchers,
}

impl Default for Observed {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Observed {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { memory: Mutex::new(Memory::new(limits)), watchers: Watchers::default() }
    }

    /// Remembers `records` and hands them to the watchers whose filter admits them.
    pub fn append(&self, records: &[Arc<Record>]) {
        // Both under one lock: whoever begins to watch between would get records twice.
        let mut memory = self.memory();
        memory.append(records.iter().map(|record| &**record));
        self.watchers.hand_out(records);
    }

    /// Forgets what is old. Appending does, too; this is for when nothing comes.
    pub fn expire(&self) {
        self.memory().expire(Instant::now());
    }

    /// The past as it is now. Reading it makes nobody wait.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.memory().snapshot()
    }

    /// Hands single events to watchers. They are not remembered: what they count is in records that come later.
    pub fn show(&self, events: &[Single]) {
        self.watchers.show(events);
    }

    /// Ends every watch: nothing more comes.
    pub fn end(&self) {
        self.watchers.end();
    }

    /// What the watchers want to see.
    #[must_use]
    pub fn wanted(&self) -> Vec<(Filter, Packets)> {
        self.watchers.wanted()
    }

    /// The past as it is now, and records that come from then on and that `filter` admits: nothing is missing between, and nothing
    /// double. `queue` records wait for the reader at most. Each watcher costs the observer a look at every record: whoever lets
    /// clients watch limits their number.
    pub fn snapshot_and_watch(&self, filter: Filter, packets: Packets, queue: usize) -> (Snapshot, Watcher) {
        let memory = self.memory();
        (memory.snapshot(), self.watchers.add(filter, packets, queue))
    }

    /// Whoever panicked left nothing half done that matters here.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time that is as good as any for a loss that has none of its own.
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
