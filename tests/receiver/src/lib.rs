//! The receiver as judge: raw frames, true and lying, through the filter to a stack as Linux has it.
//!
//! The filter's engines share one parser, so that they agree about a frame that all of them misread. Here nobody asks
//! them: the bytes are written by [`frames`], [`stories`] says what lies they tell, and what arrived is told by the
//! sockets and replies of a [`receiver`]. [`verdict`] judges the datagram that arrived, by the rules alone. Beside the
//! filtered stack stands a twin without a filter, which tells what would arrive, and one behind nftables with conntrack,
//! which tells what a filter may be expected to let pass.
//!
//! It must never share code with what it judges: `tests/independence.rs`.

pub mod address;
pub mod combination;
pub mod frames;
pub mod lab;
pub mod receiver;
pub mod report;
pub mod revocation;
pub mod rig;
pub mod rules;
pub mod run;
pub mod seen;
pub mod stack;
pub mod stories;
pub mod story;
pub mod tally;
pub mod verdict;
