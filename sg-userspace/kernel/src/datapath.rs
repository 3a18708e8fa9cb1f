//! The loaded program and its maps: what the other files own, put together for one instance. It must never know how a
//! table is read or a device hooked: their files do. The agent, `sg-check`, tests and benchmarks call it.

mod comparing;
mod confirming;
mod observing;

use std::{cell::RefCell, fmt, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData},
    programs::SchedClassifier,
};
use aya_log::EbpfLogger;
use sg_common::{
    abi::{Counter, Settings},
    exchange::Exchanges,
    flow::{FlowEntry, FlowKey},
    reject::Mark,
};
use sg_compile::{Image, Patch};
use sg_model::Hook;

use super::{
    Jiffies, KernelError,
    ageing::{Aged, Ageing},
    attach::Links,
    candidate::Candidates,
    clock,
    closed::Closed,
    counters::Counters,
    denied::Denied,
    device::{Attached, Device},
    flow_log::FlowLog,
    flows::Flows,
    images::{self, Images},
    nics::Nics,
    object::{self, OBJECT, Program, has_programs, open, program_of},
    options::{Options, SIZED, maps_error},
    pending::PendingChange,
    pins::{self, MAPS},
    run::{self, Outcome, Runner},
    shares::Places,
    takeover::Older,
    watch::{Replaced, Watcher},
};

/// How long after a pass of ageing the last values of replaced flows are still wanted, in seconds.
const WANTED_SECONDS: u64 = 60;

