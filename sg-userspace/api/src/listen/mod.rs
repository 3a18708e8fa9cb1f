//! Sockets and connections: who may connect, how many at once, how slowly, and how much they may send.
//!
//! ```text
//! Listener ── accept loop (serve) ── one task a connection (connection) ── the API's router
//!   unix: file, peer's uid    seats: a bound on connections    deadlines: time     body: size, time
//!   tcp: loopback only                                                             memory: what all bodies may hold
//! ```
//!
//! * **Bounded.** Each listener serves [`Limits::connections`] at once. Further connections wait, one accepted and the others in
//!   the kernel's backlog, which has a bound too. For each of them, a connection that waits for another request is closed, or
//!   otherwise the one whose request has been incomplete for longest, and those in use close after their response: neither idle
//!   clients nor slow ones lock anybody out. The memory for bodies works the same way: the oldest incomplete one is dropped.
//! * **Never waits for ever.** The head of a request, its body, the next request and a response that nobody reads each have a
//!   time limit; a connection that exceeds it is closed.
//! * **Never ends by itself.** An `accept` that fails, for example without file descriptors, is tried again after a pause.
//!
//! This module knows HTTP but not the content of requests: it must never read a path, a query or a body. The APIs give it a router;
//! `sgd serve` calls it.

mod access;
mod body;
mod connection;
mod deadlines;
mod error;
mod limits;
mod memory;
mod seats;
mod serve;
mod tcp;
#[cfg(test)]
mod tests;
mod unix;

pub use access::{Access, Local, Peer};
pub use body::{BodyFailure, LargeBody, collect, failure};
pub use connection::{Claim, HeldBack};
pub use error::ListenError;
pub use limits::Limits;
pub use serve::Listener;
pub use tcp::Exposure;
