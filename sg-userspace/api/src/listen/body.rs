//! Bodies: how large one may be, how long it may take, and how much memory all of them together may hold.
//!
//! Every body that reaches an API is a [`Bounded`] one, so no API can forget it. A body that exceeds a limit ends with a
//! [`BodyFailure`], which the API reports in its own form. An API allows a larger body ([`LargeBody`]) by name to the few
//! requests that need it, a whole state or a large document: one at a time, and outside the memory of the others. Those of which the
//! API itself lets in only a few stand apart: no question keeps a change from being sent.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use super::{
    Limits,
    deadlines::Deadlines,
    memory::{Share, Turn},
};

/// Why a body could not be read.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum BodyFailure {
    /// It is too large.
    #[error("the body of a request is {limit} bytes at most")]
    TooLarge {
        /// The maximum, in bytes.
        limit: usize,
    },
    /// It takes too long.
    #[error("the body did not arrive within {} seconds", limit.as_secs_f32())]
    TooSlow {
        /// The maximum.
        limit: Duration,
    },
    /// Other bodies hold all the memory.
    #[error("too many large requests are in progress; try again")]
    Crowded,
    /// The client closed the connection, or violated HTTP.
    #[error("the body cannot be read: {reason}")]
    Broken {
        /// The cause.
        reason: String,
    },
}

/// Reads a body to its end.
///
/// # Errors
/// If a limit of the listener, or the client, ends it before.
pub async fn collect(body: axum::body::Body) -> Result<Bytes, BodyFailure> {
    Ok(body.collect().await.map_err(failure)?.to_bytes())
}

/// Why a body could not be read.
#[must_use]
pub fn failure(error: axum::Error) -> BodyFailure {
    match error.into_inner().downcast::<BodyFailure>() {
        Ok(failure) => *failure,
        Err(other) => BodyFailure::Broken { reason: other.to_string() },
    }
}

/// The maximum size of a request's body. An extension of every request: an API that has identified the caller and the route may
/// raise it before it reads the body.
#[derive(Clone, Debug)]
pub struct LargeBody(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    /// The maximum of every body.
    ordinary: usize,
    /// The maximum of this one.
    limit: AtomicUsize,
    large: Arc<Semaphore>,
    /// Whether it is none of the listener's large bodies.
    is_apart: AtomicBool,
    permit: Mutex<Option<Permit>>,
}

/// What lets a large body in.
#[derive(Debug)]
enum Permit {
    /// It is the listener's large body.
    OfListener { _one: OwnedSemaphorePermit },
    /// It stands apart.
    Apart,
}

impl LargeBody {
    pub(super) fn of(limits: &Limits, large: &Arc<Semaphore>) -> Self {
        let ordinary = limits.body_bytes;
        let (limit, large) = (AtomicUsize::new(ordinary), Arc::clone(large));
        let is_apart = AtomicBool::new(false);
        Self(Arc::new(Bounds { ordinary, limit, large, is_apart, permit: Mutex::new(None) }))
    }

    /// Allows up to `bytes`. The listener has one large body at a time: until the last handle of it and the body are dropped, the
    /// next is refused.
    pub fn allow(&self, bytes: usize) {
        self.0.limit.store(bytes, Ordering::Relaxed);
    }

    /// Lets the body, if it is large, be none of the listener's. Whoever calls this bounds how many there are.
    pub fn stand_apart(&self) {
        self.0.is_apart.store(true, Ordering::Relaxed);
    }

    /// Whether the body may have `bytes` bytes.
    fn admit(&self, bytes: u64) -> Result<(), BodyFailure> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        if bytes > limit as u64 {
            return Err(BodyFailure::TooLarge { limit });
        }
        let mut permit = self.permit();
        if bytes > self.0.ordinary as u64 && permit.is_none() {
            *permit = Some(if self.0.is_apart.load(Ordering::Relaxed) {
                Permit::Apart
            } else {
                let taken = Arc::clone(&self.0.large).try_acquire_owned();
                Permit::OfListener { _one: taken.map_err(|_| BodyFailure::Crowded)? }
            });
        }
        Ok(())
    }

    fn is_large(&self) -> bool {
        self.permit().is_some()
    }

    fn permit(&self) -> MutexGuard<'_, Option<Permit>> {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body with its limits.
