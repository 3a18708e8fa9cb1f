//! When each rule, membership and default decided a packet last, over restarts and reboots.
//!
//! A thread of its own reads the counters every minute, compares them with those of the minute before, and writes what it learnt
//! to a file every few minutes and at the end. Whoever asks for last hits reads the counters in question at once, so that what is
//! shown is never older than the request. It must never be on the way of a change of the policy. `sgd` starts it, the native API
//! asks.
//!
//! * `observation`: what a difference means.
//! * `file`: where it is kept.

mod file;
mod observation;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sg_agent::{Catalog, InForce, InForceReader, Instance, Origin, nic_block, read_counters};
use sg_common::{
    abi::{Counter, reason_counter},
    verdict::Reason,
};
use sg_kernel::{Attachment, Limits};
use sg_records::Direction;
use tokio::{sync::watch, time::sleep};

use crate::InspectError;
use file::StateFile;
pub use observation::{Owner, Used};

use observation::{Observation, Unsaved};

/// How often counters are read.
const PASS: Duration = Duration::from_mins(1);
/// How often the file is written if only counts changed: a crash of the host loses as much.
const SAVE: Duration = Duration::from_mins(5);
/// How often a reading is repeated because the policy changed meanwhile.
const ATTEMPTS: u32 = 3;

/// The last hits of an instance. Clones share them.
#[derive(Clone, Debug)]
pub struct LastHits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    in_force: InForceReader,
    pins: PathBuf,
    /// `None` until the file is read.
    observation: Mutex<Option<Observation>>,
}

/// A counter that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it counts for.
    pub owner: Owner,
    /// Its value.
    pub counter: Counter,
    /// When it moved; `None` if that is not observed.
    pub used: Option<Used>,
}

/// Counters to read.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those whose last hits are observed, with their numbers.
    pub owners: Vec<(Owner, u32)>,
    /// The numbers of others.
    pub others: Vec<u32>,
}

/// What was in force when counters were read, and their rows.
#[derive(Clone, Debug)]
pub struct Look {
    /// What is in force.
    pub in_force: Arc<InForce>,
    /// The counters that were requested, in that order.
    pub rows: Vec<Row>,
    /// The values of the other counters that were requested, in that order.
    pub others: Vec<Counter>,
    /// When they were read.
    pub at: Timestamp,
}

impl LastHits {
    /// Last hits that are kept in memory only, for requests. Nothing reads the counters in between.
    #[must_use]
    pub fn in_memory(instance: &Instance, in_force: InForceReader) -> Self {
        Self::of(instance, in_force, Some(Observation::new(Timestamp::now(), Instant::now())))
    }

    /// Last hits of an instance without an agent, which never has anything in force: for tests of what shows them.
    #[must_use]
    pub fn of_nothing(instance: &Instance) -> Self {
        let limits = Limits { nics: 1, flows: 1, counters: 128, denied: 0 };
        let nothing = InForce::new(Catalog::new(limits, Attachment::Auto), Origin::Store);
        Self::in_memory(instance, watch::Sender::new(Arc::new(nothing)).subscribe())
    }

    fn of(instance: &Instance, in_force: InForceReader, observation: Option<Observation>) -> Self {
        Self(Arc::new(Shared { in_force, pins: instance.pins(), observation: Mutex::new(observation) }))
    }

