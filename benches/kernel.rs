//! The loaded programs, and how a run of one is timed. Criterion measures one thing after the other; here the program and the empty
//! one must alternate.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
#![expect(clippy::missing_panics_doc, reason = "every measurement panics if it fails")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::{convert::Infallible, fs, time::Instant};

use crate::{Figure, NoiseGuard, Plan, Samples, Unit};
use sg_check::CompiledNic;
use sg_common::flow::FlowKeyV4;
use sg_kernel::{Datapath, Limits, Options, Program, RejectRate};
use sg_model::Policy;

/// Runs of one packet before the next: the cost of a system call is spread over them.
const REPEAT: u32 = 1_000;

const LIMITS: Limits = Limits { nics: 4, flows: 1 << 20, counters: 1 << 17, denied: 1 << 16 };

/// `BPF_MAP_TYPE_HASH` (include/uapi/linux/bpf.h).
const HASH: u64 = 1;

/// The programs, loaded but not attached.
pub struct Kernel {
    /// What a run has to do.
    pub plan: Plan,
    /// The programs and their maps.
    pub datapath: Datapath,
    patience: NoiseGuard,
}

impl Kernel {
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self::counting(plan, LIMITS.denied)
    }

    /// The same, with as many entries for packets that do not pass.
    #[must_use]
    pub fn counting(plan: Plan, denied: u32) -> Self {
        let limits = Limits { denied, ..LIMITS };
        let options = Options { limits, rejects: RejectRate(u32::MAX), ..Options::default() };
        let mut datapath = Datapath::load(&options).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(1)
        });
        datapath.stand_in(0).expect("loopback can stand in");
        let patience = NoiseGuard::new(&plan);
        Self { plan, datapath, patience }
    }

    /// Publishes the policy of its first NIC.
    pub fn publish(&mut self, policy: &Policy) {
        let nic = CompiledNic::new(policy, &policy.nics()[0]).expect("the policy fits an image");
        self.datapath.publish(0, &nic.image).expect("an image can be published");
    }

    /// A figure of repeated packets: everything they need is in the nearest cache. Of each packet the fastest of its rounds
    /// counts, the one that nothing else on the machine disturbed; the figure is the mean over packets.
    pub fn measure(&mut self, name: &str, program: Program, frames: &[Vec<u8>]) {
        if !self.plan.wants(name) {
            return;
        }
        let mut run = |program: Program, frame: &[u8]| {
            let start = Instant::now();
            self.datapath.run(program, frame, REPEAT).expect("a test run works");
            start.elapsed().as_secs_f64() * 1e9 / f64::from(REPEAT)
        };
        let mut least = vec![[f64::INFINITY; 2]; frames.len()];
        let mut rounds = Samples::default();
        let empty = |least: &[[f64; 2]]| mean(least.iter().map(|[_, empty]| *empty));
        let round = || {
            let added = frames.iter().zip(&mut least).map(|(frame, [quickest, emptiest])| {
                let (empty, taken) = (run(Program::Empty, frame), run(program, frame));
                *quickest = quickest.min(taken);
                *emptiest = emptiest.min(empty);
                taken - empty
            });
            rounds.push(mean(added));
            Ok::<_, Infallible>(empty(&least))
        };
        let Ok(()) = self.patience.rounds(self.plan.rounds(150, 20), round);
        let empty = empty(&least);
        let added = mean(least.iter().map(|[taken, _]| *taken)) - empty;
        self.record(name, added, empty, &rounds);
    }

    /// A figure of packets that occur once each, in turns: what the one before left in the nearest cache is of no use. The
    /// kernel's own clock is read before and after each run. The slowest fiftieth of a round is left out: those were interrupted.
    pub fn once(&mut self, name: &str, program: Program, frames: &[Vec<u8>]) {
        if !self.plan.wants(name) {
            return;
        }
        let (mut rounds, mut empties) = (Samples::default(), Samples::default());
        for _ in 0..self.plan.rounds(40, 8) {
            let [taken, empty] = [program, Program::Empty].map(|program| {
                let mut times: Vec<f64> = frames
                    .iter()
                    .map(|frame| {
                        let outcome = self.datapath.run(program, frame, 1).expect("a test run works");
                        outcome.duration.as_secs_f64() * 1e9
                    })
                    .collect();
                times.sort_unstable_by(f64::total_cmp);
                times.truncate(times.len() - times.len() / 50);
                mean(times.into_iter())
            });
            rounds.push(taken - empty);
            empties.push(empty);
        }
        self.record(name, rounds.least(), empties.least(), &rounds);
    }

    /// The cost of each program for the verifier.
    pub fn verifier(&mut self) {
        if !self.plan.wants("verifier") {
            return;
        }
        match self.datapath.verified_instructions() {
            Ok(programs) => {
                for (program, count) in programs {
                    let name = program.name().trim_start_matches("sg_");
                    self.plan.record(&Figure::new(format!("verifier/{name}"), f64::from(count), Unit::Count));
                }
            }
            Err(error) => println!("verifier is left out: {error}"),
        }
    }

    /// The kernel memory of a flow and of a rule.
    pub fn memory(&self) {
        if self.plan.wants("memory/flow") {
            // The IPv4 table has the memory of all its entries from the start.
            let (entries, key) = (u64::from(LIMITS.flows), size_of::<FlowKeyV4>() as u64);
            let bytes = table_bytes(entries, key).expect("the kernel tells how large a table is");
            self.plan.record(&Figure::new("memory/flow", bytes / f64::from(LIMITS.flows), Unit::Bytes));
        }
    }

    fn record(&self, name: &str, added: f64, empty: f64, rounds: &Samples) {
        self.plan.record(&Figure::new(name, added, Unit::Nanoseconds).beside(empty).spread(rounds.spread()));
    }
}

/// The memory of a hash of this process, by its number of entries and the size of its keys.
fn table_bytes(entries: u64, key: u64) -> Option<f64> {
    let files = fs::read_dir("/proc/self/fdinfo").ok()?;
    let mut told = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    told.find_map(|text| {
        let field = |name: &str| {
            let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
            line.split(':').nth(1)?.trim().parse::<u64>().ok()
        };
        let is_it =
            field("map_type")? == HASH && field("max_entries")? == entries && field("key_size")? == key;
        is_it.then(|| field("memlock")).flatten().map(|bytes| bytes as f64)
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
