//! The loaded program and its maps.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuValues},
    programs::{self, ProgramType, SchedClassifier},
    sys::{BpfHelper, is_helper_supported},
};
use aya_log::EbpfLogger;
use sg_common::{
    abi::{Counter, Settings},
    exchange::Exchanges,
    flow::{FlowEntry, FlowKey},
    fragment,
    reject::Mark,
};
use sg_compile::{Image, Patch};
use sg_model::Hook;

use super::{
    KernelError,
    ageing::FlowTableStats,
    attach::{Attached, Device, Links},
    clock,
    closed::Closed,
    flows::{Flows, Place},
    images::{self, Images},
    nics::Nics,
    options::{Options, SIZED},
    pins::{self, MAPS},
    shares::Places,
    takeover::Older,
};

/// The eBPF object; empty if it could not be built (see `build.rs`).
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sg-ebpf"));

/// Whether this binary contains the eBPF programs. It is built without them if bpf-linker is missing.
#[must_use]
pub const fn has_programs() -> bool {
    !OBJECT.is_empty()
}

/// A program of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Judges what a device receives.
    Ingress,
    /// The same, before the kernel allocates a packet buffer.
    Xdp,
    /// Judges what a device sends.
    Egress,
    /// Runs the classifier only: a stage, for measurements. Never attached.
    Classify,
    /// Does nothing: its cost is subtracted in measurements. Never attached.
    Empty,
    /// Returns jiffies.
    Clock,
}

impl Program {
    /// Every program of the object.
    pub const ALL: [Self; 6] =
        [Self::Ingress, Self::Xdp, Self::Egress, Self::Classify, Self::Empty, Self::Clock];

    /// The programs that are attached to devices.
    pub(super) const HOOKED: [Self; 3] = [Self::Ingress, Self::Xdp, Self::Egress];

    /// The name in the object and in `bpftool prog`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "sg_ingress",
            Self::Xdp => "sg_xdp",
            Self::Egress => "sg_egress",
            Self::Classify => "sg_classify",
            Self::Empty => "sg_empty",
            Self::Clock => "sg_clock",
        }
    }
}

/// The loaded program and its maps.
pub struct Datapath {
    pub(super) ebpf: Ebpf,
    pub(super) links: Links,
    pub(super) nics: Nics,
    images: Images,
    pub(super) counters: PerCpuArray<MapData, Counter>,
    pub(super) flows: Flows,
    /// The places of half-open flows.
    pub(super) places: Places,
    /// Slots that have a share of these places, as far as this run knows.
    pub(super) slots: BTreeSet<u16>,
    /// Closed connections.
    pub(super) closed: Closed,
    /// When each NIC was first filtered, in jiffies, by slot; zero if it is not.
    pub(super) filtered_since: Array<MapData, u64>,
    /// The number of established flows of each NIC, by slot.
    pub(super) nic_flows: Array<MapData, u64>,
    /// Open exchanges of each NIC that need no rule, by slot.
    exchanges: Array<MapData, Exchanges>,
    /// What the current ageing pass has found.
    pub(super) flow_stats: FlowTableStats,
    /// Where the next part of the ageing pass begins.
    pub(super) swept_to: Place,
    pub(super) settings: Settings,
    pins: Option<PathBuf>,
    /// What earlier layouts left in force.
    older: Option<Older>,
}

impl fmt::Debug for Datapath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datapath").field("links", &self.links).finish_non_exhaustive()
    }
}

