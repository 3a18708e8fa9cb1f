//! The lab: hosts that are network namespaces, wires between them, and real traffic over the wires.
//!
//! It owns namespaces, senders and receivers, and the driving of `sgd` and `sgctl` as a user would. It must never touch the
//! machine it runs on: [`Lab::enter`] moves the process into fresh mount, pid and network namespaces, so everything created here
//! ends with the process, however it ends. For tests and the demonstration; it knows nothing of how the engine works.

mod agent;
mod ask;
mod binaries;
mod enter;
mod frame;
mod generator;
mod host;
mod ip;
mod kernel;
mod lan;
mod mount;
mod offloads;
mod pair;
mod raw;
mod relay;
mod responder;
mod service;
mod sgd;
mod sizes;
mod stats;
mod stream;
mod tunnel;
mod wait;

pub use agent::{Agent, Attach, Options};
pub use ask::{Outcome, Question, ask};
pub use binaries::Binaries;
pub use enter::{Entered, Lab};
pub use frame::FrameSocket;
pub use generator::{Generator, Sent, Vary, missing, programs};
pub use host::Host;
pub use kernel::{Version, kernel};
pub use lan::Lan;
pub use pair::{Datagrams, End, Pair, Streams};
pub use relay::Relay;
pub use responder::{Responder, respond};
pub use service::{Family, Service};
pub use stats::{Counter, Stats};
pub use tunnel::Tunnel;
pub use wait::{PATIENCE, SILENCE, slowly, until};
