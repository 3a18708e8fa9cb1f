//! The observer's thread: takes what the agent sends, names it, remembers it, and offers it to the sinks; while somebody watches,
//! it also reads the ring of single events, twenty times a second. It must never make the agent wait. Started by `sgd`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use sg_agent::{InForceReader, Loaded, Traffic, TrafficNews, TrafficReceiver};
use sg_common::{abi::flows::EVENTS_LOST, event::EventKind};
use sg_kernel::{Acknowledge, Jiffies, clock};
use sg_observe::{
    history::{Limits, Observed, Packets, Single},
    record::{Event, Frame, Record},
    sink::{Receipt, Sinks},
};
use thiserror::Error;

use crate::{
    names::{Names, WithLabels},
    quiet::Quiet,
    totals::Totals,
    translate::{self, Made},
    watching::watch,
};

/// How often the ring is read while somebody watches, and how long a watch holds without being continued.
const READING: Duration = Duration::from_millis(50);
const LEASE_SECONDS: u64 = 5;
/// How often the thread looks whether somebody watches.
const RESTING: Duration = Duration::from_millis(200);
/// Events taken from the ring before other work gets a turn.
const AT_ONCE: usize = 16_384;
/// The period of the agent's counts of what did not pass.
const COUNTING: SignedDuration = SignedDuration::from_secs(5);

/// How traffic is observed.
#[derive(Debug)]
pub struct ObserverOptions {
    /// How much of the past is kept.
    pub history: Limits,
    /// How often live flows are reported.
    pub flow_interval: Duration,
    /// Where records go.
    pub sinks: Sinks,
}

/// Why there is no observer.
#[derive(Debug, Error)]
pub enum ObserverError {
    /// There is no thread for it.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// The cause.
        source: std::io::Error,
    },
}

/// What was lost on the way to records, since the observer started.
#[derive(Debug, Default)]
pub struct Tally {
    /// Reports of flows that found no room on their way from the agent.
    pub lost: AtomicU64,
    /// Flows whose last counts nobody has read.
    pub unread: AtomicU64,
    /// Reports that an agent before this one had taken, and that nobody has written.
    pub unwritten: AtomicU64,
    /// Packets and bytes of each NIC.
    pub totals: Totals,
}

/// The thread.
#[derive(Debug)]
pub struct Observer {
    observed: Arc<Observed>,
    tally: Arc<Tally>,
    sinks: Arc<Sinks>,
    thread: JoinHandle<()>,
}

impl Observer {
    /// Starts it. It ends when the agent's end of `news` is gone.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(
        options: ObserverOptions,
        news: TrafficReceiver,
        in_force: InForceReader,
        labels: Box<dyn WithLabels>,
    ) -> Result<Self, ObserverError> {
        let ObserverOptions { history, flow_interval, sinks } = options;
        let (observed, tally) = (Arc::new(Observed::new(history)), Arc::<Tally>::default());
        let sinks = Arc::new(sinks);
        let body = Body {
            observed: Arc::clone(&observed),
            tally: Arc::clone(&tally),
            sinks: Arc::clone(&sinks),
            names: Names::new(in_force, labels),
            flow_interval: SignedDuration::try_from(flow_interval).unwrap_or(SignedDuration::MAX),
            loaded: None,
            clock: None,
            ring: Ring::default(),
            quiet: Quiet::default(),
        };
        let thread = thread::Builder::new().name("observer".to_owned()).spawn(move || body.run(&news));
        let thread = thread.map_err(|source| ObserverError::Thread { source })?;
        Ok(Self { observed, tally, sinks, thread })
    }

    /// What is remembered.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed)
    }

    /// What was lost on the way.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Where records go.
    #[must_use]
    pub fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.sinks)
    }

    /// Waits until it has taken everything that the agent sent.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the observer ended unexpectedly");
        }
    }
}

