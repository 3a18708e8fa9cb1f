//! Fills and publishes policy images.
//!
//! An image is written into a fresh map through `mmap`, then one write into the slot of its class's array of maps publishes it.
//! That write returns after an RCU grace period: from then on no packet reads the old image, and the kernel frees it. A grace
//! period takes 4 to 16 ms, however many wait for it, so many images are written by many threads, which wait for the same one.
//! (`BPF_MAP_UPDATE_BATCH` also waits once, since Linux 6.8, but is no faster, and has no counterpart that empties slots.)
//!
//! A published image can be **patched**: words are appended where no packet reads yet, then single words are replaced, and
//! finally the header's. No packet waits, none is judged by half a policy (see [`Patch`]), and the kernel is asked for nothing
//! but the pages. This requires that a packet which reads the new header also reads the new references. On x86-64 loads and
//! stores are observed in program order, so the stores follow each other at once. Elsewhere a packet may have read a reference
//! before the header: there, a grace period passes between the two, so that only packets that began after the references were
//! written see the new generation.

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::Ordering,
};

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use memmap2::MmapOptions;
use sg_common::image::{CLASS_WORDS, header};
use sg_compile::{Image, Patch};
use sg_host::parallel;

use super::{KernelError, object::take_map, sys, window::Window};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

/// The maximum size in bytes of fresh arrays that exist at a time, before the old ones are freed; a single image may be larger.
const IN_FLIGHT: usize = 256 << 20;

/// Threads that wait for grace periods at the same time.
const WAITING: usize = 64;

/// The maximum number of images kept open for patching: each is a file descriptor.
const AT_HAND: usize = 64;

/// Places of each NIC: for the image in force, and behind all of those for that before the change that is to be confirmed.
const PLACES: u32 = 2;

/// Whether loads in program order observe stores in program order.
const ORDERED: bool = cfg!(target_arch = "x86_64");

/// The image tables, smallest class first.
#[derive(Debug)]
pub(super) struct Images {
    classes: [Table; CLASS_WORDS.len()],
    /// Arrays that this process published, by slot, with their size classes.
    at_hand: HashMap<u32, (usize, MapData)>,
}

