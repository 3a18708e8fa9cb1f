//! Which counts of flows have been reported: a table in a file that outlives the process, as the flows do, so that a flow log goes
//! on after an agent was killed and reports nothing twice. It must never know what a report is for. Called by `flow_log`.
//!
//! ```text
//! header:  version, seed, pass, used, capacity, 0, 0, 0
//! entries: hash of key and opening, opened and pass, packets of both sides, bytes of both sides         (linear probing, no tombstones)
//! beside it: taken, acknowledged, unread                                                        (a file of its own)
//! ```
//!
//! An entry is of one flow: another one between the same ends was opened at another time. One that has ended stays for two passes,
//! because a flow may be found to have ended twice, or not at all: by the program, and by the agent.
//!
//! A count is recorded here before it is reported; who reports it acknowledges that. The difference of the two numbers, found at the
//! start, is what a killed agent had taken and not written.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    hash::BuildHasher as _,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::FixedState;
use sg_common::flow::FlowKey;

use super::{KernelError, window::Window};

/// The form of the file: another one is not continued.
const VERSION: u64 = 0x7367_666c_0000_0001;
/// Words of the header, and their places.
const HEADER: usize = 8;
const AT_VERSION: usize = 0;
const AT_SEED: usize = 1;
const AT_PASS: usize = 2;
const AT_USED: usize = 3;
const AT_CAPACITY: usize = 4;
/// Words of an entry.
const ENTRY: usize = 6;
/// Words beside the table: reports that were taken, those that were acknowledged, and flows that the program has counted as unread
/// and that were reported as lost.
const TALLY: usize = 3;
const AT_TAKEN: usize = 0;
const AT_ACKNOWLEDGED: usize = 1;
const AT_UNREAD: usize = 2;
/// The smallest table.
const LEAST: usize = 1 << 12;

/// A flow: its key, and when it was opened, see [`sg_common::flow::FlowEntry::opened`].
pub(super) type Flow = (FlowKey, u32);

/// Of the second word: the flow has ended.
const ENDED: u64 = 1 << 63;
/// The bits of a pass, above those of the opening.
const PASS: u64 = 0x7fff_ffff;

/// What was reported of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Whether its end was.
    pub(super) ended: bool,
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
}

/// Acknowledges reports. Clones acknowledge to the same file.
#[derive(Clone)]
pub struct Acknowledge(Arc<Window>);

impl std::fmt::Debug for Acknowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acknowledge").finish_non_exhaustive()
    }
}

impl Acknowledge {
    /// So many more reports were written, or were counted as lost.
    pub fn add(&self, reports: u64) {
        if let Some(word) = self.0.words().get(AT_ACKNOWLEDGED) {
            word.fetch_add(reports, Ordering::Relaxed);
        }
    }
}

/// The table.
pub(super) struct Reported {
    path: PathBuf,
    table: Window,
    tally: Arc<Window>,
    hasher: FixedState,
    capacity: usize,
    /// Flows that have ended, and in which pass: of this process.
    ended: VecDeque<(Flow, u64)>,
    /// Whether it may grow in this pass.
    grows: bool,
}

impl Reported {
    /// Continues the table in the file `path`, or makes one. Also returns how many reports were taken and not acknowledged.
    pub(super) fn open(path: &Path) -> Result<(Self, u64), KernelError> {
        let tally = Arc::new(tally(&path.with_extension("tally"))?);
        let table = match Self::continued(path, &tally) {
            Some(mut table) => {
                // Whoever was killed while an entry moved has left a gap that hides others, or an entry twice.
                if let Err(error) = table.resize(table.capacity) {
                    tracing::warn!("the table of reported flows is used as it was left: {error}");
                }
                table
            }
            None => Self::create(path, path, LEAST, rand::random(), &tally)?,
        };
        let [taken, acknowledged] = [AT_TAKEN, AT_ACKNOWLEDGED].map(|at| tally.words().get(at));
        let taken = taken.map_or(0, |word| word.load(Ordering::Relaxed));
        let before = acknowledged.map_or(taken, |word| word.swap(taken, Ordering::Relaxed));
        Ok((table, taken.saturating_sub(before)))
    }

