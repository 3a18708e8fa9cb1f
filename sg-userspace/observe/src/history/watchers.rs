//! Who watches records live: a bounded queue for each.
//!
//! A record that finds a queue full is lost to that watcher, and counted; the count comes to it out of band, as a `lost` record
//! that takes no place in the queue. It must never make the observer wait. Called by `Observed`, and by the API through
//! [`Watcher`].

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::mpsc::{
    Receiver, Sender, channel,
    error::{TryRecvError, TrySendError},
};

use super::now;
use crate::{
    filter::Filter,
    record::{Event, Record},
};

/// Which packets a watcher wants to see one by one: the first of every flow, and all that do not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packets {
    /// None: it sees the first of every kind, and then counts.
    #[default]
    None,
    /// Who sent what to whom.
    Each,
    /// The same, with the beginning of each frame.
    Frames,
}

/// A single event.
#[derive(Clone, Debug)]
pub struct Single {
    /// What happened.
    pub record: Arc<Record>,
    /// The same with the frame, for those who want it.
    pub framed: Option<Arc<Record>>,
    /// Whether it is the first of its kind: who does not watch packets sees no other.
    pub is_first: bool,
}

/// All watchers.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    all: Mutex<Vec<Handed>>,
    /// Whether there are any, without a lock.
    count: AtomicUsize,
}

/// What the observer has of a watcher.
#[derive(Debug)]
struct Handed {
    filter: Filter,
    packets: Packets,
    queue: Sender<Arc<Record>>,
    lost: Arc<Lost>,
}

#[derive(Debug, Default)]
struct Lost {
    count: AtomicU64,
    /// Whether the queue was full at the last record: the reader is told at once then that it lost something.
    full: AtomicBool,
}

impl Handed {
    /// Hands a record over, if it is wanted. Returns whether there still is a reader.
    fn offer(&self, record: &Arc<Record>) -> bool {
        if !self.filter.admits(record) {
            return true;
        }
        match self.queue.try_send(Arc::clone(record)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                // A loss before this one counts as it was told.
                let lost = if record.event == Event::Lost { record.count.unwrap_or(1) } else { 1 };
                self.lost.count.fetch_add(lost, Ordering::Relaxed);
                self.lost.full.store(true, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Watchers {
    pub(super) fn add(&self, filter: Filter, packets: Packets, queue: usize) -> Watcher {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| !one.queue.is_closed());
        let (sender, records) = channel(queue.max(1));
        let lost = Arc::new(Lost::default());
        all.push(Handed { filter, packets, queue: sender, lost: Arc::clone(&lost) });
        self.count.store(all.len(), Ordering::Relaxed);
        Watcher { records, lost, since: now(), told: Instant::now() }
    }

    /// Hands out records. Who watches packets has seen what they count.
    pub(super) fn hand_out(&self, records: &[Arc<Record>]) {
        self.to_each(|one| {
            let wanted = |record: &&Arc<Record>| one.packets == Packets::None || !record.event.is_traffic();
            records.iter().filter(wanted).all(|record| one.offer(record))
        });
    }

    /// Hands out single events.
    pub(super) fn show(&self, events: &[Single]) {
        self.to_each(|one| {
            let wanted = |event: &&Single| event.is_first || one.packets != Packets::None;
            let framed = |event: &&Single| one.packets == Packets::Frames && event.framed.is_some();
            events.iter().filter(wanted).all(|event| {
                let record = event.framed.as_ref().filter(|_| framed(&event)).unwrap_or(&event.record);
                one.offer(record)
            })
        });
    }

    /// Removes the watchers for which this is false.
    fn to_each(&self, offer: impl Fn(&Handed) -> bool) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(offer);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    /// Ends every watch.
    pub(super) fn end(&self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// What each watcher wants.
    pub(super) fn wanted(&self) -> Vec<(Filter, Packets)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| !one.queue.is_closed());
        self.count.store(all.len(), Ordering::Relaxed);
        all.iter().map(|one| (one.filter.clone(), one.packets)).collect()
    }
}

/// What a watcher reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A record.
    Record(Arc<Record>),
    /// Records that this watcher lost since the last one of these: an event `lost`.
    Lost(Box<Record>),
}

/// Records that come. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    records: Receiver<Arc<Record>>,
    lost: Arc<Lost>,
    /// Begin of the interval of the next loss.
    since: Timestamp,
    /// The same on a clock that nobody sets.
    told: Instant,
}

/// A loss is told this often at most while records come. Where none comes, it is told at once.
const NOTICE: Duration = Duration::from_secs(1);

impl Watcher {
    /// Waits for a record, or for a loss. `None`: the observer has ended.
    pub async fn next(&mut self) -> Option<Watched> {
        if let Some(watched) = self.ready() {
            return Some(watched);
        }
        // What was lost meanwhile was lost while the queue was full: there is a record, and the loss comes after it.
        match self.records.recv().await {
            Some(record) => Some(Watched::Record(record)),
            None => self.take_loss().map(Watched::Lost),
        }
    }

    /// A record or a loss that is there already.
    pub fn ready(&mut self) -> Option<Watched> {
        if self.told.elapsed() >= NOTICE
            && let Some(loss) = self.take_loss()
        {
            return Some(Watched::Lost(loss));
        }
        match self.records.try_recv() {
            Ok(record) => Some(Watched::Record(record)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.take_loss().map(Watched::Lost),
        }
    }

    fn take_loss(&mut self) -> Option<Box<Record>> {
        if !self.lost.full.swap(false, Ordering::Relaxed) && self.lost.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let count = self.lost.count.swap(0, Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        let now = now();
        self.told = Instant::now();
        let start = std::mem::replace(&mut self.since, now);
        Some(Box::new(Record::lost(start, now, count, "this client read too slowly")))
    }
}
