//! A packet generator inside the kernel: an XDP program that runs over *live frames*, which the kernel then treats as received on
//! a device (`BPF_F_TEST_XDP_LIVE_FRAMES`). The path of such a packet begins where a driver hands it over, and a processor does
//! nothing but create packets and process them.
//!
//! It must never be given a device outside the lab.

use std::{fmt, ops::AddAssign, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, TestRun as _,
    maps::Array,
    programs::{TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use nix::net::if_::if_nametoindex;

use super::{
    host::Host,
    kernel::{Version, kernel},
};

/// The object of `tests/programs`, or nothing if it could not be built (see `build.rs`).
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sg-lab-programs"));

/// The length of every frame that it sends, in bytes. `tests/programs/src/generator.rs` has the same.
const LENGTH: usize = 64;
/// The maximum number of templates.
const TEMPLATES: usize = 1 << 16;
/// The first kernel with live frames, and the maximum number of frames that it takes in one call (`TEST_XDP_MAX_BATCH`).
const SINCE: Version = Version(5, 18);
const BATCH: u32 = 256;

/// Elements of the map `LAB_PLAN`.
const COUNT: u32 = 0;
const VARYING: u32 = 1;
const NEXT: u32 = 2;

/// What differs in each packet, besides the templates: no value repeats before all others were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing.
    Nothing,
    /// The source port.
    Port,
    /// The source port and the lower 16 bits of the source address.
    AddressAndPort,
}

/// The result of sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// The time that the processor spent on it, without what it did for others meanwhile.
    pub time: Duration,
}

impl Sent {
    /// Packets a second of one processor.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.count() / self.time.as_secs_f64()
    }

    /// Nanoseconds a packet.
    #[must_use]
    pub fn each(self) -> f64 {
        self.time.as_secs_f64() * 1e9 / self.count()
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody sends so many packets")]
    fn count(self) -> f64 {
        self.packets as f64
    }
}

impl AddAssign for Sent {
    fn add_assign(&mut self, more: Self) {
        self.packets += more.packets;
        self.time += more.time;
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {:.0} a second and processor", self.packets, self.rate())
    }
}

/// Sends packets that a device of a host receives.
#[derive(Debug)]
pub struct Generator {
    ebpf: Ebpf,
    host: Host,
    device: u32,
}

/// The eBPF programs of tests and benchmarks, not loaded yet.
///
/// # Errors
/// If they were not built, or are invalid.
pub fn programs() -> Result<Ebpf> {
    if let Some(missing) = missing() {
        bail!(missing);
    }
    Ebpf::load(OBJECT).context("the programs of tests/programs")
}

/// What keeps the generator from working, if anything.
#[must_use]
pub fn missing() -> Option<String> {
    if OBJECT.is_empty() {
        return Some("left out: built without the programs of tests/programs; `cargo xtask setup`".into());
    }
    match kernel() {
        Ok(version) if version < SINCE => Some(format!("left out: needs Linux {SINCE}, this is {version}")),
        Ok(_) => None,
        Err(error) => Some(format!("left out: {error:#}")),
    }
}

impl Generator {
    /// A generator of what `device` of `host` receives. It has nothing to send yet.
    ///
    /// # Errors
    /// If the program cannot be loaded, or there is no such device.
    pub fn new(host: &Host, device: &str) -> Result<Self> {
        let mut ebpf = programs()?;
        program(&mut ebpf)?.load()?;
        let device = host.inside(|| if_nametoindex(device).with_context(|| format!("no device {device}")))?;
        Ok(Self { ebpf, host: host.clone(), device })
    }

    /// Shortens every [`Self::send`] by attaching the program to `device` of `host`, which must be one that receives nothing. A
    /// program that is attached nowhere is put into the dispatcher of XDP programs for each call and removed after it, and either
    /// waits for an RCU grace period (`bpf_dispatcher_change_prog`, kernel/bpf/dispatcher.c).
    ///
    /// # Errors
    /// If there is no such device, or it takes no program.
    pub fn stay(&mut self, host: &Host, device: &str) -> Result<()> {
        let program = program(&mut self.ebpf)?;
        host.inside(|| program.attach(device, XdpMode::Skb).map(drop).context("cannot attach the generator"))
    }

    /// Sets the frames to send, in turns, from the first one on, each padded to 64 bytes. Where packets vary, their
    /// identification, their sequence number and what varies must be zero: the checksums are corrected there.
    ///
    /// # Errors
    /// If there are none, or too many, or one is longer.
    pub fn load(&mut self, frames: &[Vec<u8>], vary: Vary) -> Result<()> {
        ensure!((1..=TEMPLATES).contains(&frames.len()), "{} templates", frames.len());
        let mut templates: Array<_, [u64; LENGTH / 8]> = map(&mut self.ebpf, "LAB_FRAMES")?;
        for (number, frame) in (0..).zip(frames) {
            let mut whole = [0; LENGTH];
            whole.get_mut(..frame.len()).context("a frame of more than 64 bytes")?.copy_from_slice(frame);
            let mut words = [0; LENGTH / 8];
            for (word, bytes) in words.iter_mut().zip(whole.as_chunks().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            templates.set(number, words, 0)?;
        }
        let varying = match vary {
            Vary::Nothing => 0,
            Vary::Port => 0xffff,
            Vary::AddressAndPort => u32::MAX,
        };
        let mut plan: Array<_, u32> = map(&mut self.ebpf, "LAB_PLAN")?;
        for (place, value) in [(COUNT, frames.len() as u32), (VARYING, varying), (NEXT, 0)] {
            plan.set(place, value, 0)?;
        }
        Ok(())
    }

    /// Sends this many packets on this processor. When it returns, they have been processed, as far as that needs no waiting.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn send(&mut self, packets: u32) -> Result<Sent> {
        let Self { ebpf, host, device } = self;
        // struct xdp_md (include/uapi/linux/bpf.h): data, data_end, data_meta, ingress_ifindex, and two more.
        let context = [0, LENGTH as u32, 0, *device, 0, 0].map(u32::to_ne_bytes);
        let program = program(ebpf)?;
        host.inside(|| {
            let options = TestRunOptions {
                data_in: Some(&[0; LENGTH]),
                ctx_in: Some(context.as_flattened()),
                repeat: packets,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            };
            let result = program.test_run(options).context("live frames")?;
            Ok(Sent { packets: packets.into(), time: result.duration * packets })
        })
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut("lab_generate").context("no generator")?.try_into()?)
}

fn map<'a, V: aya::Pod>(ebpf: &'a mut Ebpf, name: &str) -> Result<Array<&'a mut aya::maps::MapData, V>> {
    Ok(Array::try_from(ebpf.map_mut(name).with_context(|| format!("no map {name}"))?)?)
}