/// The loaded program and its maps.
pub struct Datapath {
    ebpf: Ebpf,
    links: Links,
    nics: Nics,
    images: Images,
    pending: PendingChange,
    candidates: Candidates,
    counters: Counters,
    flows: Flows,
    places: Places,
    closed: Closed,
    ageing: Ageing,
    denied: Denied,
    replaced: Option<Replaced>,
    flow_log: Option<FlowLog>,
    watcher: Watcher,
    /// The ring of single events.
    events: Map,
    /// Open exchanges of each NIC that need no rule, by slot.
    exchanges: Array<MapData, Exchanges>,
    settings: Settings,
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
        let settings = options.settings(clock::jiffies_per_second()?, rand::random());
        let mut loader = EbpfLoader::new();
        let knows_ipsec = u32::from(object::knows_ipsec());
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
            _ => maps_error(error),
        })?;
        // Nearly every NIC needs these: if the kernel rejects one, the start fails now. XDP is loaded with the first NIC that uses
        // it.
        for program in [Program::Egress, Program::Ingress] {
            program_of::<&mut SchedClassifier>(&mut ebpf, program)?;
        }

        let mut mark: Array<_, u64> = open(&mut ebpf, "REJECT_MARK")?;
        mark.set(0, Mark::new(rand::random(), rand::random()).word(), 0)
            .map_err(KernelError::call("write the mark of rejects"))?;
        let mut counters = Counters::take(&mut ebpf)?;
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
            pending: PendingChange::take(&mut ebpf)?,
            candidates: Candidates::take(&mut ebpf)?,
            counters,
            flows,
            places,
            closed: Closed::take(&mut ebpf)?,
            ageing: Ageing::take(&mut ebpf)?,
            denied: Denied::take(&mut ebpf, options.limits.denied, options.limits.nics)?,
            replaced: Some(Replaced::take(&mut ebpf)?),
            flow_log: None,
            watcher: Watcher::take(&mut ebpf)?,
            events: object::take_map(&mut ebpf, "EVENTS")?,
            exchanges: open(&mut ebpf, "EXCHANGES")?,
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
        self.attach_too(slot, device, hook)?;
        let other = match hook {
            Hook::Tc => Program::Xdp,
            Hook::Xdp => Program::Ingress,
        };
        self.links.detach(other, device)
    }

    /// The same, and what is at the other hook stays there: both judge packets.
    ///
    /// # Errors
    /// As there.
    pub fn attach_too(&mut self, slot: u16, device: &Device, hook: Hook) -> Result<(), KernelError> {
        let received = match hook {
            Hook::Tc => Program::Ingress,
            Hook::Xdp => Program::Xdp,
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
        Ok(())
    }

    /// Records when NIC `slot` was first filtered, unless an earlier run did: older connections may be taken over. From now on
    /// the NIC also has a share of the half-open flows.
    fn begin_filtering(&mut self, slot: u16) -> Result<(), KernelError> {
        self.places.join(slot)?;
        self.nics.begin(slot, || run::now(&mut self.ebpf))
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
    pub fn fill_and_discard(&self, image: &Image) -> Result<(), KernelError> {
        self.images.fill_and_discard(image)
    }

    /// Removes the image of NIC `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn withdraw(&mut self, slot: u16) -> Result<(), KernelError> {
        self.places.leave(slot);
        self.images.withdraw(u32::from(slot))
    }

    /// Reads the counters `numbers`, summed over the CPUs, in the same order.
    ///
    /// # Errors
    /// If a number is outside the table.
    pub fn counters(&self, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
        self.counters.read(numbers)
    }

    /// Resets counters, so that a number given to another rule starts at zero.
    ///
    /// # Errors
    /// If a number is outside the table.
    pub fn reset_counters(&mut self, numbers: &[u32]) -> Result<(), KernelError> {
        self.counters.reset(numbers)
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
        self.nics.forget(slot)?;
        self.closed.forget(slot)?;
        let log = RefCell::new(self.flow_log.as_mut());
        self.flows.forget(|key, _| key.l4.nic() == slot, &log)
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

    /// Deletes expired flows from all tables; returns how many.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn age(&mut self) -> Result<usize, KernelError> {
        let mut expired = 0;
        loop {
            let part = self.age_some()?;
            expired += part.expired;
            if part.is_last {
                return Ok(expired);
            }
        }
    }

    /// Deletes expired flows from the next part of the tables, which takes a millisecond or two. Call it every few seconds, each
    /// time until the last part.
    ///
    /// # Errors
    /// If a table cannot be read; the next call then starts a new pass.
    pub fn age_some(&mut self) -> Result<Aged, KernelError> {
        let at = self.jiffies()?;
        let Self { ageing, flows, closed, counters, settings, flow_log, watcher, .. } = self;
        // Zero ends what an earlier run with a flow log wanted.
        let wanted = flow_log.as_ref().map(|_| at.now.wrapping_add(WANTED_SECONDS * u64::from(at.hertz)));
        watcher.want_flows(wanted.unwrap_or(0));
        let times = (&settings.timeouts, at);
        let part = ageing.age_some(flows, closed, counters, flow_log.as_mut(), times)?;
        if part.is_last {
            self.places.settle()?;
        }
        Ok(part)
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
        self.nics.age(jiffies)
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

    /// Makes test runs use the policy of NIC `slot`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn stand_in(&mut self, slot: u16) -> Result<(), KernelError> {
        self.nics.enter(&run::loopback(), slot)?;
        self.begin_filtering(slot)
    }

    /// Runs `program` on `frame` `repeat` times.
    ///
    /// # Errors
    /// If the kernel refuses, for instance a frame that is no longer than an Ethernet header.
    pub fn run(&mut self, program: Program, frame: &[u8], repeat: u32) -> Result<Outcome, KernelError> {
        run::run(&mut self.ebpf, program, frame, repeat)
    }

    /// The program `program`, at tc, for another thread to run: for tests.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn runner(&mut self, program: Program) -> Result<Runner, KernelError> {
        Runner::of(&mut self.ebpf, program)
    }

    /// The clock of flows: jiffies.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn now(&mut self) -> Result<u64, KernelError> {
        run::now(&mut self.ebpf)
    }

    /// The time on the programs' clock.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn jiffies(&mut self) -> Result<Jiffies, KernelError> {
        Ok(Jiffies { now: self.now()?, hertz: self.settings.hertz })
    }

    /// The number of instructions the verifier processed, by program.
    ///
    /// # Errors
    /// If the kernel does not report it (Linux 5.16 and later do).
    pub fn verified_instructions(&mut self) -> Result<Vec<(Program, u32)>, KernelError> {
        let count = |program| Ok((program, object::verified_instructions(&mut self.ebpf, program)?));
        Program::ALL.into_iter().map(count).collect()
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