struct Body {
    observed: Arc<Observed>,
    tally: Arc<Tally>,
    sinks: Arc<Sinks>,
    names: Names,
    flow_interval: SignedDuration,
    loaded: Option<Box<Loaded>>,
    /// The programs' clock at some moment.
    clock: Option<(Jiffies, Instant)>,
    ring: Ring,
    quiet: Quiet,
}

/// Reports that are acknowledged once nobody has records of them to write any more. Whoever is killed before has lost them.
#[derive(Debug)]
struct Unwritten {
    acknowledge: Acknowledge,
    reports: u64,
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.acknowledge.add(self.reports);
    }
}

/// Ends every watch.
struct End(Arc<Observed>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What is known of the ring of single events.
#[derive(Default)]
struct Ring {
    /// Events lost when somebody began to watch.
    lost: Option<u64>,
    singles: Vec<Single>,
}

impl Body {
    fn run(mut self, news: &TrafficReceiver) {
        // Also if this thread panics: nobody waits for records that do not come.
        let _end = End(Arc::clone(&self.observed));
        let mut pause = RESTING;
        self.tally.totals.follow(&self.names);
        loop {
            match news.recv_timeout(pause) {
                Ok(TrafficNews::Loaded(loaded)) => self.loaded(loaded),
                Ok(TrafficNews::Traffic(traffic)) => self.traffic(&traffic),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.follow();
            self.names.follow_current();
            self.observed.expire();
            let wanted = self.observed.wanted();
            pause = if wanted.is_empty() {
                self.ring.lost = None;
                RESTING
            } else {
                let packets = wanted.iter().map(|(_, packets)| *packets);
                let most = packets.max_by_key(|packets| *packets as u8).unwrap_or_default();
                let filters: Vec<_> = wanted.into_iter().map(|(filter, _)| filter).collect();
                self.watch(&filters, most)
            };
        }
    }

    fn loaded(&mut self, loaded: Box<Loaded>) {
        let unwritten = loaded.unwritten;
        self.clock = Some((loaded.at, Instant::now()));
        self.tally.unwritten.fetch_add(unwritten, Ordering::Relaxed);
        self.loaded = Some(loaded);
        self.ring.lost = None;
        self.quiet.begin(Timestamp::now(), &self.names);
        if unwritten > 0 {
            let now = Timestamp::now();
            let why = "the agent before this one ended before it wrote these records";
            self.remember(vec![Record::lost(now, now, unwritten, why)], None);
        }
    }

    /// Says that another policy is in force.
    fn follow(&mut self) {
        if !self.names.is_stale() {
            return;
        }
        let message = self.names.refresh();
        self.tally.totals.follow(&self.names);
        if let Some(message) = message {
            let now = Timestamp::now();
            let record = Record { message: Some(message), ..Record::new(Event::Policy, now, now) };
            self.remember(vec![record], None);
        }
    }

    fn traffic(&mut self, traffic: &Traffic) {
        // Reports are of what was in force when they were made.
        self.names.follow(&traffic.catalog);
        self.clock = Some((traffic.jiffies, Instant::now()));
        let Traffic { catalog: _, at, jiffies: _, flows, denials, unread, lost, ends_interval: _ } = traffic;
        self.tally.totals.add(traffic);
        let made = Made::of(traffic);
        let before = |period: SignedDuration| at.saturating_sub(period).unwrap_or(Timestamp::UNIX_EPOCH);
        let (flows_before, denials_before) = (before(self.flow_interval), before(COUNTING));
        let mut records = Vec::with_capacity(flows.len() + denials.len());
        let names = &self.names;
        records.extend(flows.iter().map(|report| translate::flow(names, report, made, flows_before)));
        records.extend(denials.iter().map(|denial| translate::denial(names, denial, made, denials_before)));
        if *lost > 0 {
            self.tally.lost.fetch_add(*lost, Ordering::Relaxed);
            let why = "reports found no room: the observer was too slow";
            records.push(Record::lost(flows_before, *at, *lost, why));
        }
        if *unread > 0 {
            self.tally.unread.fetch_add(*unread, Ordering::Relaxed);
            let why = "flows ended before their last counts were read";
            records.push(Record::lost(flows_before, *at, *unread, why));
        }
        let acknowledge = self.loaded.as_ref().and_then(|loaded| loaded.acknowledge.clone());
        let unwritten = acknowledge.map(|acknowledge| Unwritten { acknowledge, reports: traffic.reports() });
        let receipt = unwritten.map(|unwritten| Arc::new(unwritten) as Receipt);
        self.remember(records, receipt.as_ref());
        for interval in self.quiet.see(traffic, &self.names) {
            self.sinks.offer_no_data(&Arc::new(interval));
        }
    }

    fn remember(&self, records: Vec<Record>, receipt: Option<&Receipt>) {
        if records.is_empty() {
            return;
        }
        let records: Arc<[Arc<Record>]> = records.into_iter().map(Arc::new).collect();
        self.observed.append(&records);
        if !self.sinks.is_empty() {
            self.sinks.offer(&records, receipt);
        }
    }

    /// Until when the program is told, on its clock.
    fn until(&self) -> Option<u64> {
        let (Jiffies { now, hertz }, read) = self.clock?;
        let passed = read.elapsed().as_secs() + LEASE_SECONDS;
        Some(now.wrapping_add(passed * u64::from(hertz)))
    }

    /// Reads single events; returns when to read the next.
    fn watch(&mut self, wanted: &[sg_observe::filter::Filter], packets: Packets) -> Duration {
        let until = self.until();
        let Self { loaded, names, ring, observed, .. } = self;
        let (Some(loaded), Some(until)) = (loaded, until) else { return READING };
        let lost = loaded.counters.read(&[EVENTS_LOST]).ok().and_then(|read| read.first().copied());
        let lost = lost.map_or(0, |counter| counter.packets);
        let Some(before) = ring.lost else {
            // Somebody has just begun: what is in the ring was for somebody before.
            ring.lost = Some(lost);
            while loaded.events.drain(AT_ONCE, |_| {}) == AT_ONCE {}
            loaded.watcher.watch(&watch(names, wanted, packets, until));
            return READING;
        };
        loaded.watcher.watch(&watch(names, wanted, packets, until));
        // Every time: the clock of the world may be set.
        let (offset, singles) = (offset(), &mut ring.singles);
        let count = loaded.events.drain(AT_ONCE, |seen| {
            let nanoseconds = i128::from(seen.event.at) + offset;
            let at = Timestamp::from_nanosecond(nanoseconds).unwrap_or_else(|_| Timestamp::now());
            let mut record = translate::event(names, &seen.event, at);
            record.live = true;
            let framed = (packets == Packets::Frames).then(|| {
                let is_layer_3 = seen.event.is_layer_3 != 0;
                let frame = Frame::new(seen.event.length, is_layer_3, seen.bytes);
                Arc::new(Record { frame: Some(frame), ..record.clone() })
            });
            let is_first = seen.event.kind != EventKind::Denied as u8;
            singles.push(Single { record: Arc::new(record), framed, is_first });
        });
        observed.show(singles);
        singles.clear();
        if lost > before {
            ring.lost = Some(lost);
            let now = Timestamp::now();
            let why = "single events found no room in the kernel's ring";
            let start = now.saturating_sub(SignedDuration::from_millis(50)).unwrap_or(now);
            let record = Arc::new(Record::lost(start, now, lost - before, why));
            observed.show(&[Single { record, framed: None, is_first: true }]);
        }
        if count == AT_ONCE { Duration::ZERO } else { READING }
    }
}

/// Nanoseconds between the clock of events and that of the world.
fn offset() -> i128 {
    let monotonic = clock::nanoseconds().map_or(0, i128::from);
    Timestamp::now().as_nanosecond() - monotonic
}
