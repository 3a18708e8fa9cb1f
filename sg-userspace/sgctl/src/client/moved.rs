//! Progress of a request or a response: a large one takes time, and the user wants to see that it moves. The client counts;
//! another thread reads the counts and displays them.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use indicatif::HumanBytes;

/// A smaller transfer is over before anybody looks.
const WORTH_SHOWING: u64 = 1 << 20;
/// The size of a piece of a body.
const PIECE: usize = 64 << 10;

/// The transferred bytes, and the total.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    bytes: AtomicU64,
    of: AtomicU64,
    sending: AtomicBool,
}

impl Moved {
    /// Starts a transfer of `of` bytes; 0: the size is unknown.
    pub(crate) fn begin(&self, of: u64, sending: bool) {
        self.sending.store(sending, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The text to display, if the transfer is worth showing.
    pub(crate) fn words(&self) -> Option<String> {
        let (bytes, of) = (self.bytes(), self.of.load(Ordering::Relaxed));
        if bytes.max(of) < WORTH_SHOWING {
            return None;
        }
        let sending = self.sending.load(Ordering::Relaxed);
        Some(match (sending, of) {
            (true, of) if bytes >= of => format!("{} sent, waiting for sgd", HumanBytes(of)),
            (true, of) => format!("{} of {} sent", HumanBytes(bytes), HumanBytes(of)),
            (false, 0) => format!("{} received", HumanBytes(bytes)),
            (false, of) => format!("{} of {} received", HumanBytes(bytes), HumanBytes(of)),
        })
    }
}

/// A body that is sent piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    left: Bytes,
    moved: Arc<Moved>,
}

impl Pieces {
    pub(crate) fn of(bytes: Bytes, moved: &Arc<Moved>) -> Self {
        moved.begin(bytes.len() as u64, true);
        Self { left: bytes, moved: Arc::clone(moved) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = PIECE.min(self.left.len());
        if size == 0 {
            return Poll::Ready(None);
        }
        self.moved.add(size);
        let piece = self.left.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_said_where_it_is_large() {
        let moved = Moved::default();
        assert_eq!(moved.words(), None);
        moved.begin(1000, true);
        assert_eq!(moved.words(), None);
        moved.begin(3 << 20, true);
        moved.add(1 << 20);
        assert_eq!(moved.words().as_deref(), Some("1.00 MiB of 3.00 MiB sent"));
        moved.add(2 << 20);
        assert_eq!(moved.words().as_deref(), Some("3.00 MiB sent, waiting for sgd"));
        moved.begin(0, false);
        moved.add(2 << 20);
        assert_eq!(moved.words().as_deref(), Some("2.00 MiB received"));
    }
}