pub(super) struct Bounded {
    inner: Incoming,
    bounds: LargeBody,
    received: usize,
    time: Duration,
    /// A large body has another second for this many bytes.
    pace_bytes: usize,
    /// Created when the body is first waited for: most requests need none.
    end: Option<Pin<Box<Sleep>>>,
    began: Instant,
    /// For a body without a length, `inner` does not tell.
    ended: bool,
    /// Data that has arrived and waits for memory.
    waiting: Option<(Frame<Bytes>, Turn)>,
    share: Arc<Share>,
    pace: Arc<Deadlines>,
}

impl Bounded {
    pub(super) fn new(
        inner: Incoming,
        limits: &Limits,
        bounds: LargeBody,
        share: Arc<Share>,
        pace: Arc<Deadlines>,
    ) -> Self {
        Self {
            inner,
            bounds,
            received: 0,
            time: limits.body_time,
            pace_bytes: limits.large_body_pace.max(1),
            end: None,
            began: Instant::now(),
            ended: false,
            waiting: None,
            share,
            pace,
        }
    }

    /// Counts data that has arrived; returns a turn if it has to wait for memory.
    fn count(&mut self, data: &Bytes) -> Result<Option<Turn>, BodyFailure> {
        self.received = self.received.saturating_add(data.len());
        self.bounds.admit(self.received as u64)?;
        if self.bounds.is_large() {
            return Ok(None);
        }
        let rest = usize::try_from(self.inner.size_hint().lower()).unwrap_or(usize::MAX);
        Ok(self.share.take(self.received.saturating_add(rest)))
    }

    /// Waits for the client, or for memory, no longer than the body may take.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Duration> {
        self.pace.paused(true);
        let time = self.time();
        let by = self.began + time;
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(by)));
        if end.deadline() != by {
            end.as_mut().reset(by);
        }
        end.as_mut().poll(context).map(|()| time)
    }

    /// Returns data that waited for memory, once there is some.
    fn poll_waiting(
        &mut self,
        frame: Frame<Bytes>,
        mut turn: Turn,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match turn.poll(&self.share, context) {
            Poll::Ready(true) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(false) => Poll::Ready(Some(Err(BodyFailure::Crowded))),
            Poll::Pending => {
                self.waiting = Some((frame, turn));
                self.poll_end(context).map(|_| Some(Err(BodyFailure::Crowded)))
            }
        }
    }

    /// How long the body may take, by the size that has arrived.
    fn time(&self) -> Duration {
        let more = if self.bounds.is_large() { self.received / self.pace_bytes } else { 0 };
        self.time + Duration::from_secs(more as u64)
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let this = &mut *self;
        if this.share.has_to_end(context) {
            return Poll::Ready(Some(Err(BodyFailure::Crowded)));
        }
        if let Some((frame, turn)) = this.waiting.take() {
            return this.poll_waiting(frame, turn, context);
        }
        // The announced size: no need to wait until it has arrived.
        let announced = this.inner.size_hint().lower().saturating_add(this.received as u64);
        if let Err(failure) = this.bounds.admit(announced) {
            return Poll::Ready(Some(Err(failure)));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return this.poll_end(context).map(|limit| Some(Err(BodyFailure::TooSlow { limit })));
        };
        let frame = match frame {
            None => {
                this.ended = true;
                return Poll::Ready(None);
            }
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(BodyFailure::Broken { reason: error.to_string() })));
            }
        };
        match frame.data_ref().map_or(Ok(None), |data| this.count(data)) {
            Ok(None) => Poll::Ready(Some(Ok(frame))),
            Ok(Some(turn)) => this.poll_waiting(frame, turn, context),
            Err(failure) => Poll::Ready(Some(Err(failure))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.pace.paused(false);
        self.share.complete();
        if !self.ended && !self.is_end_stream() {
            self.pace.left_unread();
        }
    }
}
