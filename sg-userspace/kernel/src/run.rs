//! `BPF_PROG_TEST_RUN`: runs the real program on packet bytes, without a device.
//!
//! A test run uses the loopback device of the caller's network namespace (`bpf_prog_test_run_skb`, `bpf_prog_test_run_xdp`,
//! `net/bpf/test_run.c`), so [`Datapath::stand_in`] maps loopback's index to the NIC in question. That entry is in this
//! datapath's own table; no program is attached anywhere.

use std::time::Duration;

use aya::{
    TestRun as _,
    programs::{SchedClassifier, TestRunOptions, Xdp},
};
use sg_common::verdict::Decision;

use super::{Datapath, Device, KernelError, Program, datapath::program_of};

/// The index of the loopback device in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// The size of struct `__sk_buff`, and the offset of `cb` in it (include/uapi/linux/bpf.h).
const SK_BUFF: usize = 192;
const CB: usize = 48;

/// `TC_ACT_UNSPEC` (`include/uapi/linux/pkt_cls.h`): continue with the next program. Dropped packets return `TC_ACT_SHOT`,
/// rejected ones are redirected.
const NEXT: u32 = u32::MAX;

/// `XDP_PASS` (`include/uapi/linux/bpf.h`).
const PASS: u32 = 2;

/// The result of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the return value accepts the packet.
    pub passed: bool,
    /// The decision that the program recorded, or `None`. XDP has no place to record one: its decisions are visible in the
    /// counters.
    pub decision: Option<Decision>,
    /// The mean time of a run, in whole nanoseconds.
    pub duration: Duration,
}

impl Datapath {
    /// Makes test runs use the policy of NIC `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn stand_in(&mut self, slot: u16) -> Result<(), KernelError> {
        self.nics.enter(&Device { name: "lo".to_owned(), index: LOOPBACK }, slot)?;
        self.begin_filtering(slot)
    }

    /// Runs `program` on `frame` `repeat` times.
    ///
    /// # Errors
    /// If the kernel refuses, for instance a frame that is no longer than an Ethernet header.
    pub fn run(&mut self, program: Program, frame: &[u8], repeat: u32) -> Result<Outcome, KernelError> {
        let doing = format!("test run of {}", program.name());
        if program == Program::Xdp {
            let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
            let xdp: &mut Xdp = program_of(&mut self.ebpf, program)?;
            let result = xdp.test_run(options).map_err(KernelError::call(doing))?;
            let passed = result.return_value == PASS;
            return Ok(Outcome { passed, decision: None, duration: result.duration });
        }
        let mut context = [0; SK_BUFF];
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_out: Some(&mut context),
            repeat,
            ..TestRunOptions::default()
        };
        let classifier: &mut SchedClassifier = program_of(&mut self.ebpf, program)?;
        let result = classifier.test_run(options).map_err(KernelError::call(doing))?;
        Ok(Outcome {
            passed: result.return_value == NEXT,
            decision: Decision::from_word(noted(&context)),
            duration: result.duration,
        })
    }

    /// The clock of flows: jiffies.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn now(&mut self) -> Result<u64, KernelError> {
        // The kernel requires more than an Ethernet header (`convert___skb_to_skb`).
        const FRAME: [u8; 64] = [0; 64];
        let mut context = [0; SK_BUFF];
        let options = TestRunOptions {
            data_in: Some(&FRAME),
            ctx_out: Some(&mut context),
            ..TestRunOptions::default()
        };
        let classifier: &mut SchedClassifier = program_of(&mut self.ebpf, Program::Clock)?;
        classifier.test_run(options).map_err(KernelError::call("read jiffies"))?;
        Ok(noted(&context))
    }
}

/// What the program left in the packet's control block.
fn noted(context: &[u8; SK_BUFF]) -> u64 {
    let word = |index: usize| {
        let at = CB + index * 4;
        u64::from(u32::from_ne_bytes([context[at], context[at + 1], context[at + 2], context[at + 3]]))
    };
    word(1) << 32 | word(0)
}
