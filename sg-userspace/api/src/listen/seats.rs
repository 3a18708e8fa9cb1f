//! The places of a listener: which connections have one, and which one gives its place up when all are taken and another waits.
//!
//! That is the connection that has been idle for longest; if none is idle, the one that has occupied its place for longest
//! without progress: its request is incomplete, its response is delayed, or it does not read its response. A connection that is
//! being served, or whose caller is authenticated, keeps its place. One connection leaves for each that arrives; the others are
//! not affected.
//!
//! It must never close anything itself: it tells a connection to leave, and the connection does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Limits, deadlines::Deadlines};

/// The minimum time between log lines about connections that gave up their places.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    /// How long a connection keeps its place in any case.
    least: Duration,
    /// A connection had to wait, and none since got a place without waiting.
    full: AtomicBool,
    taken: Mutex<Taken>,
    /// A place became free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Occupant>,
    /// Connections that gave up their places since the last log line.
    gone: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Occupant {
    pace: Arc<Deadlines>,
    leave: Arc<Notify>,
    /// When it was told to leave.
    told: Option<Instant>,
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) pace: Arc<Deadlines>,
    /// Signalled when another connection gets the place: this one ends.
    pub(super) leave: Arc<Notify>,
    number: u64,
    seats: Arc<Seats>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().by.remove(&self.number);
        self.seats.freed.notify_one();
    }
}

impl Seats {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.connections.max(1),
            least: limits.least_time,
            full: AtomicBool::new(false),
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Whether connections should close after their responses.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Gets a place for an accepted connection. If all are taken, another one is told to leave.
    pub(super) async fn enter(self: &Arc<Self>, limits: &Limits) -> Seat {
        let pace = Arc::new(Deadlines::new(limits));
        if let Some(seat) = self.take(&pace) {
            self.full.store(false, Ordering::Relaxed);
            return seat;
        }
        self.full.store(true, Ordering::Relaxed);
        loop {
            let until = self.make_room(Instant::now());
            // The wait has a limit, as its event may never happen: an idle connection that was told to leave may get a request,
            // and stay.
            let _ = timeout(until.saturating_duration_since(Instant::now()), self.freed.notified()).await;
            if let Some(seat) = self.take(&pace) {
                pace.begin();
                return seat;
            }
        }
    }

    fn take(self: &Arc<Self>, pace: &Arc<Deadlines>) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.by.len() >= self.most {
            return None;
        }
        let (number, leave) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.by.insert(number, Occupant { pace: Arc::clone(pace), leave: Arc::clone(&leave), told: None });
        Some(Seat { pace: Arc::clone(pace), leave, number, seats: Arc::clone(self) })
    }

    /// Tells one connection to leave, if there is one; returns when to check again.
    fn make_room(&self, now: Instant) -> Instant {
        let mut taken = self.taken();
        let again = now + self.least;
        let is_leaving = |one: &Occupant| one.told.is_some_and(|told| told + self.least > now);
        if taken.by.values().any(is_leaving) {
            return again;
        }
        let idle = taken.by.values_mut().filter_map(|one| Some((one.pace.idle_since()?, one)));
        if let Some((_, idle)) = idle.min_by_key(|(since, _)| *since) {
            idle.tell(now);
            return again;
        }
        let waiting = taken.by.values_mut().filter_map(|one| Some((one.pace.keeps_waiting_since()?, one)));
        let Some((since, oldest)) = waiting.min_by_key(|(since, _)| *since) else { return again };
        if since + self.least > now {
            return since + self.least;
        }
        oldest.tell(now);
        taken.gone += 1;
        if taken.told.is_none_or(|told| now.duration_since(told) >= COMPLAINT_INTERVAL) {
            tracing::warn!(
                "all {} connections are taken: {} without a complete request, or with responses that they did not read, \
                 were closed for others",
                self.most,
                std::mem::take(&mut taken.gone)
            );
            taken.told = Some(now);
        }
        again
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // No code above can leave it inconsistent.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupant {
    fn tell(&mut self, now: Instant) {
        self.told = Some(now);
        self.leave.notify_one();
    }
}
