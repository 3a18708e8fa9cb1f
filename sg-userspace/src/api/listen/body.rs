//! Bodies: how large one may be, how long it may take, and how much memory all of them together may hold.
//!
//! Every body that reaches a face is a [`Bounded`] one, so no face can forget it. A body that goes too far ends with
//! a [`BodyFailure`], which the face answers in its own words. What few requests need, a whole state or a large
//! document, a face allows by name ([`LargeBody`]): one at a time, and outside of the memory for the others.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
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

/// Why a body cannot be read.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum BodyFailure {
    /// It is larger than it may be.
    #[error("the body of a request is {limit} bytes at most")]
    TooLarge {
        /// The most.
        limit: usize,
    },
    /// It takes too long.
    #[error("the body did not arrive within {} seconds", limit.as_secs_f32())]
    TooSlow {
        /// The most.
        limit: Duration,
    },
    /// Other bodies hold the memory that there is for them.
    #[error("too many large requests are being answered; try again")]
    Crowded,
    /// The client ended, or did not keep to HTTP.
    #[error("the body cannot be read: {reason}")]
    Broken {
        /// Why.
        reason: String,
    },
}

/// Reads a body to its end.
///
/// # Errors
/// Where a limit of the listener, or the client, ends it before.
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

/// How large the body of a request may be. An extension of every request: a face that knows whom it serves and
/// what they ask may raise it before it reads the body.
#[derive(Clone, Debug)]
pub struct LargeBody(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    /// What every body may have.
    ordinary: usize,
    /// What this one may have.
    limit: AtomicUsize,
    large: Arc<Semaphore>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl LargeBody {
    pub(super) fn of(limits: &Limits, large: &Arc<Semaphore>) -> Self {
        let ordinary = limits.body_bytes;
        let (limit, large) = (AtomicUsize::new(ordinary), Arc::clone(large));
        Self(Arc::new(Bounds { ordinary, limit, large, permit: Mutex::new(None) }))
    }

    /// Lets the body have up to `bytes`. The listener has one body at a time that is larger than others may be: until
    /// the last handle of it and the body are dropped, the next is refused.
    pub fn allow(&self, bytes: usize) {
        self.0.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether the body may have `bytes` bytes.
    fn admit(&self, bytes: u64) -> Result<(), BodyFailure> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        if bytes > limit as u64 {
            return Err(BodyFailure::TooLarge { limit });
        }
        let mut permit = self.permit();
        if bytes > self.0.ordinary as u64 && permit.is_none() {
            let taken = Arc::clone(&self.0.large).try_acquire_owned();
            *permit = Some(taken.map_err(|_| BodyFailure::Crowded)?);
        }
        Ok(())
    }

    fn is_large(&self) -> bool {
        self.permit().is_some()
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body with its limits.
pub(super) struct Bounded {
    inner: Incoming,
    bounds: LargeBody,
    received: usize,
    time: Duration,
    /// So many bytes of a large body have another second.
    pace_bytes: usize,
    /// Made when the body is first waited for: most requests have none.
    end: Option<Pin<Box<Sleep>>>,
    began: Instant,
    /// Of a body without a length, `inner` does not tell.
    ended: bool,
    /// What has arrived and waits for memory.
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

    /// Counts what has arrived; where it has to wait for memory, how.
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

    /// Hands out what waited for memory, once there is some.
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

    /// How long the body may take, as far as it has arrived.
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
        // What the client announced: no need to wait until it is there.
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
