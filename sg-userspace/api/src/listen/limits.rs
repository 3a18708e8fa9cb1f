//! The limits of a listener, each with what it protects against; `tcp`, `unix`, `serve`, `seats`, `deadlines`, `body` and
//! `memory` enforce them.

use std::time::Duration;

/// How many connections may wait in the kernel, which takes fewer if `net.core.somaxconn` is less: its default since Linux 5.4.
/// While they are full the kernel drops a client's SYN, and the client waits for a second or more before it tries again.
pub(super) const BACKLOG: u32 = 4096;

/// What the connections of one listener may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The maximum number of connections at once.
    pub connections: usize,
    /// From the connection, or from the first byte of a later request, to the end of the request's head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// How long a connection that sends no complete request, or does not read its response, keeps its place if all are taken and
    /// another one waits; and how long its body keeps its memory when that is short.
    pub least_time: Duration,
    /// How long a response may wait for a client that does not read it.
    pub write_time: Duration,
    /// The maximum size of a head, and of what is read ahead.
    pub head_bytes: usize,
    /// The maximum size of one body.
    pub body_bytes: usize,
    /// What every body has of its own, at once: small bodies never wait for memory.
    pub own_body_bytes: usize,
    /// What all bodies that are being received or served have beyond that, together. If it is used up, incomplete bodies of
    /// unauthenticated callers are dropped, the oldest first.
    pub shared_body_bytes: usize,
    /// A large body that an API allowed has another second of `body_time` for this many bytes.
    pub large_body_pace: usize,
    /// How long connections may take to end when the listener is told to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_mins(1),
            least_time: Duration::from_millis(200),
            write_time: Duration::from_secs(30),
            head_bytes: 128 << 10,
            body_bytes: 2 << 20,
            own_body_bytes: 32 << 10,
            shared_body_bytes: 48 << 20,
            large_body_pace: 256 << 10,
            grace: Duration::from_secs(5),
        }
    }
}
