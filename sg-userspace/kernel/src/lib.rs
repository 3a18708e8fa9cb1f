//! The boundary to the kernel, and the only importer of aya: load, attach, publish, pin, count, test runs, feature probes. It
//! must never decide policy. The agent, `sg-check`, `sgd`, `sgctl`, tests and benchmarks call it.
//!
//! | file | owns |
//! |---|---|
//! | `datapath` | the loaded program and its maps |
//! | `options` | how it is loaded |
//! | `object` | its programs and maps, by name |
//! | `images` | filling and publishing policy images |
//! | `flow_log` | what flows have carried since it was last reported |
//! | `reported` | which counts of flows have been reported, in a file |
//! | `flows` | the flow tables: reading and deleting |
//! | `pending` | the change that is to be confirmed |
//! | `candidate` | images of a candidate policy, and what is counted about it |
//! | `closed` | the tables of closed TCP connections |
//! | `shares` | the places of half-open flows, and how NICs share them |
//! | `ageing` | deleting expired flows, counting live ones |
//! | `denied` | counts of packets that do not pass: reading, removing |
//! | `watch` | what somebody wants to see now; the rings of events and replaced flows |
//! | `window` | words of a map, in memory |
//! | `counters` | the counters: reading, resetting, carrying on |
//! | `nics` | which device is which NIC, and since when it is filtered |
//! | `device` | a device, and what attaching to it comes to |
//! | `attach` | attaching the program to devices |
//! | `clsact` | the filters of a clsact qdisc |
//! | `order` | the position among other TCX programs |
//! | `takeover` | what goes on from an earlier layout; handing over what it left in force, then removing it |
//! | `xdp` | native XDP, and why a driver refuses it |
//! | [`links`] | what rtnetlink reports about devices |
//! | [`bpffs`] | where bpffs is, and how long pins there last |
//! | [`pins`] | what outlives the process, in bpffs |
//! | [`run`] | `BPF_PROG_TEST_RUN` |
//! | [`clock`] | jiffies |
//! | `sys` | the system calls that aya lacks |

mod ageing;
mod attach;
pub mod bpffs;
mod candidate;
pub mod clock;
mod closed;
mod clsact;
mod counters;
mod datapath;
mod denied;
mod device;
mod error;
mod flow_log;
mod flows;
mod images;
pub mod links;
mod nics;
mod object;
mod options;
mod order;
mod pending;
pub mod pins;
mod reported;
pub mod run;
mod shares;
mod sys;
mod takeover;
mod watch;
mod window;
mod xdp;

pub use ageing::{Aged, LiveFlows};
pub use attach::Attachment;
pub use bpffs::Lasts;
pub use clock::Jiffies;
pub use datapath::Datapath;
pub use denied::Denial;
pub use device::Device;
pub use error::{KernelError, remedy};
pub use flow_log::{FlowPhase, FlowReport};
pub use flows::Flows;
pub use object::{Program, has_programs};
pub use options::{FlowOptions, Limits, Options, RejectRate};
pub use order::TcxOrder;
pub use pending::{Confirmation, PendingChange};
pub use reported::Acknowledge;
pub use watch::{Events, Seen, Watcher};
