//! The border to the kernel, and the only importer of aya: load, attach, publish, pin, count, run tests, probe
//! features. It must never decide policy. The agent, `sgctl` and the benchmarks call it.
//!
//! | file | owns |
//! |---|---|
//! | `datapath` | the loaded program and its maps |
//! | `images` | filling and publishing policy images |
//! | `flows` | the flow tables: reading, forgetting |
//! | `nics` | which device is which NIC |
//! | `attach` | hooking the program into devices |
//! | `xdp` | native XDP, and why a driver refuses it |
//! | [`pins`] | what outlives the process, under bpffs |
//! | [`run`] | `BPF_PROG_TEST_RUN` |
//! | [`clock`] | jiffies |
//! | `sys` | the system calls that aya lacks |

mod attach;
pub mod clock;
mod datapath;
mod error;
mod flows;
mod images;
mod nics;
pub mod pins;
pub mod run;
mod sys;
mod xdp;

pub use attach::{Attachment, Device};
pub use datapath::{Datapath, Limits, Options, Program, Swept, has_programs};
pub use error::{KernelError, remedy};
pub use flows::Flows;