impl Datapath {
    /// Loads the program. Adopts pinned maps of an earlier run, if any, with their images, flows and counters.
    ///
    /// # Errors
    /// If the kernel refuses; each error names its remedy.
    pub fn load(options: &Options) -> Result<Self, KernelError> {
        if !has_programs() {
            return Err(KernelError::NoPrograms);
        }
        let settings = settings(options)?;
        let mut loader = EbpfLoader::new();
        let knows_ipsec = u32::from(knows_ipsec());
        loader
            .override_global("SETTINGS", &settings, true)
            .override_global("KNOWS_IPSEC", &knows_ipsec, true)
            .override_global(aya_log::LEVEL, &options.log_level, false);
        for (map, size) in SIZED {
            loader.map_max_entries(map, size.entries(&options.limits));
        }
        let is_new = options.pins.as_deref().is_none_or(|directory| !pins::exist(directory));
        if let Some(directory) = &options.pins {
            pins::make(directory)?;
            for map in MAPS {
                loader.map_pin_path(map, directory.join(map));
            }
        }
        let mut ebpf = loader.load(OBJECT).map_err(|error| match images::supported() {
            Err(reason @ KernelError::Unsupported { .. }) => reason,
            _ => KernelError::tables(error),
        })?;
        // Nearly every NIC needs these: if the kernel rejects one, the start fails now. XDP is loaded with the first NIC that uses
        // it.
        for program in [Program::Egress, Program::Ingress] {
            program_of::<&mut SchedClassifier>(&mut ebpf, program)?;
        }

        let mut mark: Array<_, u64> = open(&mut ebpf, "REJECT_MARK")?;
        mark.set(0, Mark::new(rand::random(), rand::random()).word(), 0)
            .map_err(KernelError::call("write the mark of answers"))?;
        let mut counters = open(&mut ebpf, "COUNTERS")?;
        let mut flows = Flows::take(&mut ebpf)?;
        let mut places = Places::take(&mut ebpf)?;
        let mut older = options.older.clone().map(Older::new);
        if let Some(older) = &mut older {
            if is_new {
                older.carry_counters(&mut counters);
            }
            older.carry_flows(&mut flows, &mut places);
        }
        Ok(Self {
            links: Links::new(options.attachment, options.order, options.pins.clone())?,
            nics: Nics::take(&mut ebpf)?,
            images: Images::take(&mut ebpf)?,
            counters,
            flows,
            places,
            slots: BTreeSet::new(),
            closed: Closed::take(&mut ebpf)?,
            filtered_since: open(&mut ebpf, "FILTERED_SINCE")?,
            flow_stats: FlowTableStats::default(),
            nic_flows: open(&mut ebpf, "NIC_FLOWS")?,
            exchanges: open(&mut ebpf, "EXCHANGES")?,
            swept_to: Place::default(),
            settings,
            pins: options.pins.clone(),
            older,
            ebpf,
        })
    }

    /// Attaches the program to both directions of `device`, as NIC `slot`, with `hook` on the receive side. A program that an
    /// earlier run left there is replaced atomically; if it was at another hook, it is detached once the new one is attached, so
    /// for a moment both judge packets. Publish an image first: a NIC without one drops everything.
    ///
    /// # Errors
    /// If the device is gone, its driver has no native XDP and `hook` requires it, or the kernel refuses; then nothing of this
    /// call remains, and what an earlier run left in force stays in force.
    pub fn attach(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), KernelError> {
        let (received, other) = match hook {
            Hook::Tc => (Program::Ingress, Program::Xdp),
            Hook::Xdp => (Program::Xdp, Program::Ingress),
        };
        let was_filtered = self.nics.has(device)?;
        self.nics.enter(device, slot)?;
        self.begin_filtering(slot)?;
        if let (Some(older), Some(own)) = (&self.older, &self.pins) {
            older.hand_over(own, device)?;
        }
        let mut added = Vec::new();
        // The receive side first: it is what a driver may refuse.
        for program in [received, Program::Egress] {
            match self.links.attach(&mut self.ebpf, program, device) {
                Ok(Attached::New) => added.push(program),
                Ok(Attached::Replaced) => {}
                Err(error) => {
                    // Half a filter is none: the caller starts over.
                    for program in added {
                        self.links.detach(program, device)?;
                    }
                    if !was_filtered {
                        self.nics.remove(device)?;
                    }
                    return Err(error);
                }
            }
        }
        self.links.detach(other, device)
    }

    /// Records when NIC `slot` was first filtered, unless an earlier run did: older connections may be taken over. From now on
    /// the NIC also has a share of the half-open flows.
    pub(super) fn begin_filtering(&mut self, slot: u16) -> Result<(), KernelError> {
        self.slots.insert(slot);
        self.places.divide_among_at_least(u32::from(slot) + 1)?;
        let slot = u32::from(slot);
        let noted = self.filtered_since.get(&slot, 0);
        if noted.map_err(KernelError::call("ask since when a NIC is filtered"))? != 0 {
            return Ok(());
        }
        let now = self.now()?;
        self.filtered_since.set(slot, now, 0).map_err(KernelError::call("note since when a NIC is filtered"))
    }

