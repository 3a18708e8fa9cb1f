//! A response that goes on: lines that the server sends as they come, for as long as it likes.
//!
//! The timeout of requests is for the head alone; whoever reads says how long to wait for the next lines. Ctrl-C and SIGTERM end the
//! wait from the beginning on, so that the command can end as it likes. It must never know what is in a line. `http` begins it, and
//! the commands read it.

use std::{future::Future, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time,
};

use crate::client::{error::ClientError, server::Server};

/// The longest line that is waited for: a longer one is none of ours, and is handed out in parts.
const LONGEST: usize = 16 << 20;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Whole lines.
    Lines(Bytes),
    /// Nothing, for as long as the reader wanted to wait.
    Quiet,
    /// The server has ended the response.
    End,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// The lines of a response. Dropping it closes the connection.
pub(crate) struct Lines<'c> {
    runtime: &'c Runtime,
    server: &'c Server,
    signals: Signals,
    /// None: interrupted before the response began.
    body: Option<Incoming>,
    /// The beginning of a line.
    rest: BytesMut,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Within a runtime.
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl<'c> Lines<'c> {
    /// Waits for the head of the response.
    pub(super) fn begin(
        runtime: &'c Runtime,
        server: &'c Server,
        timeout: Duration,
        head: impl Future<Output = Result<Incoming, ClientError>>,
    ) -> Result<Self, ClientError> {
        runtime.block_on(async {
            let mut signals = Signals::new().map_err(ClientError::Runtime)?;
            let body = tokio::select! {
                biased;
                () = signals.any() => None,
                head = time::timeout(timeout, head) => match head {
                    Ok(body) => Some(body?),
                    Err(_) => return Err(ClientError::Timeout { seconds: timeout.as_secs(), changes: false }),
                },
            };
            Ok(Self { runtime, server, signals, body, rest: BytesMut::new() })
        })
    }

    /// Whether there is a response: not after Ctrl-C before it began.
    pub(crate) const fn have_begun(&self) -> bool {
        self.body.is_some()
    }

    /// Waits for lines, so long at most.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Next, ClientError> {
        let Self { runtime, server, signals, body, rest } = self;
        let Some(body) = body else { return Ok(Next::Interrupted) };
        let broken = |source| ClientError::Broken { server: (*server).clone(), changes: false, source };
        runtime.block_on(async {
            let deadline = time::Instant::now() + wait;
            loop {
                let frame = tokio::select! {
                    biased;
                    () = signals.any() => return Ok(Next::Interrupted),
                    frame = time::timeout_at(deadline, body.frame()) => match frame {
                        Ok(frame) => frame,
                        Err(_) => return Ok(Next::Quiet),
                    },
                };
                let Some(frame) = frame else {
                    // A server that ends in the middle of a line has ended all the same.
                    return Ok(if rest.is_empty() { Next::End } else { Next::Lines(rest.split().freeze()) });
                };
                let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
                if let Some(lines) = whole(rest, &data) {
                    return Ok(Next::Lines(lines));
                }
            }
        })
    }
}

/// The whole lines of what came so far; what is behind them stays in `rest`.
fn whole(rest: &mut BytesMut, data: &[u8]) -> Option<Bytes> {
    let end = data.iter().rposition(|byte| *byte == b'\n').map(|last| rest.len() + last + 1);
    rest.extend_from_slice(data);
    match end {
        Some(end) => Some(rest.split_to(end).freeze()),
        None if rest.len() > LONGEST => Some(rest.split().freeze()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_handed_out_whole() {
        let mut rest = BytesMut::new();
        assert_eq!(whole(&mut rest, b"one"), None);
        assert_eq!(whole(&mut rest, b" line\nand\nano").as_deref(), Some(&b"one line\nand\n"[..]));
        assert_eq!(whole(&mut rest, b""), None);
        assert_eq!(whole(&mut rest, b"ther\n").as_deref(), Some(&b"another\n"[..]));
        assert_eq!(whole(&mut rest, &vec![b'x'; LONGEST + 1]).map(|part| part.len()), Some(LONGEST + 1));
    }
}
