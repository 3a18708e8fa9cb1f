//! The border to the kernel, and the only importer of aya: load, attach, publish, pin, count, run tests, probe
//! features. It must never decide policy. The agent, `sgctl` and the benchmarks call it.
//!
//! | file | owns |
//! |---|---|
//! | `datapath` | the loaded program and its maps |
//! | `options` | what it is loaded with |
//! | `images` | filling and publishing policy images |
//! | `flows` | the flow tables: reading, forgetting |
//! | `shares` | the places of half-open flows, and how NICs share them |
//! | `sweep` | deleting flows that ended, counting those that live |
//! | `nics` | which device is which NIC |
//! | `attach` | hooking the program into devices |
//! | [`layouts`] | what this layout goes on with of which earlier one |
//! | `order` | before or after other TCX programs |
//! | `older` | what those before left in force: handed over, then removed |
//! | `xdp` | native XDP, and why a driver refuses it |
//! | [`bpffs`] | where bpffs is, and how long what is pinned there stays |
//! | [`pins`] | what outlives the process, under bpffs |
//! | [`run`] | `BPF_PROG_TEST_RUN` |
//! | [`clock`] | jiffies |
//! | `sys` | the system calls that aya lacks |

mod ageing;
mod attach;
pub mod bpffs;
pub mod clock;
mod closed;
mod datapath;
mod error;
mod flows;
mod images;
pub mod layouts;
pub mod links;
mod nics;
mod options;
mod order;
pub mod pins;
pub mod run;
mod shares;
mod sys;
mod takeover;
mod xdp;

pub use ageing::Swept;
pub use attach::{Attachment, Device};
pub use bpffs::Lasts;
pub use datapath::{Datapath, Program, has_programs};
pub use error::{KernelError, remedy};
pub use flows::Flows;
pub use options::{FlowOptions, Limits, Options, RejectRate};
pub use order::TcxOrder;
