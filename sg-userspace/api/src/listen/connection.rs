//! One connection, from its first byte to its last. It must never outlive its deadlines, nor the listener's grace.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    time::{Instant, Sleep, sleep_until},
};
use tower::ServiceExt;

use super::{
    Limits, Local, Peer,
    body::{Bounded, LargeBody},
    deadlines::{Deadlines, TimeoutStream},
    memory::{Memory, Share},
    seats::{Seat, Seats},
};

/// How long to delay a response; an extension of the response. Meanwhile the request holds no memory for bodies, and its
/// connection is one of those that close if others wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeldBack(pub Duration);

/// The request that an extension of this kind belongs to, for the code that authenticates it.
#[derive(Clone, Debug)]
pub struct Claim(Arc<Deadlines>);

impl Claim {
    /// Marks the request's sender as authenticated and allowed: its connection keeps its place until the response, even if all
    /// places are taken.
    pub fn accept(&self) {
        self.0.known();
    }
}

/// State that the connections of a listener share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Arc<Limits>,
    pub(super) memory: Arc<Memory>,
    pub(super) seats: Arc<Seats>,
    /// The permit of the one large body.
    pub(super) large: Arc<Semaphore>,
    /// Whether the listener is stopping.
    pub(super) closing: watch::Receiver<bool>,
}

/// The peer of a connection, and whether it may be served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    /// The address that a TCP client connected to.
    pub(super) local: Option<Local>,
    pub(super) admitted: bool,
}

/// Serves one connection to its end. If all places are taken, it closes after its next response or when it is told to leave: at
/// once, or gracefully if it is idle, after a request that has just arrived. When the listener stops, it closes after the
/// response it owes.
pub(super) async fn drive<S>(stream: S, caller: Caller, shared: Shared, seat: Seat)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut closing = shared.closing.clone();
    let pace = Arc::clone(&seat.pace);
    let stream = TokioIo::new(TimeoutStream::new(stream, Arc::clone(&pace)));
    let head_bytes = shared.limits.head_bytes;
    let service = {
        let pace = Arc::clone(&pace);
        service_fn(move |request| {
            // Here, not in the future: whatever happens next, the head was read.
            pace.serving();
            serve(request, caller, shared.clone(), Arc::clone(&pace))
        })
    };
    let connection = http1::Builder::new()
        // The deadlines of `pace` are finer than hyper's, which has one for the first head and for later requests.
        .header_read_timeout(None)
        .max_buf_size(head_bytes)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep_until(Instant::now()));

    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!("connection of {:?}: {error}", caller.peer);
                }
                return;
            }
            () = poll_fn(|context| {
                let Some(deadline) = pace.deadline() else { return Poll::Pending };
                poll_alarm(alarm.as_mut(), deadline, context)
            }) => {
                tracing::debug!("connection of {:?}: too slow, or idle for too long; closed", caller.peer);
                return;
            }
            () = seat.leave.notified() => {
                if pace.idle_since().is_some() {
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                tracing::debug!("connection of {:?}: closed for another one", caller.peer);
                return;
            }
            Ok(()) = closing.changed() => connection.as_mut().graceful_shutdown(),
        }
    }
}

fn poll_alarm(
    mut alarm: std::pin::Pin<&mut Sleep>,
    deadline: Instant,
    context: &mut std::task::Context<'_>,
) -> Poll<()> {
    if alarm.deadline() != deadline {
        alarm.as_mut().reset(deadline);
    }
    ready!(alarm.poll(context));
    Poll::Ready(())
}

async fn serve(
    request: Request<Incoming>,
    caller: Caller,
    shared: Shared,
    pace: Arc<Deadlines>,
) -> Result<Response<Body>, Infallible> {
    let share = Share::of(&shared.memory, Arc::clone(&pace));
    let mut response = if caller.admitted {
        let large = LargeBody::of(&shared.limits, &shared.large);
        let mut request = request.map(|body| {
            let (share, pace) = (Arc::clone(&share), Arc::clone(&pace));
            Body::new(Bounded::new(body, &shared.limits, large.clone(), share, pace))
        });
        request.extensions_mut().insert(caller.peer);
        if let Some(local) = caller.local {
            request.extensions_mut().insert(local);
        }
        request.extensions_mut().insert(Claim(Arc::clone(&pace)));
        request.extensions_mut().insert(large);
        shared.router.oneshot(request).await?
    } else {
        pace.left_unread();
        refuse(caller.peer)
    };
    drop(share);
    if let Some(HeldBack(time)) = response.extensions_mut().remove()
        && !time.is_zero()
    {
        hold_back(time, &pace, shared.closing.clone()).await;
    }
    if shared.seats.is_full() || *shared.closing.borrow() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    pace.responded();
    Ok(response)
}

/// Waits, unless the listener is stopping.
async fn hold_back(time: Duration, pace: &Deadlines, mut closing: watch::Receiver<bool>) {
    pace.paused(true);
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    pace.paused(false);
}

/// The response to every request of a user who is not admitted.
fn refuse(peer: Peer) -> Response<Body> {
    tracing::warn!("{peer:?} is not admitted");
    let mut response = Response::new(Body::from(
        "Your user may not use this socket: ask as root, or have sgd started with a group that you are in.\n",
    ));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