impl Images {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            classes: [
                Table::take(ebpf, "IMAGES_64K", CLASS_WORDS[0], PLACES)?,
                Table::take(ebpf, "IMAGES_1M", CLASS_WORDS[1], PLACES)?,
                Table::take(ebpf, "IMAGES_16M", CLASS_WORDS[2], PLACES)?,
                Table::take(ebpf, "IMAGES_64M", CLASS_WORDS[3], PLACES)?,
            ],
            at_hand: HashMap::new(),
        })
    }

    /// Publishes images by slot; returns one result for each, in the same order. An image that changes its class is in two for a
    /// moment, and the program takes the smaller one. So the write that takes effect is the placing if the image shrinks, and the
    /// clearing if it grows.
    pub(super) fn publish(&mut self, images: &[(u32, &Image)]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(images.len());
        let mut left = images;
        while !left.is_empty() {
            // As many as the memory limit allows at a time: until the old ones are freed, all exist twice.
            let mut bytes = 0;
            let fit = left.iter().take_while(|(_, image)| {
                bytes += class_of(image).map_or(0, |class| CLASS_WORDS[class] * size_of::<u64>());
                bytes <= IN_FLIGHT
            });
            let (now, later) = left.split_at(fit.count().max(1));
            results.append(&mut self.publish_together(now));
            left = later;
        }
        results
    }

    /// Does the work of publishing an image except the wait: fills a fresh array and drops it.
    pub(super) fn fill_and_discard(&self, image: &Image) -> Result<(), KernelError> {
        let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() })?;
        self.classes[class].fill(0, image.words()).map(drop)
    }

    fn publish_together(&mut self, images: &[(u32, &Image)]) -> Vec<Result<(), KernelError>> {
        let fill = |&(slot, image): &(u32, &Image)| {
            let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() })?;
            Ok((class, slot, self.classes[class].fill(slot, image.words())?))
        };
        let filled: Vec<Result<(usize, u32, MapData), KernelError>> = images.iter().map(fill).collect();
        let tables = &*self;
        let place = |job: usize| match &filled[job] {
            Ok((class, slot, array)) => tables.place(*class, *slot, array),
            Err(_) => Ok(()),
        };
        let placed =
            parallel::parallel_map(images.len(), WAITING, |jobs| jobs.map(|job| (job, place(job))).collect());
        for (slot, _) in images {
            self.at_hand.remove(slot);
        }
        let kept = |(filled, placed): (Result<_, _>, Result<(), _>)| {
            let (class, slot, array) = filled?;
            placed?;
            if self.at_hand.len() < AT_HAND {
                self.at_hand.insert(slot, (class, array));
            } else if let Some((&smaller, _)) = self.at_hand.iter().find(|&(_, &(other, _))| other < class) {
                self.at_hand.remove(&smaller);
                self.at_hand.insert(slot, (class, array));
            }
            Ok(())
        };
        filled.into_iter().zip(placed).map(kept).collect()
    }

    /// Patches the image of a slot, see the module documentation. Returns false if this process has not published it, or the
    /// patch is for another image: then nothing is changed.
    pub(super) fn patch(&self, slot: u32, patch: &Patch) -> Result<bool, KernelError> {
        let Some((class, array)) = self.at_hand.get(&slot) else { return Ok(false) };
        let table = &self.classes[*class];
        let end = patch.at + patch.appended.len();
        if end > table.words || patch.replaced.iter().any(|&(place, _)| place >= patch.at) {
            return Ok(false);
        }
        let generation = Window::of(array, header::GENERATION_FLAGS, 1)?;
        if generation.words().iter().any(|word| word.load(Ordering::Relaxed) != patch.before) {
            return Ok(false);
        }
        // Everything that can fail comes before the first write.
        let room = Window::of(array, patch.at, patch.appended.len())?;
        let replaced = patch.replaced.iter().map(|&(place, word)| Ok((Window::of(array, place, 1)?, word)));
        let replaced: Vec<(Window, u64)> = replaced.collect::<Result<_, KernelError>>()?;
        room.store(&patch.appended, Ordering::Relaxed);
        for (window, word) in replaced {
            window.store(&[word], Ordering::Release);
        }
        if !ORDERED {
            // The same image in the same place: only the wait matters.
            table.place(slot, array)?;
        }
        generation.store(&[patch.after], Ordering::Release);
        Ok(true)
    }

    pub(super) fn withdraw(&mut self, slot: u32) -> Result<(), KernelError> {
        self.at_hand.remove(&slot);
        for table in &self.classes {
            if table.holds(slot)? {
                table.clear(slot)?;
            }
        }
        Ok(())
    }

    fn place(&self, class: usize, index: u32, array: &MapData) -> Result<(), KernelError> {
        self.classes[class].place(index, array)?;
        for (other, table) in self.classes.iter().enumerate() {
            if other != class && table.holds(index)? {
                table.clear(index)?;
            }
        }
        Ok(())
    }

    /// The place of the image of `slot` before the change that is to be confirmed.
    const fn previous(&self, slot: u32) -> u32 {
        self.classes[0].slots + slot
    }

    /// Makes the images in force the previous ones, too: the arrays themselves, without a copy. It is no error if there is none.
    pub(super) fn keep(&self, slots: &[u32]) -> Result<(), KernelError> {
        let keep = |job: usize| (job, self.keep_one(slots[job]));
        parallel::parallel_map(slots.len(), WAITING, |jobs| jobs.map(keep).collect()).into_iter().collect()
    }

    fn keep_one(&self, slot: u32) -> Result<(), KernelError> {
        if let Some((class, array)) = self.at_hand.get(&slot) {
            return self.place(*class, self.previous(slot), array);
        }
        // As the program looks for it: the smaller class wins.
        for (class, table) in self.classes.iter().enumerate() {
            if let Some(array) = table.open(slot)? {
                return self.place(class, self.previous(slot), &array);
            }
        }
        Ok(())
    }

    /// Makes `image` the previous one.
    pub(super) fn keep_instead(&self, slot: u32, image: &Image) -> Result<(), KernelError> {
        let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() })?;
        self.place(class, self.previous(slot), &self.classes[class].fill(slot, image.words())?)
    }

    /// Forgets the previous images. From now on no image in force says that a change is to be confirmed, as far as this process has
    /// published it; of the others, programs ask the word, and find another change or none.
    pub(super) fn forget_previous(&self) -> Result<(), KernelError> {
        for (_, array) in self.at_hand.values() {
            Window::of(array, header::PENDING, 1)?.store(&[0], Ordering::Relaxed);
        }
        let mut kept = Vec::new();
        for table in &self.classes {
            for index in self.previous(0)..self.previous(table.slots) {
                if table.holds(index)? {
                    kept.push((table, index));
                }
            }
        }
        let clear = |job: usize| {
            let (table, index): (&Table, u32) = kept[job];
            (job, table.clear(index))
        };
        parallel::parallel_map(kept.len(), WAITING, |jobs| jobs.map(clear).collect()).into_iter().collect()
    }
}

/// The size class of an image.
pub(super) fn class_of(image: &Image) -> Option<usize> {
    CLASS_WORDS.iter().position(|&size| image.words().len() <= size)
}

