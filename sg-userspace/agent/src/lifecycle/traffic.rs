//! What the agent reads about traffic while it ages flows, for whoever observes it: reports of flows, and counts of packets that
//! did not pass. While there is no room for it, the agent reads less, see `ageing`: what it does not read stays in the kernel. Sending
//! never waits: what finds no room is lost, and counted. It must never look at what a report says. Called by `start` and `session`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use crate::host::catalog::Catalog;
use jiff::Timestamp;
use sg_kernel::{Acknowledge, Denial, Events, FlowReport, Jiffies, Watcher, pins::Counters};

/// Messages that wait for the observer. Each has the reports of one part of an ageing pass, 4,096 at most.
const QUEUE: usize = 32;
/// Room for what is read whether there is room or not: before numbers change their meaning.
const SPARE: usize = 32;

/// What an observer gets.
#[derive(Debug)]
pub enum TrafficNews {
    /// The program is loaded; from now on there is something to read.
    Loaded(Box<Loaded>),
    /// What was read.
    Traffic(Traffic),
}

/// What an observer asks the kernel with.
#[derive(Debug)]
pub struct Loaded {
    /// Tells the program what somebody wants to see.
    pub watcher: Watcher,
    /// The ring of single events.
    pub events: Events,
    /// The counters, for what the program itself has lost.
    pub counters: Counters,
    /// Acknowledges reports, see [`Traffic::reports`]; `None` without a flow log.
    pub acknowledge: Option<Acknowledge>,
    /// Reports that a killed agent had taken, and that nobody has written.
    pub unwritten: u64,
    /// The time on the programs' clock.
    pub at: Jiffies,
}

/// What was read in one step of the agent.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// What the numbers in it mean.
    pub catalog: Arc<Catalog>,
    /// When it was read.
    pub at: Timestamp,
    /// The same on the programs' clock.
    pub jiffies: Jiffies,
    /// What flows have carried.
    pub flows: Vec<FlowReport>,
    /// Packets that did not pass.
    pub denials: Vec<Denial>,
    /// Flows whose last counts nobody has read.
    pub unread: u64,
    /// Reports before these that found no room in the queue.
    pub lost: u64,
    /// Whether every flow that had something to report since the interval before has been reported.
    pub ends_interval: bool,
}

impl Traffic {
    /// Nothing, read at this time.
    pub(crate) fn at(jiffies: Jiffies, catalog: Arc<Catalog>) -> Self {
        let (flows, denials) = (Vec::new(), Vec::new());
        let at = Timestamp::now();
        Self { catalog, at, jiffies, flows, denials, unread: 0, lost: 0, ends_interval: false }
    }

    /// How many reports these are: of flows, of packets that did not pass, and those that were lost before.
    #[must_use]
    pub fn reports(&self) -> u64 {
        let Self { catalog: _, at: _, jiffies: _, flows, denials, unread: _, lost, ends_interval: _ } = self;
        flows.len() as u64 + denials.len() as u64 + lost
    }
}

/// Where the agent sends it.
#[derive(Clone, Debug)]
pub struct TrafficSender {
    queue: SyncSender<TrafficNews>,
    /// Reports, and unread flows, that found no room; whether an interval ended with them.
    lost: Arc<AtomicU64>,
    unread: Arc<AtomicU64>,
    has_ended: Arc<AtomicBool>,
    /// Messages on their way.
    queued: Arc<AtomicUsize>,
    /// Whether the observer is there.
    is_read: Arc<AtomicBool>,
    /// Reports of flows are wanted, each this often.
    pub(crate) flow_interval: Option<Duration>,
}

/// Creates both ends. With a `flow_interval`, live flows are reported that often, and others when they end.
#[must_use]
pub fn traffic(flow_interval: Option<Duration>) -> (TrafficSender, TrafficReceiver) {
    let (queue, news) = sync_channel(QUEUE + SPARE);
    let queued = Arc::<AtomicUsize>::default();
    let is_read = Arc::new(AtomicBool::new(true));
    let receiver = TrafficReceiver { news, queued: Arc::clone(&queued) };
    let (lost, unread, has_ended) = (Arc::default(), Arc::default(), Arc::default());
    (TrafficSender { queue, lost, unread, has_ended, queued, is_read, flow_interval }, receiver)
}

/// The observer's end.
#[derive(Debug)]
pub struct TrafficReceiver {
    news: Receiver<TrafficNews>,
    queued: Arc<AtomicUsize>,
}

