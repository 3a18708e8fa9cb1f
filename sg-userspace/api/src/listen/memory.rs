//! The memory for bodies: what each has of its own, what all share, and whose body is dropped when that is short.
//!
//! A small body fits into its own memory and never waits for others. When the shared memory is short, the body that has been
//! incomplete for longest and whose caller is not authenticated is dropped, and whoever needs memory waits until it is gone:
//! bodies that never end lock nobody out. If authenticated callers or complete requests hold all of it, the request for more is
//! refused.
//!
//! It must never close anything itself: it tells a body to end, and the body does.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};

use super::{Limits, deadlines::Deadlines};

/// The minimum time between log lines about dropped bodies.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// The memory for the bodies of one listener.
#[derive(Debug)]
pub(super) struct Memory {
    own: usize,
    /// How long a body keeps its memory in any case.
    least: Duration,
    /// In bytes. Waiters are served in order.
    shared: Arc<Semaphore>,
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    next: u64,
    by: BTreeMap<u64, Holder>,
    /// Bodies that were dropped since the last log line.
    gone: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Holder {
    pace: Arc<Deadlines>,
    /// The size it may reach, as far as that is known.
    expected: usize,
    /// Its part of the shared memory.
    shared: usize,
    /// More of it is awaited.
    incomplete: bool,
    /// When it was told to end.
    told: Option<Instant>,
    waker: Option<Waker>,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let shared = Arc::new(Semaphore::new(limits.shared_body_bytes.min(Semaphore::MAX_PERMITS)));
        let (own, least) = (limits.own_body_bytes, limits.least_time);
        Arc::new(Self { own, least, shared, bodies: Mutex::default() })
    }

    /// Tells bodies to end until `wanted` bytes will be free; returns when to check again, or `None` if there is no body left to
    /// tell.
    fn make_room(&self, wanted: usize, now: Instant) -> Option<Instant> {
        let mut bodies = self.bodies();
        let again = now + self.least;
        let leaving = bodies.by.values().filter(|one| one.told.is_some()).map(|one| one.shared);
        let mut leaving: usize = leaving.sum();
        while leaving < wanted {
            let unwarned = bodies.by.values_mut().filter(|one| one.incomplete && one.shared > 0);
            let unwarned = unwarned.filter(|one| one.told.is_none());
            let unknown = unwarned.filter_map(|one| Some((one.pace.unknown_since()?, one)));
            let Some((since, oldest)) = unknown.min_by_key(|(since, _)| *since) else {
                return (leaving > 0).then_some(again);
            };
            if since + self.least > now {
                return Some(since + self.least);
            }
            oldest.told = Some(now);
            leaving += oldest.shared;
            if let Some(waker) = oldest.waker.take() {
                waker.wake();
            }
            bodies.gone += 1;
        }
        if bodies.gone > 0 && bodies.told.is_none_or(|told| now.duration_since(told) >= COMPLAINT_INTERVAL) {
            tracing::warn!(
                "the memory for request bodies is taken: incomplete bodies that were refused for others: {}",
                std::mem::take(&mut bodies.gone)
            );
            bodies.told = Some(now);
        }
        Some(again)
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        // No code above can leave it inconsistent.
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of one request's body; released when the request is served and its body dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Memory>,
    number: u64,
}

impl Share {
    pub(super) fn of(memory: &Arc<Memory>, pace: Arc<Deadlines>) -> Arc<Self> {
        let mut bodies = memory.bodies();
        let number = bodies.next;
        bodies.next += 1;
        let holder = Holder { pace, expected: 0, shared: 0, incomplete: true, told: None, waker: None };
        bodies.by.insert(number, holder);
        drop(bodies);
        Arc::new(Self { memory: Arc::clone(memory), number })
    }

    /// Whether the body has to end; if not, `context` is woken when it has.
    pub(super) fn has_to_end(&self, context: &Context<'_>) -> bool {
        self.with(|holder| {
            holder.waker = Some(context.waker().clone());
            holder.told.is_some()
        })
        .unwrap_or(true)
    }

    /// No more data will arrive.
    pub(super) fn complete(&self) {
        self.with(|holder| {
            holder.incomplete = false;
            holder.waker = None;
        });
    }

    /// Takes memory for a body that will have, or has, `expected` bytes; returns a turn if it has to wait. A body with an
    /// announced length gets all of it before it is read on, so that no two wait for each other's rest.
    pub(super) fn take(&self, expected: usize) -> Option<Turn> {
        let beyond = |bytes: usize| bytes.saturating_sub(self.memory.own);
        let wanted = self.with(|holder| {
            let before = beyond(holder.expected);
            holder.expected = holder.expected.max(expected);
            beyond(holder.expected) - before
        })?;
        if wanted == 0 {
            return None;
        }
        let count = u32::try_from(wanted).unwrap_or(u32::MAX);
        if let Ok(permit) = self.memory.shared.try_acquire_many(count) {
            permit.forget();
            self.holds(wanted);
            return None;
        }
        let now = Instant::now();
        let permit = Box::pin(Arc::clone(&self.memory.shared).acquire_many_owned(count));
        Some(Turn { wanted, permit, since: now, again: Box::pin(sleep_until(now)) })
    }

    fn holds(&self, bytes: usize) {
        self.with(|holder| holder.shared += bytes);
    }

    fn with<T>(&self, change: impl FnOnce(&mut Holder) -> T) -> Option<T> {
        self.memory.bodies().by.get_mut(&self.number).map(change)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let holder = self.memory.bodies().by.remove(&self.number);
        self.memory.shared.add_permits(holder.map_or(0, |holder| holder.shared));
    }
}

/// A body's wait for memory. The data that has arrived waits, too, and no more is read.
pub(super) struct Turn {
    wanted: usize,
    permit: Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>,
    since: Instant,
    again: Pin<Box<Sleep>>,
}

impl Turn {
    /// `false` if no memory can be had.
    pub(super) fn poll(&mut self, share: &Share, context: &mut Context<'_>) -> Poll<bool> {
        let memory = &share.memory;
        loop {
            if let Poll::Ready(permit) = self.permit.as_mut().poll(context) {
                let Ok(permit) = permit else { return Poll::Ready(false) };
                permit.forget();
                share.holds(self.wanted);
                return Poll::Ready(true);
            }
            ready!(self.again.as_mut().poll(context));
            let now = Instant::now();
            // Complete requests may be served in a moment.
            let patience = (self.since + memory.least > now).then_some(self.since + memory.least);
            let Some(again) = memory.make_room(self.wanted, now).or(patience) else {
                return Poll::Ready(false);
            };
            self.again.as_mut().reset(again);
        }
    }
}
