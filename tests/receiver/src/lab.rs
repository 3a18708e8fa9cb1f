//! The lab of the other tests, file by file: hosts, wires, and `sgd` as a user drives it.
//!
//! Not through their crate, which depends on the project's own: see `tests/independence.rs`.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "a part of the lab serves other tests only")]

#[path = "../../src/lab/agent.rs"]
mod agent;
#[path = "../../src/lab/binaries.rs"]
mod binaries;
#[path = "../../src/lab/enter.rs"]
mod enter;
#[path = "../../src/lab/host.rs"]
mod host;
#[path = "../../src/lab/ip.rs"]
mod ip;
#[path = "../../src/lab/kernel.rs"]
mod kernel;
#[path = "../../src/lab/mount.rs"]
mod mount;
#[path = "../../src/lab/sgd.rs"]
mod sgd;
#[path = "../../src/lab/stats.rs"]
mod stats;
#[path = "../../src/lab/wait.rs"]
mod wait;

pub use agent::{Agent, Attach, Options};
pub use binaries::Binaries;
pub use enter::{Entered, Lab};
pub use host::Host;