/// Checks that this kernel supports arrays with values as large as an image. In older kernels a value is limited to what
/// `kmalloc` provides, 4 MiB (`array_map_alloc_check`, kernel/bpf/arraymap.c): verified on 5.10, which lacks the support, and on
/// 6.1, which has it.
///
/// # Errors
/// If it does not, or if that cannot be determined.
pub(super) fn supported() -> Result<(), KernelError> {
    match array_of(CLASS_WORDS[CLASS_WORDS.len() - 1]) {
        Ok(_) => Ok(()),
        Err(MapError::CreateError { io_error, .. }) if io_error.raw_os_error() == Some(libc::E2BIG) => {
            Err(KernelError::Unsupported {
                feature: "an eBPF array with values of 64 MiB",
                minimum: "6.1",
                hint: ", which is the oldest kernel that is supported",
            })
        }
        Err(error) => Err(KernelError::call("make an image map")(error)),
    }
}

/// A fresh array for an image of this many words.
fn array_of(words: usize) -> Result<MapData, MapError> {
    let (array, key, value) = (BPF_MAP_TYPE_ARRAY as u32, size_of::<u32>() as u32, (words * 8) as u32);
    let definition = aya_obj::Map::new_from_params(array, key, value, 1, MMAPABLE);
    MapData::create(definition, "sg_image", None)
}

/// The table of one size class: an array of maps, each an array of one value.
#[derive(Debug)]
pub(super) struct Table {
    map: MapData,
    /// The number of NICs that it has room for.
    slots: u32,
    /// The image size in words.
    words: usize,
}

impl Table {
    /// Takes a table out of the object, which has so many `places` for each NIC.
    pub(super) fn take(
        ebpf: &mut Ebpf,
        name: &'static str,
        words: usize,
        places: u32,
    ) -> Result<Self, KernelError> {
        let Map::ArrayOfMaps(map) = take_map(ebpf, name)? else {
            return Err(KernelError::Missing { what: "array of maps", name });
        };
        let info = map.info().map_err(KernelError::call(format_args!("ask about map {name}")))?;
        Ok(Self { map, slots: info.max_entries() / places, words })
    }

    /// A fresh array filled with an image, for `slot`.
    pub(super) fn fill(&self, slot: u32, words: &[u64]) -> Result<MapData, KernelError> {
        if slot >= self.slots {
            let (number, size) = (slot, self.slots);
            return Err(KernelError::OutOfRange { what: "NIC", number, size, option: "--max-nics" });
        }
        let doing = format!("make an image map of {} bytes", self.words * 8);
        let data = array_of(self.words).map_err(KernelError::call(&doing))?;
        fill(data.fd(), words)?;
        Ok(data)
    }

    pub(super) fn place(&self, slot: u32, image: &MapData) -> Result<(), KernelError> {
        sys::set_element(self.map.fd().as_fd(), slot, image.fd().as_fd())
            .map_err(KernelError::call(format_args!("publish the image of NIC {slot}")))
    }

    fn holds(&self, slot: u32) -> Result<bool, KernelError> {
        sys::has_element(self.map.fd().as_fd(), slot)
            .map_err(KernelError::call(format_args!("look for the image of NIC {slot}")))
    }

    /// The array in a slot. Needs `CAP_SYS_ADMIN` (`bpf_map_get_fd_by_id`, kernel/bpf/syscall.c).
    fn open(&self, slot: u32) -> Result<Option<MapData>, KernelError> {
        let doing = format_args!("look for the image of NIC {slot}");
        let id = sys::element_of(self.map.fd().as_fd(), slot).map_err(KernelError::call(doing))?;
        let open = |id| {
            MapData::from_id(id).map_err(KernelError::call(format_args!("open the image of NIC {slot}")))
        };
        id.map(open).transpose()
    }

    pub(super) fn clear(&self, slot: u32) -> Result<(), KernelError> {
        let doing = format_args!("withdraw the image of NIC {slot}");
        sys::delete_element(self.map.fd().as_fd(), slot).map(|_| ()).map_err(KernelError::call(doing))
    }
}

/// Writes `words` to the front of a map's only value; the rest stays zero.
fn fill(fd: &aya::maps::MapFd, words: &[u64]) -> Result<(), KernelError> {
    #![expect(unsafe_code, reason = "memmap2 asks that nobody else changes the mapping")]
    let mut options = MmapOptions::new();
    options.len(size_of_val(words));
    // SAFETY: the map was just created, and nobody else has it.
    let mut mapping = unsafe { options.map_mut(fd.as_fd().as_raw_fd()) }
        .map_err(KernelError::call("map an image into memory"))?;
    for (place, word) in mapping.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    Ok(())
}
