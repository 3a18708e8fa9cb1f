//! The places of a listener: who has one, and who gives theirs up where all are taken and somebody waits.
//!
//! That is the connection that has kept the others waiting for longest: its request is not complete, its answer is held
//! back, or it does not read what it is answered. One that is being served, or whose caller is known, keeps its place.
//! It must never close anything itself: it tells a connection to leave, and the connection does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{Limits, connection::House, pace::Pace};

/// How often the log hears of connections that gave up their places.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    /// How long a connection has its place in any case.
    least: Duration,
    taken: Mutex<Taken>,
    /// A place became free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Occupant>,
    /// Connections that gave up their places since the log heard of them.
    gone: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Occupant {
    pace: Arc<Pace>,
    leave: Arc<Notify>,
    /// It was told to.
    leaves: bool,
}

/// A place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) pace: Arc<Pace>,
    /// Somebody else gets the place: the connection ends now.
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

/// What there is to wait for.
enum Turn {
    /// A connection leaves.
    Leaves,
    /// Nobody may be told to leave before this.
    NotBefore(Instant),
}

impl Seats {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.connections.max(1),
            least: limits.least_time,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place for a connection that is there already. Where all are taken, idle connections leave, and then the one that
    /// keeps the others waiting.
    pub(super) async fn enter(self: &Arc<Self>, limits: &Limits, house: &watch::Sender<House>) -> Seat {
        let pace = Arc::new(Pace::new(limits));
        if let Some(seat) = self.take(&pace) {
            house.send_if_modified(|house| std::mem::replace(house, House::Open) == House::Full);
            return seat;
        }
        house.send_if_modified(|house| std::mem::replace(house, House::Full) == House::Open);
        let mut idle_ones_leave = true;
        loop {
            if let Some(seat) = self.take(&pace) {
                pace.begin();
                return seat;
            }
            let turn = self.make_room(Instant::now(), std::mem::take(&mut idle_ones_leave));
            let time = match turn {
                Turn::Leaves => self.least,
                Turn::NotBefore(time) => time.saturating_duration_since(Instant::now()),
            };
            // Whatever is waited for may also not happen: a connection that was idle is asked something, and stays.
            let _ = timeout(time.max(Duration::from_millis(1)), self.freed.notified()).await;
        }
    }

    fn take(self: &Arc<Self>, pace: &Arc<Pace>) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.by.len() >= self.most {
            return None;
        }
        let (number, leave) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken
            .by
            .insert(number, Occupant { pace: Arc::clone(pace), leave: Arc::clone(&leave), leaves: false });
        Some(Seat { pace: Arc::clone(pace), leave, number, seats: Arc::clone(self) })
    }

    /// Tells one connection to leave, where there is one to tell.
    fn make_room(&self, now: Instant, idle_ones_leave: bool) -> Turn {
        let mut taken = self.taken();
        if taken.by.values().any(|one| one.leaves || idle_ones_leave && one.pace.is_idle()) {
            return Turn::Leaves;
        }
        let waiting = taken.by.values_mut().filter_map(|one| Some((one.pace.keeps_waiting_since()?, one)));
        let Some((since, oldest)) = waiting.min_by_key(|(since, _)| *since) else {
            return Turn::NotBefore(now + self.least);
        };
        if since + self.least > now {
            return Turn::NotBefore(since + self.least);
        }
        oldest.leaves = true;
        oldest.leave.notify_one();
        taken.gone += 1;
        if taken.told.is_none_or(|told| now.duration_since(told) >= COMPLAINT_INTERVAL) {
            log::warn!(
                "all {} connections are taken: {} that sent no complete request, or did not read their answers, were \
                 closed for others",
                self.most,
                std::mem::take(&mut taken.gone)
            );
            taken.told = Some(now);
        }
        Turn::Leaves
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing above can leave it half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