impl TrafficReceiver {
    /// Waits for the next message.
    ///
    /// # Errors
    /// If none comes within `patience`, or the agent has ended.
    pub fn recv_timeout(&self, patience: Duration) -> Result<TrafficNews, RecvTimeoutError> {
        let news = self.news.recv_timeout(patience)?;
        self.queued.fetch_sub(1, Ordering::AcqRel);
        Ok(news)
    }
}

impl TrafficSender {
    /// Says that the program is loaded. The observer waits for it, so there is room.
    pub(crate) fn loaded(&self, loaded: Loaded) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(TrafficNews::Loaded(Box::new(loaded))).is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!("nobody observes traffic");
        }
    }

    /// Whether it is worth reading: there is room for what is read, or nobody is there to read it.
    pub(crate) fn has_room(&self) -> bool {
        self.queued.load(Ordering::Acquire) < QUEUE || !self.is_read.load(Ordering::Relaxed)
    }

    /// Whether somebody reads it.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    /// Passes on what was read.
    pub(crate) fn send(&self, traffic: Traffic) {
        if traffic.reports() == 0 && traffic.unread == 0 && !traffic.ends_interval {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed) + traffic.lost;
        let unread = self.unread.swap(0, Ordering::Relaxed) + traffic.unread;
        let ends_interval = self.has_ended.swap(false, Ordering::Relaxed) || traffic.ends_interval;
        let traffic = Traffic { unread, lost, ends_interval, ..traffic };
        let reports = traffic.reports();
        self.queued.fetch_add(1, Ordering::AcqRel);
        let sent = self.queue.try_send(TrafficNews::Traffic(traffic));
        if sent.is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
        }
        match sent {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => {
                if self.is_read.swap(false, Ordering::Relaxed) {
                    tracing::error!("the observer has ended: traffic is filtered, and no longer recorded");
                }
            }
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(reports, Ordering::Relaxed);
                self.unread.fetch_add(unread, Ordering::Relaxed);
                self.has_ended.store(ends_interval, Ordering::Relaxed);
            }
        }
    }
}

/// When live flows are reported next.
#[derive(Debug)]
pub(crate) struct FlowInterval(Instant);

impl Default for FlowInterval {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl FlowInterval {
    /// Whether another interval is over.
    pub(crate) fn is_over(&mut self, interval: Duration) -> bool {
        let now = Instant::now();
        let is_over = now.duration_since(self.0) >= interval;
        if is_over {
            // What is late does not make the next one late, unless it is late by more than one.
            self.0 = if now.duration_since(self.0) >= interval * 2 { now } else { self.0 + interval };
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use sg_common::denied::DeniedKey;

    use super::*;
    use crate::samples::LIMITS;

    fn lost(unread: u64) -> Traffic {
        let catalog = Catalog::new(LIMITS, sg_kernel::Attachment::Auto);
        Traffic { unread, ..Traffic::at(Jiffies::default(), Arc::new(catalog)) }
    }

    #[test]
    fn an_observer_that_does_not_read_keeps_nobody_waiting() {
        let (sender, news) = traffic(None);
        for number in 0..(QUEUE + SPARE) as u64 {
            assert_eq!(sender.has_room(), number < QUEUE as u64);
            sender.send(lost(number + 1));
        }
        let denial = Denial {
            key: DeniedKey::default(),
            is_named: true,
            packets: 9,
            bytes: 540,
            first: 0,
            last: 0,
            generation: 1,
            source_port: 0,
            is_first: true,
        };
        sender.send(Traffic { lost: 7, denials: vec![denial], ends_interval: true, ..lost(3) });
        while news.recv_timeout(Duration::ZERO).is_ok() {}
        assert!(sender.has_room());
        sender.send(lost(1));
        let Ok(TrafficNews::Traffic(traffic)) = news.recv_timeout(Duration::ZERO) else {
            panic!("nothing was sent")
        };
        assert_eq!((traffic.lost, traffic.unread, traffic.ends_interval), (8, 4, true));
        drop(news);
        sender.send(lost(1));
        assert!(sender.has_room() && !sender.is_read(), "nobody waits for an observer that has ended");
    }

    #[test]
    fn nothing_is_not_worth_a_message() {
        let (sender, news) = traffic(None);
        sender.send(lost(0));
        assert!(news.recv_timeout(Duration::ZERO).is_err());
    }
}