    /// Continues the last hits in the file `path`, and observes the counters on a thread until the agent ends.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn observe(
        instance: &Instance,
        in_force: InForceReader,
        path: PathBuf,
    ) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let hits = Self::of(instance, in_force, None);
        let observer = hits.clone();
        let body = move || {
            // Here, because enforcement does not wait for a disk.
            let file = StateFile::new(path);
            *observer.observation() = Some(file.load((Timestamp::now(), Instant::now())));
            match tokio::runtime::Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => runtime.block_on(observer.keep_observing(file)),
                Err(error) => tracing::error!("the last hits of rules are not observed: {error}"),
            }
        };
        let thread = thread::Builder::new().name("last-hits".to_owned()).spawn(body)?;
        Ok((hits, thread))
    }

    /// The file of an instance below a directory of state.
    #[must_use]
    pub fn file_in(state: &Path, instance: &Instance) -> PathBuf {
        state.join(format!("last-hits-{}.json", instance.name()))
    }

    async fn keep_observing(&self, mut file: StateFile) {
        let mut agent = self.0.in_force.clone();
        // What an earlier agent left is not known by this one's names.
        if agent.wait_for(|in_force| in_force.applied.is_some()).await.is_err() {
            return;
        }
        let mut complained = false;
        let mut saved: Option<Instant> = None;
        loop {
            match self.look(|_| true, |_| true) {
                Ok(_) => complained = false,
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!("the last hits of rules are not observed for now: {error}");
                }
                Err(_) => {}
            }
            let is_due = saved.is_none_or(|at| at.elapsed() >= SAVE);
            let unsaved = self.observation().as_ref().map(|observation| observation.unsaved);
            if is_due || unsaved == Some(Unsaved::Owners) {
                self.save(&mut file);
                saved = Some(Instant::now());
            }
            let ended = async { while agent.changed().await.is_ok() {} };
            tokio::select! {
                () = ended => break,
                () = sleep(PASS) => {}
            }
        }
        // With `--detach-on-exit` the counters may be gone already.
        let _ = self.look(|_| true, |_| true);
        self.save(&mut file);
    }

    /// Writes the file if anything changed. A disk that is slow or full keeps nobody from asking meanwhile.
    fn save(&self, file: &mut StateFile) {
        let (content, unsaved) = match &mut *self.observation() {
            Some(observation) if observation.unsaved != Unsaved::Nothing => {
                let unsaved = std::mem::replace(&mut observation.unsaved, Unsaved::Nothing);
                (file.content(observation), unsaved)
            }
            _ => return,
        };
        if !file.save(&content)
            && let Some(observation) = &mut *self.observation()
        {
            observation.unsaved = observation.unsaved.max(unsaved);
        }
    }

    fn observation(&self) -> MutexGuard<'_, Option<Observation>> {
        // A pass leaves nothing half done that the next would not repair.
        self.0.observation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in force now.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.0.in_force.borrow().clone()
    }

    /// Reads the counters of some groups and of the defaults of some devices, and learns from them.
    ///
    /// # Errors
    /// If nothing is in force yet, or the counters cannot be read.
    pub fn look(
        &self,
        groups: impl Fn(&str) -> bool,
        devices: impl Fn(&str) -> bool,
    ) -> Result<Look, InspectError> {
        self.read(|in_force| Selection {
            owners: owners(&in_force.catalog, &groups, &devices),
            others: Vec::new(),
        })
    }

    /// Reads the counters that `select` selects from what is in force, and learns from those with owners.
    ///
    /// # Errors
    /// If nothing is in force yet, or the counters cannot be read.
    pub fn read(&self, select: impl Fn(&InForce) -> Selection) -> Result<Look, InspectError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let in_force = self.0.in_force.borrow().clone();
            if in_force.applied.is_none() {
                return Err(InspectError::Nothing);
            }
            let Selection { owners, others } = select(&in_force);
            let numbers: Vec<u32> = owners.iter().map(|(_, number)| *number).chain(others).collect();
            let failed = |source| InspectError::Counters { pins: self.0.pins.clone(), source };
            // Before they are read: of two readings, the later one is learnt later.
            let mut observation = self.observation();
            let mut counters = read_counters(&self.0.pins, &numbers).map_err(failed)?;
            let others = counters.split_off(owners.len().min(counters.len()));
            // While the policy changed, a number may have got another owner.
            let is_current = Arc::ptr_eq(&in_force, &self.0.in_force.borrow());
            if !is_current && attempts < ATTEMPTS {
                continue;
            }
            // As the file has it: a time is the same before and after a restart.
            let at = Timestamp::now();
            let now = (Timestamp::from_second(at.as_second()).unwrap_or(at), Instant::now());
            if let (true, Some(observation)) = (is_current, &mut *observation) {
                let is_reset = |number: &u32| !in_force.unreset.contains(number);
                let counted = owners.iter().zip(&counters).filter(|((_, number), _)| is_reset(number));
                let counted =
                    counted.map(|((owner, number), counter)| (owner.clone(), *number, counter.packets));
                let kept = owners.iter().filter(|(_, number)| !is_reset(number));
                let kept = kept.map(|(owner, _)| owner.clone());
                let whole = owners.len() == all(&in_force.catalog);
                observation.pass(counted, kept, whole, now);
            }
            let rows = owners.into_iter().zip(counters).map(|((owner, _), counter)| {
                let used = observation.as_ref().and_then(|observation| observation.used(&owner));
                Row { owner, counter, used }
            });
            return Ok(Look { rows: rows.collect(), others, in_force, at: now.0 });
        }
    }
}

/// The owners of counters in some groups and of the defaults of some devices, with the numbers of the counters.
fn owners(
    catalog: &Catalog,
    groups: impl Fn(&str) -> bool,
    devices: impl Fn(&str) -> bool,
) -> Vec<(Owner, u32)> {
    let mut owners = Vec::new();
    for numbers in catalog.numbers.groups.iter().filter(|numbers| groups(&numbers.name)) {
        owners.extend(numbers.counted().map(|(rule, number)| (Owner::in_group(numbers, rule), number)));
    }
    for nic in catalog.nics.iter().filter(|nic| devices(&nic.device)) {
        owners.extend(Direction::ALL.map(|direction| {
            let number = reason_counter(nic_block(nic.slot), direction.into(), Reason::Default);
            (Owner::Default { device: nic.device.clone(), direction }, number)
        }));
    }
    owners
}

/// The number of all owners.
fn all(catalog: &Catalog) -> usize {
    let groups: usize = catalog.numbers.groups.iter().map(|group| group.counted().count()).sum();
    groups + catalog.nics.len() * Direction::ALL.len()
}
