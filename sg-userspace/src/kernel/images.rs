//! Filling and publishing policy images.
//!
//! An image is written into a fresh map through `mmap`, then one write into the slot of the class's array of maps
//! publishes it. That write returns after an RCU grace period: from then on no packet reads the old image, and
//! the kernel frees it. A grace period is 4 to 16 ms, whoever waits for it, so many images are written by many threads: they
//! wait for the same one. (`BPF_MAP_UPDATE_BATCH` waits once too, since Linux 6.8, is no faster, and has no
//! counterpart that empties slots.)

use std::os::fd::AsFd as _;

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use memmap2::MmapOptions;
use sg_common::image::CLASS_WORDS;

use super::{KernelError, datapath::take_map, sys};
use crate::{compile::Image, workers};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

/// Bytes of fresh arrays that are there at a time, before the old ones are freed; one image may be larger.
const IN_FLIGHT: usize = 256 << 20;

/// Threads that wait for grace periods at the same time.
const WAITING: usize = 64;

/// The image tables, smallest class first.
#[derive(Debug)]
pub(super) struct Images {
    classes: [Table; CLASS_WORDS.len()],
}

impl Images {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            classes: [
                Table::take(ebpf, "IMAGES_64K", CLASS_WORDS[0])?,
                Table::take(ebpf, "IMAGES_1M", CLASS_WORDS[1])?,
                Table::take(ebpf, "IMAGES_16M", CLASS_WORDS[2])?,
                Table::take(ebpf, "IMAGES_64M", CLASS_WORDS[3])?,
            ],
        })
    }

    /// Publishes images by slot; what became of each, in the same order. Where an image changes its class it is for a
    /// moment in two; the program takes the smaller. So the write that makes the change is the placing when it
    /// shrinks and the clearing when it grows.
    pub(super) fn publish(&mut self, images: &[(u32, &Image)]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(images.len());
        let mut left = images;
        while !left.is_empty() {
            // As many as memory is spent on at a time: until the old ones are free, all are there twice.
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

    /// What publishing an image costs but for the wait: a fresh array is filled, and dropped.
    pub(super) fn rehearse(&self, image: &Image) -> Result<(), KernelError> {
        let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() })?;
        self.classes[class].fill(0, image.words()).map(drop)
    }

    fn publish_together(&self, images: &[(u32, &Image)]) -> Vec<Result<(), KernelError>> {
        let fill = |&(slot, image): &(u32, &Image)| {
            let class = class_of(image).ok_or(KernelError::TooLarge { words: image.words().len() })?;
            Ok((class, slot, self.classes[class].fill(slot, image.words())?))
        };
        let filled: Vec<Result<(usize, u32, MapData), KernelError>> = images.iter().map(fill).collect();
        let place = |job: usize| match &filled[job] {
            Ok((class, slot, array)) => self.place(*class, *slot, array),
            Err(_) => Ok(()),
        };
        let placed =
            workers::share(images.len(), WAITING, |jobs| jobs.map(|job| (job, place(job))).collect());
        filled.into_iter().zip(placed).map(|(filled, placed)| filled.and(placed)).collect()
    }

    fn place(&self, class: usize, slot: u32, array: &MapData) -> Result<(), KernelError> {
        self.classes[class].place(slot, array)?;
        for (other, table) in self.classes.iter().enumerate() {
            if other != class && table.holds(slot)? {
                table.clear(slot)?;
            }
        }
        Ok(())
    }

    pub(super) fn withdraw(&mut self, slot: u32) -> Result<(), KernelError> {
        for table in &mut self.classes {
            if table.holds(slot)? {
                table.clear(slot)?;
            }
        }
        Ok(())
    }
}

fn class_of(image: &Image) -> Option<usize> {
    CLASS_WORDS.iter().position(|&size| image.words().len() <= size)
}

/// Whether this kernel has arrays with values as large as an image. In older ones a value ends where `kmalloc` does, at
/// 4 MiB (`array_map_alloc_check`, kernel/bpf/arraymap.c): tried on 5.10, which has not, and on 6.1, which has.
///
/// # Errors
/// Where it has not, and where it cannot be asked.
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

/// A fresh array for an image of so many words.
fn array_of(words: usize) -> Result<MapData, MapError> {
    let (array, key, value) = (BPF_MAP_TYPE_ARRAY as u32, size_of::<u32>() as u32, (words * 8) as u32);
    let definition = aya_obj::Map::new_from_params(array, key, value, 1, MMAPABLE);
    MapData::create(definition, "sg_image", None)
}

/// The table of one size class: an array of arrays of one value.
#[derive(Debug)]
struct Table {
    map: MapData,
    size: u32,
    /// Words of an image.
    words: usize,
}

impl Table {
    fn take(ebpf: &mut Ebpf, name: &'static str, words: usize) -> Result<Self, KernelError> {
        let Map::ArrayOfMaps(map) = take_map(ebpf, name)? else {
            return Err(KernelError::Missing { what: "array of maps", name });
        };
        let info = map.info().map_err(KernelError::call(format_args!("ask about map {name}")))?;
        Ok(Self { map, size: info.max_entries(), words })
    }

    /// A fresh array with an image in it, for `slot`.
    fn fill(&self, slot: u32, words: &[u64]) -> Result<MapData, KernelError> {
        if slot >= self.size {
            let (number, size) = (slot, self.size);
            return Err(KernelError::OutOfRange { what: "NIC", number, size, option: "--max-nics" });
        }
        let doing = format!("make an image map of {} bytes", self.words * 8);
        let data = array_of(self.words).map_err(KernelError::call(&doing))?;
        fill(data.fd(), words)?;
        Ok(data)
    }

    fn place(&self, slot: u32, image: &MapData) -> Result<(), KernelError> {
        sys::set_element(self.map.fd().as_fd(), slot, image.fd().as_fd())
            .map_err(KernelError::call(format_args!("publish the image of NIC {slot}")))
    }

    fn holds(&self, slot: u32) -> Result<bool, KernelError> {
        sys::has_element(self.map.fd().as_fd(), slot)
            .map_err(KernelError::call(format_args!("look for the image of NIC {slot}")))
    }

    fn clear(&self, slot: u32) -> Result<(), KernelError> {
        let doing = format_args!("withdraw the image of NIC {slot}");
        sys::delete_element(self.map.fd().as_fd(), slot).map(|_| ()).map_err(KernelError::call(doing))
    }
}

/// Writes `words` to the front of a map's only value; the rest stays zero.
fn fill(fd: &aya::maps::MapFd, words: &[u64]) -> Result<(), KernelError> {
    #![expect(unsafe_code, reason = "memmap2 asks that nobody else changes the mapping")]
    use std::os::fd::AsRawFd as _;
    let mut options = MmapOptions::new();
    options.len(size_of_val(words));
    // SAFETY: the map was made a moment ago and nobody else has it.
    let mut mapping = unsafe { options.map_mut(fd.as_fd().as_raw_fd()) }
        .map_err(KernelError::call("map an image into memory"))?;
    for (place, word) in mapping.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    Ok(())
}