    fn continued(path: &Path, tally: &Arc<Window>) -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let words = length / size_of::<u64>();
        let capacity = words.checked_sub(HEADER)? / ENTRY;
        let table = Self::map(path, &file, capacity, tally).ok()?;
        let fits = table.read(AT_VERSION) == VERSION
            && table.read(AT_CAPACITY) == capacity as u64
            && capacity.is_power_of_two()
            && table.read(AT_USED) <= capacity as u64 / 4 * 3
            && words == HEADER + capacity * ENTRY;
        let used = || (0..capacity).filter(|&place| table.word(place, 0) != 0).count() as u64;
        // One more if it was killed while an entry moved.
        let is_whole = fits && used().abs_diff(table.read(AT_USED)) <= 1;
        is_whole.then_some(table)
    }

    /// Makes an empty table at `at`, of which `path` will be the name.
    fn create(
        path: &Path,
        at: &Path,
        capacity: usize,
        seed: u64,
        tally: &Arc<Window>,
    ) -> Result<Self, KernelError> {
        let file = new_file(at, HEADER + capacity * ENTRY)?;
        let table = Self::map(path, &file, capacity, tally)?;
        table.write(AT_SEED, seed);
        table.write(AT_CAPACITY, capacity as u64);
        table.write(AT_VERSION, VERSION);
        Ok(Self { hasher: FixedState::with_seed(seed), ..table })
    }

    fn map(path: &Path, file: &File, capacity: usize, tally: &Arc<Window>) -> Result<Self, KernelError> {
        let table = Window::of_file(file, HEADER + capacity * ENTRY)?;
        let seed = table.words().get(AT_SEED).map_or(0, |word| word.load(Ordering::Relaxed));
        Ok(Self {
            path: path.to_owned(),
            table,
            tally: Arc::clone(tally),
            hasher: FixedState::with_seed(seed),
            capacity,
            ended: VecDeque::new(),
            grows: true,
        })
    }

    /// For whoever reports.
    pub(super) fn acknowledge(&self) -> Acknowledge {
        Acknowledge(Arc::clone(&self.tally))
    }

    /// Notes that a report is taken: before its counts are, so that a report that is lost is counted rather than not.
    pub(super) fn take_one(&self) {
        if let Some(word) = self.tally.words().get(AT_TAKEN) {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many more flows are unread, of `all` that the program has counted since its counters exist.
    pub(super) fn unread_of(&self, all: u64) -> u64 {
        let before = self.tally.words().get(AT_UNREAD).map_or(all, |word| word.swap(all, Ordering::Relaxed));
        // Fewer than before: the counters are new.
        if all < before { all } else { all - before }
    }

    /// What was reported of a flow.
    pub(super) fn get(&self, flow: &Flow) -> Option<Counts> {
        let (hash, place) = self.find(flow);
        let entry = self.entry(place);
        (entry[0] == hash).then(|| Counts {
            ended: entry[1] & ENDED != 0,
            packets: [entry[2], entry[3]],
            bytes: [entry[4], entry[5]],
        })
    }

    /// Notes what was reported of a flow, in this pass.
    pub(super) fn put(&mut self, flow: &Flow, counts: Counts) -> Result<(), KernelError> {
        let (mut hash, mut place) = self.find(flow);
        let is_new = self.word(place, 0) != hash;
        if is_new {
            if self.read(AT_USED) >= self.capacity as u64 / 4 * 3 {
                self.grow()?;
                (hash, place) = self.find(flow);
            }
            self.write(AT_USED, self.read(AT_USED) + 1);
        }
        let Counts { ended, packets, bytes } = counts;
        let stamp = self.stamp(flow.1) | if ended { ENDED } else { 0 };
        if ended {
            self.ended.push_back((*flow, self.read(AT_PASS)));
        }
        // The name last: of a new flow, whoever is killed before has recorded nothing.
        for (at, word) in [stamp, packets[0], packets[1], bytes[0], bytes[1]].into_iter().enumerate() {
            self.write_word(place, at + 1, word);
        }
        self.write_word(place, 0, hash);
        Ok(())
    }

    /// Notes that a flow was seen in this pass, with nothing to report.
    pub(super) fn see(&self, flow: &Flow) {
        let (hash, place) = self.find(flow);
        if self.word(place, 0) == hash {
            self.write_word(place, 1, self.stamp(flow.1));
        }
    }

    fn stamp(&self, opened: u32) -> u64 {
        u64::from(opened) | (self.read(AT_PASS) & PASS) << 32
    }

    /// Removes a flow, if it has ended.
    fn remove_ended(&mut self, flow: &Flow) {
        let (hash, place) = self.find(flow);
        if self.word(place, 0) == hash && self.word(place, 1) & ENDED != 0 {
            self.remove_at(place);
        }
    }

    /// Begins a pass, and removes flows that have ended two passes ago.
    pub(super) fn begin_pass(&mut self) {
        let pass = self.read(AT_PASS).wrapping_add(1) & PASS;
        self.write(AT_PASS, pass);
        self.grows = true;
        while let Some((flow, ended)) = self.ended.front().copied() {
            if pass.wrapping_sub(ended) & PASS <= 2 {
                break;
            }
            self.ended.pop_front();
            self.remove_ended(&flow);
        }
    }

    /// Removes flows that were not seen since the pass `since`; returns how many of them had not ended.
    pub(super) fn remove_older(&mut self, since: u64) -> u64 {
        let (mut gone, mut place) = (0, 0);
        let now = self.read(AT_PASS);
        let age = now.wrapping_sub(since) & PASS;
        while place < self.capacity {
            let stamp = self.word(place, 1);
            let is_old = self.word(place, 0) != 0 && now.wrapping_sub(stamp >> 32 & PASS) & PASS > age;
            if is_old {
                gone += u64::from(stamp & ENDED == 0);
                // Another one may have moved to this place.
                self.remove_at(place);
            } else {
                place += 1;
            }
        }
        gone
    }

    /// The number of the pass.
    pub(super) fn pass(&self) -> u64 {
        self.read(AT_PASS)
    }

    /// Whether it is used so little that a smaller one would do; then it becomes one.
    pub(super) fn shrink(&mut self) -> Result<(), KernelError> {
        if self.capacity > LEAST && self.read(AT_USED) < self.capacity as u64 / 8 {
            self.resize(self.capacity / 2)?;
        }
        Ok(())
    }

    /// After a failure, once more in the next pass: where there is no room, each attempt takes what is left and gives it back.
    fn grow(&mut self) -> Result<(), KernelError> {
        if !self.grows {
            return Err(KernelError::Lacking {
                doing: "note which flows were reported".to_owned(),
                why: "there was no room".to_owned(),
                remedy: "free room where sgd keeps its state, /run",
            });
        }
        self.resize(self.capacity * 2).inspect_err(|_| self.grows = false)
    }

    fn resize(&mut self, capacity: usize) -> Result<(), KernelError> {
        let next = self.path.with_extension("next");
        let mut table = Self::create(&self.path, &next, capacity, self.read(AT_SEED), &self.tally)?;
        table.write(AT_PASS, self.read(AT_PASS));
        let mut used = 0;
        for place in 0..self.capacity {
            let entry = self.entry(place);
            let to = table.place_of(entry[0]);
            if entry[0] != 0 && table.word(to, 0) == 0 {
                for (at, word) in entry.into_iter().enumerate() {
                    table.write_word(to, at, word);
                }
                used += 1;
            }
        }
        table.write(AT_USED, used);
        fs::rename(&next, &self.path).map_err(|source| KernelError::Path {
            doing: "move",
            path: next,
            source,
        })?;
        table.ended = std::mem::take(&mut self.ended);
        *self = table;
        Ok(())
    }

    /// The hash of a flow, never zero, and its place or the vacant one where it would go.
    fn find(&self, flow: &Flow) -> (u64, usize) {
        let hash = self.hasher.hash_one(flow) | 1;
        (hash, self.place_of(hash))
    }

    /// The place of a hash, or the vacant one where it would go.
    fn place_of(&self, hash: u64) -> usize {
        let mut place = self.home(hash);
        // Once round at most: a damaged table may have no vacant place.
        for _ in 0..self.capacity {
            let found = self.word(place, 0);
            if found == hash || found == 0 {
                break;
            }
            place = self.next(place);
        }
        place
    }

    fn home(&self, hash: u64) -> usize {
        (hash >> 16) as usize & (self.capacity - 1)
    }

    const fn next(&self, place: usize) -> usize {
        (place + 1) & (self.capacity - 1)
    }

    /// Removes the entry at a place, and closes the gap (Knuth, The Art of Computer Programming 3, 6.4, algorithm R).
    fn remove_at(&mut self, place: usize) {
        let (mut gap, mut at) = (place, place);
        loop {
            at = self.next(at);
            let entry = self.entry(at);
            if entry[0] == 0 {
                break;
            }
            let home = self.home(entry[0]);
            let stays = if gap < at { gap < home && home <= at } else { gap < home || home <= at };
            if !stays {
                // The name last. Whoever is killed meanwhile leaves a gap, or an entry that is there twice: see `open`.
                self.write_word(gap, 0, 0);
                for (word, value) in entry.into_iter().enumerate().skip(1) {
                    self.write_word(gap, word, value);
                }
                self.write_word(gap, 0, entry[0]);
                gap = at;
            }
        }
        self.write_word(gap, 0, 0);
        self.write(AT_USED, self.read(AT_USED).saturating_sub(1));
    }

    fn entry(&self, place: usize) -> [u64; ENTRY] {
        let mut entry = [0; ENTRY];
        let from = HEADER + place * ENTRY;
        if let Some(words) = self.table.words().get(from..from + ENTRY) {
            for (to, word) in entry.iter_mut().zip(words) {
                *to = word.load(Ordering::Relaxed);
            }
        }
        entry
    }

    fn word(&self, place: usize, at: usize) -> u64 {
        self.read(HEADER + place * ENTRY + at)
    }

    fn write_word(&self, place: usize, at: usize, value: u64) {
        self.write(HEADER + place * ENTRY + at, value);
    }

    fn read(&self, at: usize) -> u64 {
        self.table.words().get(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn write(&self, at: usize, value: u64) {
        if let Some(word) = self.table.words().get(at) {
            AtomicU64::store(word, value, Ordering::Relaxed);
        }
    }
}

/// A file of so many words that are zero.
fn new_file(path: &Path, words: usize) -> Result<File, KernelError> {
    let failed = |doing| move |source| KernelError::Path { doing, path: path.into(), source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
        _ => {}
    }
    let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).clone();
    let file = options.open(path).map_err(failed("create"))?;
    let bytes = words * size_of::<u64>();
    // Memory that is not there would end the process when it is written.
    let length = libc::off_t::try_from(bytes).unwrap_or(libc::off_t::MAX);
    nix::fcntl::posix_fallocate(&file, 0, length)
        .map_err(|error| failed("make room in")(io::Error::from(error)))?;
    Ok(file)
}

/// The words beside the table, of an earlier process if there are any.
fn tally(path: &Path) -> Result<Window, KernelError> {
    let length = (TALLY * size_of::<u64>()) as u64;
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.ok().filter(|file| file.metadata().is_ok_and(|found| found.len() == length));
    Window::of_file(&file.map_or_else(|| new_file(path, TALLY), Ok)?, TALLY)
}

#[cfg(test)]
mod tests;
