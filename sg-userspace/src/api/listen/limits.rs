//! The limits of a listener. What each protects against is said here; they are kept in `serve`, `pace` and `body`.

use std::time::Duration;

/// What the connections of one listener may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections at once.
    pub connections: usize,
    /// From the connection, or from the first byte of a later request, to the end of the request's head.
    pub head_time: Duration,
    /// From the end of the head to the end of the body.
    pub body_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// How long a connection that sends no complete request, or does not read its answer, has its place where all are taken
    /// and another one waits.
    pub least_time: Duration,
    /// How long a reply may wait for a client that does not read it.
    pub write_time: Duration,
    /// The most of a head, and of what is read ahead.
    pub head_bytes: usize,
    /// The most of one body.
    pub body_bytes: usize,
    /// The most of all bodies that are being read or answered: many clients with large bodies are refused, one by
    /// one, before they exhaust the memory.
    pub buffered_bytes: usize,
    /// A large body that a face allowed has another second of `body_time` for so many bytes of it.
    pub large_body_pace: usize,
    /// How long connections may take to end once the listener is told to stop.
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
            buffered_bytes: 64 << 20,
            large_body_pace: 256 << 10,
            grace: Duration::from_secs(5),
        }
    }
}