    /// Detaches the program from `device`. It is no error if it is not attached.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn detach(&mut self, device: &Device) -> Result<(), KernelError> {
        self.older.iter().try_for_each(|older| older.take_off(device))?;
        for program in Program::HOOKED {
            self.links.detach(program, device)?;
        }
        self.nics.remove(device)
    }

    /// Removes what earlier layouts left, except on `hooked`, the devices that the program is attached to: what is there belongs
    /// to it. Call it once the program is on all its devices.
    ///
    /// # Errors
    /// If the kernel refuses. It may be called again.
    pub fn remove_older(&mut self, hooked: &[Device]) -> Result<(), KernelError> {
        let (Some(older), Some(own)) = (&mut self.older, &self.pins) else { return Ok(()) };
        older.carry_flows(&mut self.flows, &mut self.places);
        hooked.iter().try_for_each(|device| older.take_off(device))?;
        older.remove(own, hooked)?;
        self.older = None;
        Ok(())
    }

    /// Publishes the policy image of NIC `slot` atomically; returns when no packet is judged by the old one.
    ///
    /// # Errors
    /// If memory or the table is too small; then the old image stays.
    pub fn publish(&mut self, slot: u16, image: &Image) -> Result<(), KernelError> {
        self.publish_all(&[(slot, image)]).into_iter().collect()
    }

    /// Publishes images by slot, each like [`Self::publish`], and waits for all of them together. Returns one result for each, in
    /// the same order.
    pub fn publish_all(&mut self, images: &[(u16, &Image)]) -> Vec<Result<(), KernelError>> {
        let images: Vec<(u32, &Image)> =
            images.iter().map(|&(slot, image)| (u32::from(slot), image)).collect();
        self.images.publish(&images)
    }

    /// Patches the policy image of NIC `slot`, which takes effect at once. Returns false if it cannot be patched, and then
    /// nothing was changed: publish the whole image.
    ///
    /// # Errors
    /// If the kernel refuses; it is then unknown whether the old or the new image is in force.
    pub fn patch(&mut self, slot: u16, patch: &Patch) -> Result<bool, KernelError> {
        self.images.patch(u32::from(slot), patch)
    }

    /// Does all of [`Self::publish`] except the step that takes effect and the wait for it: for measurements.
    ///
    /// # Errors
    /// If memory is too small, or the image too large.
    pub fn rehearse(&self, image: &Image) -> Result<(), KernelError> {
        self.images.rehearse(image)
    }

    /// Removes the image of NIC `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn withdraw(&mut self, slot: u16) -> Result<(), KernelError> {
        self.slots.remove(&slot);
        self.images.withdraw(u32::from(slot))
    }

    /// Reads the counters `numbers`, summed over the CPUs, in the same order.
    ///
    /// # Errors
    /// If a number is outside the table.
    pub fn counters(&self, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
        numbers.iter().map(|&number| read_counter(&self.counters, number)).collect()
    }

    /// Resets counters, so that a number given to another rule starts at zero.
    ///
    /// # Errors
    /// If a number is outside the table.
    pub fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), KernelError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| KernelError::call("count the CPUs")(error))?;
        for &number in numbers {
            let zero = PerCpuValues::try_from(vec![Counter::default(); cpus])
                .map_err(KernelError::call("make zero counters"))?;
            self.counters.set(number, zero, 0).map_err(counter_error(number))?;
        }
        Ok(())
    }

    /// Deletes the flows of NIC `slot`, which is given to another NIC, and its open exchanges; returns the number of flows.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn forget_flows(&mut self, slot: u16) -> Result<usize, KernelError> {
        self.exchanges
            .set(slot.into(), Exchanges::default(), 0)
            .map_err(KernelError::call("forget what is open without a rule"))?;
        if let Some(older) = &mut self.older {
            older.forget(slot);
        }
        self.filtered_since.set(u32::from(slot), 0, 0).map_err(KernelError::call("begin a NIC anew"))?;
        self.closed.forget(slot)?;
        self.flows.forget(|key, _| key.l4.nic() == slot)
    }

    /// Deletes one flow. It is no error if it does not exist.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn forget_flow(&mut self, key: &FlowKey) -> Result<(), KernelError> {
        self.flows.forget_one(key)
    }

    /// Lists all flows.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn flows(&self) -> Result<Vec<(FlowKey, FlowEntry)>, KernelError> {
        self.flows.list()
    }

    /// Deletes the closed connections of NIC `slot`, as if they had been evicted: for tests.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn forget_closed(&mut self, slot: u16) -> Result<(), KernelError> {
        self.closed.forget(slot)
    }

    /// Makes all remembered state older, as if this many seconds had passed: for tests.
    ///
    /// # Errors
    /// If a table cannot be read or written.
    pub fn let_time_pass(&mut self, seconds: u64) -> Result<(), KernelError> {
        let jiffies = seconds.wrapping_mul(self.settings.hertz.into());
        self.flows.age(jiffies)?;
        self.closed.age(jiffies)?;
        for slot in 0..self.filtered_since.len() {
            let since =
                self.filtered_since.get(&slot, 0).map_err(KernelError::call("ask for a NIC's start"))?;
            if since != 0 {
                // Zero means unknown.
                let since = since.wrapping_sub(jiffies).max(1);
                self.filtered_since.set(slot, since, 0).map_err(KernelError::call("set a NIC's start"))?;
            }
        }
        Ok(())
    }

    /// Inserts flows unchanged: for tests and measurements that need a full table.
    ///
    /// # Errors
    /// If the table is full.
    pub fn enter_flows(
        &mut self,
        flows: impl IntoIterator<Item = (FlowKey, FlowEntry)>,
    ) -> Result<(), KernelError> {
        for (key, entry) in flows {
            self.flows.enter(&key, &entry)?;
        }
        Ok(())
    }

    /// The number of instructions the verifier processed, by program.
    ///
    /// # Errors
    /// If the kernel does not report it (Linux 5.16 and later do).
    pub fn verified_instructions(&mut self) -> Result<Vec<(Program, u32)>, KernelError> {
        let mut counts = Vec::new();
        for program in Program::ALL {
            let info = program_of::<&mut programs::Program>(&mut self.ebpf, program)?
                .info()
                .map_err(KernelError::call(format_args!("ask about program {}", program.name())))?;
            let count = info.verified_instruction_count().ok_or(KernelError::Unsupported {
                feature: "the count of verified instructions",
                minimum: "5.16",
                hint: "",
            })?;
            counts.push((program, count));
        }
        Ok(counts)
    }

    /// The program's own log, if it was loaded with a log level: each call forwards pending records.
    ///
    /// # Errors
    /// If the ring buffer cannot be opened.
    pub fn logger(&mut self) -> Result<impl FnMut() + Send + use<>, KernelError> {
        let logger = EbpfLogger::init(&mut self.ebpf).map_err(KernelError::call("open the program's log"));
        logger.map(|mut logger| move || logger.flush())
    }
}

