//! What the agent reads about traffic while it ages flows, for whoever observes it: reports of flows, and counts of packets that
//! did not pass. The agent never waits for the observer: what finds no room is counted as lost, or stays in the kernel until the
//! next time. It must never look at what a report says. Called by `start` and `session`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sg_kernel::{Acknowledge, Denial, Events, FlowReport, Jiffies, Watcher, pins::Counters};

/// Messages that wait for the observer. Each has the reports of one part of an ageing pass, 4,096 at most.
const QUEUE: usize = 32;

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
}

/// What was read in one step of the agent.
#[derive(Clone, Debug)]
pub struct Traffic {
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
    pub(crate) fn at(jiffies: Jiffies) -> Self {
        let (flows, denials) = (Vec::new(), Vec::new());
        Self { at: Timestamp::now(), jiffies, flows, denials, unread: 0, lost: 0, ends_interval: false }
    }

    /// How many reports these are: of flows, of packets that did not pass, of flows that nobody has read, and those that were lost.
    #[must_use]
    pub fn reports(&self) -> u64 {
        let Self { at: _, jiffies: _, flows, denials, unread, lost, ends_interval: _ } = self;
        flows.len() as u64 + denials.len() as u64 + unread + lost
    }
}

/// Where the agent sends it.
#[derive(Clone, Debug)]
pub struct TrafficSender {
    queue: SyncSender<TrafficNews>,
    lost: Arc<AtomicU64>,
    /// Whether an interval ended with what found no room.
    has_ended: Arc<AtomicBool>,
    /// Reports of flows are wanted, each this often.
    pub(crate) flow_interval: Option<Duration>,
}

/// Creates both ends. With a `flow_interval`, live flows are reported that often, and others when they end.
#[must_use]
pub fn traffic(flow_interval: Option<Duration>) -> (TrafficSender, Receiver<TrafficNews>) {
    let (queue, news) = sync_channel(QUEUE);
    (TrafficSender { queue, lost: Arc::default(), has_ended: Arc::default(), flow_interval }, news)
}

impl TrafficSender {
    /// Says that the program is loaded. The observer waits for it, so there is room.
    pub(crate) fn loaded(&self, loaded: Loaded) {
        if self.queue.try_send(TrafficNews::Loaded(Box::new(loaded))).is_err() {
            tracing::warn!("nobody observes traffic");
        }
    }

    /// Passes on what was read.
    pub(crate) fn send(&self, traffic: Traffic) {
        let reports = traffic.reports();
        if reports == 0 && !traffic.ends_interval {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let ends_interval = self.has_ended.swap(false, Ordering::Relaxed) || traffic.ends_interval;
        let traffic = Traffic { lost: lost + traffic.lost, ends_interval, ..traffic };
        match self.queue.try_send(TrafficNews::Traffic(traffic)) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(lost + reports, Ordering::Relaxed);
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

    fn lost(unread: u64) -> Traffic {
        Traffic { unread, ..Traffic::at(Jiffies::default()) }
    }

    #[test]
    fn an_observer_that_does_not_read_keeps_nobody_waiting() {
        let (sender, news) = traffic(None);
        for number in 0..QUEUE as u64 {
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
        sender.send(Traffic { lost: 7, denials: vec![denial], ends_interval: true, ..lost(1) });
        news.try_iter().for_each(drop);
        sender.send(lost(1));
        let Ok(TrafficNews::Traffic(traffic)) = news.recv() else { panic!("nothing was sent") };
        assert_eq!((traffic.lost, traffic.ends_interval), (9, true));
        drop(news);
        sender.send(lost(1));
    }

    #[test]
    fn nothing_is_not_worth_a_message() {
        let (sender, news) = traffic(None);
        sender.send(lost(0));
        assert!(news.try_recv().is_err());
    }
}
