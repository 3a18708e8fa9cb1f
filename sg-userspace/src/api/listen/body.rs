//! Bodies: how large one may be, how long it may take, and how much memory all of them together may hold.
//!
//! Every body that reaches a face is a [`Bounded`] one, so no face can forget it. A body that goes too far ends with
//! a [`BodyFailure`], which the face answers in its own words.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::{
    sync::Semaphore,
    time::{Instant, Sleep},
};

use super::{Limits, pace::Pace};

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
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.into_inner().downcast::<BodyFailure>() {
            Ok(failure) => *failure,
            Err(other) => BodyFailure::Broken { reason: other.to_string() },
        }),
    }
}

/// What one request takes of the memory for bodies; given back when the request is answered and its body dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Semaphore>,
    taken: AtomicUsize,
}

impl Share {
    pub(super) fn of(budget: &Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), taken: AtomicUsize::new(0) })
    }

    /// Takes more; `false` where there is not so much.
    fn take(&self, bytes: usize) -> bool {
        let Some(permit) =
            u32::try_from(bytes).ok().and_then(|count| self.budget.try_acquire_many(count).ok())
        else {
            return false;
        };
        permit.forget();
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.add_permits(*self.taken.get_mut());
    }
}

/// A body with its limits.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: Incoming,
    limit: usize,
    left: usize,
    time: Duration,
    /// Made when the body is first waited for: most requests have none.
    end: Option<Pin<Box<Sleep>>>,
    began: Instant,
    /// Of a body without a length, `inner` does not tell.
    ended: bool,
    share: Arc<Share>,
    pace: Arc<Pace>,
}

impl Bounded {
    pub(super) fn new(inner: Incoming, limits: &Limits, share: Arc<Share>, pace: Arc<Pace>) -> Self {
        let (limit, time) = (limits.body_bytes, limits.body_time);
        Self { inner, limit, left: limit, time, end: None, began: Instant::now(), ended: false, share, pace }
    }

    fn count(&mut self, data: &Bytes) -> Result<(), BodyFailure> {
        self.left = self.left.checked_sub(data.len()).ok_or(BodyFailure::TooLarge { limit: self.limit })?;
        if self.share.take(data.len()) { Ok(()) } else { Err(BodyFailure::Crowded) }
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
        // What the client announced: no need to wait until it is there.
        if this.inner.size_hint().lower() > this.left as u64 {
            return Poll::Ready(Some(Err(BodyFailure::TooLarge { limit: this.limit })));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            this.pace.paused(true);
            let (began, time) = (this.began, this.time);
            let end = this.end.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(began + time)));
            ready!(end.as_mut().poll(context));
            return Poll::Ready(Some(Err(BodyFailure::TooSlow { limit: time })));
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
        let counted = frame.data_ref().map_or(Ok(()), |data| this.count(data));
        Poll::Ready(Some(counted.map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.pace.paused(false);
        if !self.ended && !self.inner.is_end_stream() {
            self.pace.left_unread();
        }
    }
}
