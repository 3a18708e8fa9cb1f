//! The time a connection may take: what it is doing now, by when that must have ended, and the stream that tells.
//!
//! Everything that changes a [`Deadlines`] runs inside the connection's own task, which looks at the deadline after each
//! step. It must never close anything itself.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::Limits;

/// How long, and how much, is still read of a client that was answered before it had sent everything.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 1 << 20);

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A head is awaited, or has begun.
    Head,
    /// A request is being answered; its body has its own time.
    Serving,
    /// Between an answer and the next request.
    Idle,
    /// The answer was the last one.
    Closing,
}

/// The time of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    head_time: Duration,
    idle_time: Duration,
    write_time: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the connection was made, this request began, or the last one was answered.
    began: Instant,
    /// Nothing is done for the request now: a part of its body is awaited, or its answer is held back.
    paused: bool,
    /// The request is known to come from somebody who may ask.
    known: bool,
    /// When the phase must have ended.
    deadline: Option<Instant>,
    /// When the client must have read something, where there is something to read.
    write_deadline: Option<Instant>,
    /// Whether a body was left unread.
    unread: bool,
}

impl Deadlines {
    /// A connection that was just made.
    pub(super) fn new(limits: &Limits) -> Self {
        let began = Instant::now();
        let deadline = Some(began + limits.head_time);
        Self {
            head_time: limits.head_time,
            idle_time: limits.idle_time,
            write_time: limits.write_time,
            state: Mutex::new(State {
                phase: Phase::Head,
                began,
                paused: false,
                known: false,
                deadline,
                write_deadline: None,
                unread: false,
            }),
        }
    }

    /// The connection has a place only now.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.began = Instant::now();
        state.deadline = Some(state.began + self.head_time);
    }

    /// A whole head was read.
    pub(super) fn serving(&self) {
        let mut state = self.state();
        state.phase = Phase::Serving;
        // Of the request before it, where both came at once.
        state.known = false;
        state.deadline = None;
    }

    /// There is an answer; from now on the connection is idle, though the answer may still have to be written.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.phase = Phase::Idle;
        state.began = Instant::now();
        state.deadline = Some(state.began + self.idle_time);
    }

    /// A part of the body is awaited or the answer is held back, or no more.
    pub(super) fn paused(&self, paused: bool) {
        self.state().paused = paused;
    }

    /// Who asks is known, and may.
    pub(super) fn known(&self) {
        self.state().known = true;
    }

    /// Since when it keeps others waiting for nothing that this process does: `None` where it is being served or idle, or
    /// where who asks is known.
    pub(super) fn keeps_waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        let waits_for_the_client = match state.phase {
            Phase::Head | Phase::Closing => true,
            Phase::Serving => state.paused || state.write_deadline.is_some(),
            Phase::Idle => state.write_deadline.is_some(),
        };
        (waits_for_the_client && !state.known).then_some(state.began)
    }

    /// When this request began, where nobody knows who sent it.
    pub(super) fn unknown_since(&self) -> Option<Instant> {
        let state = self.state();
        (!state.known).then_some(state.began)
    }

    /// A body will not be read to its end.
    pub(super) fn left_unread(&self) {
        self.state().unread = true;
    }

    /// Since when it waits for another request, all answers being read.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Idle && state.write_deadline.is_none()).then_some(state.began)
    }

    /// By when something must have happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        [state.deadline, state.write_deadline].into_iter().flatten().min()
    }

    fn heard(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.began = Instant::now();
            state.known = false;
            state.deadline = Some(state.began + self.head_time);
        }
    }

    fn write_blocked(&self) {
        let mut state = self.state();
        if state.write_deadline.is_none() {
            state.write_deadline = Some(Instant::now() + self.write_time);
        }
    }

    fn wrote(&self) {
        let mut state = self.state();
        state.write_deadline = None;
        // A long answer that is read is not idle.
        if state.phase == Phase::Idle {
            state.deadline = Some(Instant::now() + self.idle_time);
        }
    }

    /// The last answer is written; returns whether the client may still be sending.
    fn closing(&self) -> bool {
        let mut state = self.state();
        state.phase = Phase::Closing;
        state.deadline = Some(Instant::now() + LINGER.0);
        state.unread
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing above can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that tells its [`Deadlines`] what happens to it.
#[derive(Debug)]
pub(super) struct TimeoutStream<S> {
    inner: S,
    pace: Arc<Deadlines>,
    /// Once the writing side is closed: how much may still be read and thrown away.
    draining: Option<usize>,
}

impl<S> TimeoutStream<S> {
    pub(super) fn new(inner: S, pace: Arc<Deadlines>) -> Self {
        Self { inner, pace, draining: None }
    }

    fn note(&self, wrote: &Poll<io::Result<usize>>) {
        match wrote {
            Poll::Pending => self.pace.write_blocked(),
            Poll::Ready(Ok(_)) => self.pace.wrote(),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.heard();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        self.note(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Closes the writing side. Where a body was left unread, the client is still sending, and a socket that is
    /// closed with bytes unread resets the connection: the client would lose the answer that says why. So what
    /// still comes is read and thrown away, for a moment and up to a bound.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.draining.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            self.draining = Some(if self.pace.closing() { LINGER.1 } else { 0 });
        }
        let mut scratch = [0; 4096];
        while let Some(left @ 1..) = self.draining {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            let ended = read.is_err() || count == 0;
            self.draining = Some(if ended { 0 } else { left.saturating_sub(count) });
        }
        Poll::Ready(Ok(()))
    }
}
