//! A sink with its thread: takes records from a bounded queue, filters and sums them, and delivers.
//!
//! It must never make whoever offers records wait. Called by `Sinks`.

use std::{
    any::Any,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::Builder,
    time::{Duration, Instant},
};

use super::{
    counters::{Counted, Counters, Why},
    interface::Sink,
};
use crate::{
    aggregate::{Aggregate, Fields, MAX_SUMS},
    filter::Filter,
    record::Record,
};

/// Records that are offered together, and shared by all sinks.
pub type Batch = Arc<[Arc<Record>]>;

/// Held as long as records wait to be written.
pub type Receipt = Arc<dyn Any + Send + Sync>;

/// Records that wait in the queue of a sink at most. One batch may be more, if the queue is empty.
pub(super) const MAX_QUEUED: usize = 65_536;

/// How long a sink that cannot deliver waits before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a sink may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// What a sink is offered.
pub(super) enum Work {
    Records(Batch, Option<Receipt>),
    NoData(Arc<Record>),
}

impl Work {
    /// Its part of the queue.
    fn len(&self) -> usize {
        match self {
            Self::Records(batch, _) => batch.len(),
            Self::NoData(_) => 1,
        }
    }

    fn records(&self) -> u64 {
        match self {
            Self::Records(batch, _) => batch.len() as u64,
            Self::NoData(_) => 0,
        }
    }
}

/// A sink that runs. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Delivery {
    queue: Option<Sender<Work>>,
    queued: Arc<AtomicUsize>,
    /// Records that found the queue full, and of which the sink has not been told.
    lost: Arc<AtomicU64>,
    counters: Arc<Counters>,
    /// Closed when the thread has ended. Behind a lock, because metrics and the observer share the sinks.
    ended: Mutex<Receiver<()>>,
}

impl Delivery {
    /// Starts a thread that delivers what `filter` admits to `sink`, summed over an interval or as it comes.
    pub(super) fn start(
        sink: Box<dyn Sink>,
        filter: Filter,
        summed: Option<(&Fields, Duration)>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let (queued, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let worker = Worker {
            sink,
            filter,
            sums: summed.map(|(fields, interval)| (Aggregate::new(fields, MAX_SUMS), interval)),
            summed: Vec::new(),
            queued: Arc::clone(&queued),
            lost: Arc::clone(&lost),
        };
        let (running, ended) = channel();
        let run = move || {
            let _running: Sender<()> = running;
            worker.run(&receiver);
        };
        Builder::new().name("flow-log".into()).spawn(run)?;
        Ok(Self { queue: Some(sender), queued, lost, counters, ended: Mutex::new(ended) })
    }

    pub(super) fn offer(&self, work: Work) {
        let (count, records) = (work.len(), work.records());
        // The observer is alone in adding.
        let queued = self.queued.load(Ordering::Acquire);
        let full = queued > 0 && queued.saturating_add(count) > MAX_QUEUED;
        let taken = !full && {
            self.queued.fetch_add(count, Ordering::AcqRel);
            self.queue.as_ref().is_some_and(|queue| queue.send(work).is_ok())
        };
        if !taken {
            self.counters.lost(records, Why::QueueFull);
            self.lost.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Tells the thread to end.
    pub(super) fn close(&mut self) {
        drop(self.queue.take());
    }

    #[cfg(test)]
    pub(super) const fn shared_counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.close();
        // A disk that hangs must not keep the agent from ending.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("flow log {}: given up, it does not end", self.counters.counted().target);
        }
        let Counted { target, lost, .. } = self.counters.counted();
        let lost = lost.iter().find(|lost| lost.why == Why::Ended).map_or(0, |lost| lost.records);
        if lost > 0 {
            tracing::warn!("flow log {target}: ended with {lost} records that could not be delivered");
        }
    }
}

/// What the thread has.
struct Worker {
    sink: Box<dyn Sink>,
    filter: Filter,
    sums: Option<(Aggregate, Duration)>,
    /// Of what is in the sums.
    summed: Vec<Receipt>,
    queued: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Work>) {
        let (mut tried, mut summed_since) = (Instant::now(), Instant::now());
        loop {
            let work = queue.recv_timeout(PAUSE);
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.sink.tell_loss(lost);
            }
            match work {
                Ok(work) => {
                    let count = work.len();
                    self.take(work);
                    self.queued.fetch_sub(count, Ordering::AcqRel);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.sums.as_ref().is_some_and(|(_, interval)| summed_since.elapsed() >= *interval) {
                summed_since = Instant::now();
                self.deliver_sums();
            }
            if tried.elapsed() >= PAUSE {
                self.sink.retry();
                // After it: an attempt may take longer than the pause, and the queue must be emptied between two.
                tried = Instant::now();
            }
        }
        self.deliver_sums();
        self.sink.finish();
    }

    fn take(&mut self, work: Work) {
        let (batch, receipt) = match work {
            Work::Records(batch, receipt) => (batch, receipt),
            Work::NoData(interval) if !self.filter.admits_no_data(&interval) => return,
            Work::NoData(interval) => return self.sink.no_data(&interval),
        };
        let admitted = batch.iter().filter(|record| self.filter.admits(record));
        let passed: Vec<Arc<Record>> = match &mut self.sums {
            Some((sums, _)) => admitted.filter(|record| !sums.add(record)).cloned().collect(),
            None => admitted.cloned().collect(),
        };
        if !passed.is_empty() {
            self.sink.deliver(&passed);
        }
        if self.sums.is_some() {
            self.summed.extend(receipt);
        }
    }

    fn deliver_sums(&mut self) {
        let Some((sums, _)) = &mut self.sums else { return };
        let sums: Vec<_> = sums.take().into_iter().map(Arc::new).collect();
        if !sums.is_empty() {
            self.sink.deliver(&sums);
        }
        self.summed.clear();
    }
}
