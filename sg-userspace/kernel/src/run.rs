//! `BPF_PROG_TEST_RUN`: runs the real program on packet bytes, without a device.
//!
//! A test run uses the loopback device of the caller's network namespace (`bpf_prog_test_run_skb`, `bpf_prog_test_run_xdp`,
//! `net/bpf/test_run.c`), so [`Datapath::stand_in`](crate::Datapath::stand_in) maps loopback's index to the NIC in question. That
//! entry is in this datapath's own table; it must never attach a program anywhere. Called by `datapath`.

use std::time::Duration;

use aya::{
    Ebpf, TestRun as _,
    programs::{SchedClassifier, TestRunOptions, Xdp},
};
use sg_common::verdict::Decision;

use super::{
    KernelError,
    device::Device,
    object::{Program, program_of},
};

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

/// The device that test runs use.
pub(super) fn loopback() -> Device {
    Device { name: "lo".to_owned(), index: LOOPBACK }
}

/// A program at tc that another thread runs while this process does something else: for tests of two processors.
pub struct Runner(SchedClassifier);

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Runner {
    pub(super) fn of(ebpf: &mut Ebpf, program: Program) -> Result<Self, KernelError> {
        let doing = format!("open {} once more", program.name());
        let info = program_of::<&mut SchedClassifier>(ebpf, program)?.info();
        let info = info.map_err(KernelError::call(&doing))?;
        let again = SchedClassifier::from_program_info(info, program.name().into());
        again.map(Self).map_err(KernelError::call(doing))
    }

    /// Runs the program on `frame` `repeat` times. Returns whether the last was accepted.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<bool, KernelError> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let result = self.0.test_run(options).map_err(KernelError::call("test run"))?;
        Ok(result.return_value == NEXT)
    }
}

/// Runs `program` on `frame` `repeat` times.
pub(super) fn run(
    ebpf: &mut Ebpf,
    program: Program,
    frame: &[u8],
    repeat: u32,
) -> Result<Outcome, KernelError> {
    let doing = format!("test run of {}", program.name());
    if program == Program::Xdp {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let xdp: &mut Xdp = program_of(ebpf, program)?;
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
    let classifier: &mut SchedClassifier = program_of(ebpf, program)?;
    let result = classifier.test_run(options).map_err(KernelError::call(doing))?;
    Ok(Outcome {
        passed: result.return_value == NEXT,
        decision: Decision::from_word(left_in_context(&context)),
        duration: result.duration,
    })
}

/// The clock of flows: jiffies.
pub(super) fn now(ebpf: &mut Ebpf) -> Result<u64, KernelError> {
    // The kernel requires more than an Ethernet header (`convert___skb_to_skb`).
    const FRAME: [u8; 64] = [0; 64];
    let mut context = [0; SK_BUFF];
    let options =
        TestRunOptions { data_in: Some(&FRAME), ctx_out: Some(&mut context), ..TestRunOptions::default() };
    let classifier: &mut SchedClassifier = program_of(ebpf, Program::Clock)?;
    classifier.test_run(options).map_err(KernelError::call("read jiffies"))?;
    Ok(left_in_context(&context))
}

/// What the program left in the packet's control block.
fn left_in_context(context: &[u8; SK_BUFF]) -> u64 {
    let word = |index: usize| {
        let at = CB + index * 4;
        u64::from(u32::from_ne_bytes([context[at], context[at + 1], context[at + 2], context[at + 3]]))
    };
    word(1) << 32 | word(0)
}
