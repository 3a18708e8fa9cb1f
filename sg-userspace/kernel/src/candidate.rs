//! The images of a candidate policy, and what programs count about it. A candidate belongs to the process that sets it: nothing here is
//! pinned. It must never touch an image in force. Called by `datapath`.

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues},
};
use sg_common::{
    candidate::{Asked, DifferingEntry, DifferingKey},
    image::CLASS_WORDS,
};
use sg_compile::Image;
use sg_host::parallel;

use super::{
    KernelError,
    images::{Table, class_of},
    object::open,
};

/// Threads that wait for grace periods at the same time.
const WAITING: usize = 64;

/// The candidate's images and counts.
pub(super) struct Candidates {
    tables: [Table; CLASS_WORDS.len()],
    /// Where images are: the size class, and the slot.
    placed: Vec<(usize, u32)>,
    asked: PerCpuHashMap<MapData, u64, u64>,
    differing: HashMap<MapData, DifferingKey, DifferingEntry>,
}

impl Candidates {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            tables: [
                Table::take(ebpf, "CANDIDATES_64K", CLASS_WORDS[0], 1)?,
                Table::take(ebpf, "CANDIDATES_1M", CLASS_WORDS[1], 1)?,
                Table::take(ebpf, "CANDIDATES_16M", CLASS_WORDS[2], 1)?,
                Table::take(ebpf, "CANDIDATES_64M", CLASS_WORDS[3], 1)?,
            ],
            placed: Vec::new(),
            asked: open(ebpf, "CANDIDATE_ASKED")?,
            differing: open(ebpf, "CANDIDATE_DIFFERS")?,
        })
    }

    /// Makes `images`, by slot, those of the candidate, in place of any others, and counts from zero. On an error there is none.
    pub(super) fn set(&mut self, images: &[(u16, &Image)]) -> Result<(), KernelError> {
        self.clear()?;
        let set = self.place(images);
        if set.is_err() {
            self.clear()?;
        }
        set
    }

    fn place(&mut self, images: &[(u16, &Image)]) -> Result<(), KernelError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| KernelError::call("count the CPUs")(error))?;
        for (slot, _) in images {
            // There is room for these whatever else is counted.
            for name in Asked::without_counters(*slot) {
                let zero = PerCpuValues::try_from(vec![0; cpus]).map_err(failed("make zero counts"))?;
                self.asked.insert(name.word(), zero, 0).map_err(failed("make room for counts"))?;
            }
        }
        let tables = &self.tables;
        let place = |job: usize| {
            let (slot, image) = images[job];
            let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() });
            let placed = class.and_then(|class| {
                let array = tables[class].fill(slot.into(), image.words())?;
                tables[class].place(slot.into(), &array)?;
                Ok((class, u32::from(slot)))
            });
            (job, placed)
        };
        let mut result = Ok(());
        for placed in parallel::parallel_map(images.len(), WAITING, |jobs| jobs.map(place).collect()) {
            match placed {
                Ok(place) => self.placed.push(place),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Removes the candidate and what was counted. When this returns, no packet is asked about it any more.
    pub(super) fn clear(&mut self) -> Result<(), KernelError> {
        let clear = |job: usize| {
            let (class, slot) = self.placed[job];
            (job, self.tables[class].clear(slot))
        };
        let cleared: Result<(), _> =
            parallel::parallel_map(self.placed.len(), WAITING, |jobs| jobs.map(clear).collect())
                .into_iter()
                .collect();
        cleared?;
        self.placed.clear();
        let asked: Vec<u64> = self.asked.keys().collect::<Result<_, _>>().map_err(failed("list counts"))?;
        for word in asked {
            found(self.asked.remove(&word)).map_err(failed("remove counts"))?;
        }
        let differing: Vec<DifferingKey> =
            self.differing.keys().collect::<Result<_, _>>().map_err(failed("list packets that differ"))?;
        for key in differing {
            found(self.differing.remove(&key)).map_err(failed("remove packets that differ"))?;
        }
        Ok(())
    }

    /// How many packets were decided how, without zeros.
    pub(super) fn asked(&self) -> Result<Vec<(Asked, u64)>, KernelError> {
        let mut all = Vec::new();
        for word in self.asked.keys() {
            let word = word.map_err(failed("list counts"))?;
            let counts = self.asked.get(&word, 0).map_err(failed("read counts"))?;
            let packets: u64 = counts.iter().sum();
            if packets > 0 {
                all.push((Asked::of(word), packets));
            }
        }
        Ok(all)
    }

    /// The packets that the candidate judges differently, as far as there was room for their names.
    pub(super) fn differing(&self) -> Result<Vec<(DifferingKey, DifferingEntry)>, KernelError> {
        let mut all = Vec::new();
        for entry in &self.differing {
            all.push(entry.map_err(failed("read packets that differ"))?);
        }
        Ok(all)
    }
}

/// It is no error if there is nothing to remove.
fn found(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        result => result,
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(
    doing: &'static str,
) -> impl FnOnce(E) -> KernelError {
    move |error| KernelError::call(format_args!("{doing} of the candidate"))(error)
}
