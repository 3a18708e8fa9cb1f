//! The time limits of a connection: its phase, the deadline of the phase, and the stream that reports progress.
//!
//! Everything that changes a [`Deadlines`] runs inside the connection's own task, which checks the deadline after each step. It
//! must never close anything itself.

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

/// How long, and how much, a connection still reads from a client that got its response before it had sent everything.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 1 << 20);

/// The phase of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A head is awaited, or has begun.
    Head,
    /// A request is being served; its body has its own time limit.
    Serving,
    /// Between a response and the next request.
    Idle,
    /// The last response was sent.
    Closing,
}

/// The time limits of one connection.
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
    /// When the connection was accepted, this request began, or the last response was made.
    began: Instant,
    /// The server is not working on the request: it waits for a part of the body, or delays the response.
    paused: bool,
    /// The request's sender is authenticated and allowed.
    known: bool,
    /// The deadline of the phase.
    deadline: Option<Instant>,
    /// When the client must have read something, if there is something to read.
    write_deadline: Option<Instant>,
    /// Whether a body was left unread.
    unread: bool,
}

impl Deadlines {
    /// A connection that was just accepted.
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

    /// The connection got its place; its time starts now.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.began = Instant::now();
        state.deadline = Some(state.began + self.head_time);
    }

    /// A whole head was read.
    pub(super) fn serving(&self) {
        let mut state = self.state();
        state.phase = Phase::Serving;
        // That of the previous request, if both arrived at once.
        state.known = false;
        state.deadline = None;
    }

    /// The response was made. From now on the connection is idle, though the response may still have to be written.
    pub(super) fn responded(&self) {
        let mut state = self.state();
        state.phase = Phase::Idle;
        state.began = Instant::now();
        state.deadline = Some(state.began + self.idle_time);
    }

    /// Whether a part of the body is awaited or the response is delayed.
    pub(super) fn paused(&self, paused: bool) {
        self.state().paused = paused;
    }

    /// The sender is authenticated and allowed.
    pub(super) fn known(&self) {
        self.state().known = true;
    }

    /// Since when the connection occupies its place without the server working for it: `None` if it is being served or is idle,
    /// or its sender is authenticated.
    pub(super) fn keeps_waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        let waits_for_the_client = match state.phase {
            Phase::Head | Phase::Closing => true,
            Phase::Serving => state.paused || state.write_deadline.is_some(),
            Phase::Idle => state.write_deadline.is_some(),
        };
        (waits_for_the_client && !state.known).then_some(state.began)
    }

    /// When this request began, if its sender is not authenticated.
    pub(super) fn unknown_since(&self) -> Option<Instant> {
        let state = self.state();
        (!state.known).then_some(state.began)
    }

    /// A body will not be read to its end.
    pub(super) fn left_unread(&self) {
        self.state().unread = true;
    }

    /// Since when it waits for another request, with all responses read.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Idle && state.write_deadline.is_none()).then_some(state.began)
    }

    /// The time by which something must have happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        [state.deadline, state.write_deadline].into_iter().flatten().min()
    }

    fn received(&self) {
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
        // A connection whose client still reads a long response is not idle.
        if state.phase == Phase::Idle {
            state.deadline = Some(Instant::now() + self.idle_time);
        }
    }

    /// The last response is written; returns whether the client may still be sending.
    fn closing(&self) -> bool {
        let mut state = self.state();
        state.phase = Phase::Closing;
        state.deadline = Some(Instant::now() + LINGER.0);
        state.unread
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code above can leave it inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that reports to its [`Deadlines`].
#[derive(Debug)]
pub(super) struct TimeoutStream<S> {
    inner: S,
    pace: Arc<Deadlines>,
    /// After the writing side is closed: how much may still be read and discarded.
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
            self.pace.received();
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

    /// Closes the writing side. If a body was left unread, the client is still sending, and closing a socket with unread bytes
    /// resets the connection: the client would lose the response that says why. So what still arrives is read and discarded, for
    /// a moment and up to a bound.
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