/// The settings that programs are loaded with; times are in jiffies.
fn settings(options: &Options) -> Result<Settings, KernelError> {
    let hertz = clock::jiffies_per_second()?;
    let jiffies = |seconds: u32| seconds.saturating_mul(hertz);
    Ok(Settings {
        timeouts: options.flows.timeouts.map(jiffies),
        fragment_timeout: jiffies(fragment::TIMEOUT_SECONDS),
        flows_per_nic: options.flows.per_nic,
        reject_interval: options.rejects.interval(),
        peer_secret: rand::random(),
        hertz,
    })
}

/// Whether this kernel has IPsec, so that a program can ask whether it decrypted a packet. A kernel that does not report it is
/// assumed to have it, as distribution kernels do: if that is wrong, the kernel rejects the program and says why.
fn knows_ipsec() -> bool {
    is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_skb_get_xfrm_state).unwrap_or(true)
}

/// A program of the object, as the type that its hook requires. It is loaded on first use: the verifier takes 0.2 s for each
/// program that judges packets, and few hosts need all of them.
pub(super) fn program_of<'a, T>(ebpf: &'a mut Ebpf, program: Program) -> Result<T, KernelError>
where
    T: TryFrom<&'a mut programs::Program>,
{
    let missing = || KernelError::Missing { what: "program", name: program.name() };
    let found = ebpf.program_mut(program.name()).ok_or_else(missing)?;
    if found.fd().is_err() {
        match found {
            programs::Program::Xdp(xdp) => xdp.load(),
            programs::Program::SchedClassifier(classifier) => classifier.load(),
            _ => return Err(missing()),
        }
        .map_err(KernelError::load(program.name()))?;
    }
    found.try_into().map_err(|_| missing())
}

/// Takes a map out of the object.
pub(super) fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, KernelError> {
    ebpf.take_map(name).ok_or(KernelError::Missing { what: "map", name })
}

pub(super) fn open<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, KernelError> {
    M::try_from(take_map(ebpf, name)?).map_err(KernelError::call(format_args!("open map {name}")))
}

/// One counter, summed over the CPUs.
pub(super) fn read_counter(
    counters: &PerCpuArray<MapData, Counter>,
    number: u32,
) -> Result<Counter, KernelError> {
    let values = counters.get(&number, 0).map_err(counter_error(number))?;
    Ok(values.iter().fold(Counter::default(), |sum, cpu| Counter {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
    }))
}

pub(super) fn counter_error(number: u32) -> impl FnOnce(MapError) -> KernelError {
    move |error| match error {
        MapError::OutOfBounds { max_entries, .. } => {
            KernelError::OutOfRange { what: "counter", number, size: max_entries, option: "--max-counters" }
        }
        error => KernelError::call(format_args!("counter {number}"))(error),
    }
}

pub(super) fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}
