//! Filling and publishing policy images.
//!
//! An image is written into a fresh map through `mmap`, then one write into the slot of the class's array of maps
//! publishes it. That write returns after an RCU grace period: from then on no packet reads the old image, and
//! the kernel frees it.

use std::os::fd::AsFd as _;

use aya::{
    Ebpf,
    maps::{Array, ArrayOfMaps, Map, MapData, MapError},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use memmap2::MmapOptions;
use sg_common::image::CLASS_WORDS;

use super::{KernelError, datapath::take_map, sys};
use crate::compile::Image;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

/// The image tables, smallest class first.
#[derive(Debug)]
pub(super) struct Images {
    classes: [Box<dyn Class>; CLASS_WORDS.len()],
}

impl Images {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            classes: [
                Table::<{ CLASS_WORDS[0] }>::take(ebpf, "IMAGES_64K")?,
                Table::<{ CLASS_WORDS[1] }>::take(ebpf, "IMAGES_1M")?,
                Table::<{ CLASS_WORDS[2] }>::take(ebpf, "IMAGES_16M")?,
                Table::<{ CLASS_WORDS[3] }>::take(ebpf, "IMAGES_64M")?,
            ],
        })
    }

    /// Publishes. Where the image changes its class it is for a moment in two; the program takes the smaller. So
    /// the write that makes the change is the placing when it shrinks and the clearing when it grows.
    pub(super) fn publish(&mut self, slot: u32, image: &Image) -> Result<(), KernelError> {
        let words = image.words();
        let class = CLASS_WORDS
            .iter()
            .position(|&size| words.len() <= size)
            .ok_or(KernelError::TooLarge { words: words.len() })?;
        self.classes[class].place(slot, words)?;
        for (other, table) in self.classes.iter_mut().enumerate() {
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

/// The table of one size class.
trait Class: std::fmt::Debug {
    fn place(&mut self, slot: u32, words: &[u64]) -> Result<(), KernelError>;
    fn holds(&self, slot: u32) -> Result<bool, KernelError>;
    fn clear(&mut self, slot: u32) -> Result<(), KernelError>;
}

type Inner<const WORDS: usize> = Array<MapData, [u64; WORDS]>;

#[derive(Debug)]
struct Table<const WORDS: usize> {
    outer: ArrayOfMaps<MapData, Inner<WORDS>>,
    /// `outer` again, as a plain map: for what aya's type does not offer.
    map: MapData,
}

impl<const WORDS: usize> Table<WORDS> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Box<dyn Class>, KernelError> {
        let doing = format!("open map {name}");
        let map = take_map(ebpf, name)?;
        let Map::ArrayOfMaps(data) = &map else {
            return Err(KernelError::Missing { what: "array of maps", name });
        };
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(KernelError::call(&doing))?;
        let duplicate = MapData::from_fd(fd).map_err(KernelError::call(&doing))?;
        let outer = ArrayOfMaps::try_from(map).map_err(KernelError::call(&doing))?;
        Ok(Box::new(Self { outer, map: duplicate }))
    }

    fn check(&self, slot: u32) -> Result<(), KernelError> {
        let size = self.outer.len();
        if slot < size {
            return Ok(());
        }
        Err(KernelError::OutOfRange { what: "NIC", number: slot, size, option: "--max-nics" })
    }
}

impl<const WORDS: usize> Class for Table<WORDS> {
    fn place(&mut self, slot: u32, words: &[u64]) -> Result<(), KernelError> {
        self.check(slot)?;
        let doing = format!("make an image map of {} bytes", WORDS * 8);
        let (array, key, value) = (BPF_MAP_TYPE_ARRAY as u32, size_of::<u32>() as u32, (WORDS * 8) as u32);
        let definition = aya_obj::Map::new_from_params(array, key, value, 1, MMAPABLE);
        let data = MapData::create(definition, "sg_image", None).map_err(KernelError::call(&doing))?;
        fill(data.fd(), words)?;
        let inner = Inner::<WORDS>::try_from(Map::Array(data)).map_err(KernelError::call(&doing))?;
        self.outer
            .set(slot, &inner, 0)
            .map_err(KernelError::call(format_args!("publish the image of NIC {slot}")))
    }

    fn holds(&self, slot: u32) -> Result<bool, KernelError> {
        self.check(slot)?;
        match self.outer.get(&slot, 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(KernelError::call(format_args!("look for the image of NIC {slot}"))(error)),
        }
    }

    fn clear(&mut self, slot: u32) -> Result<(), KernelError> {
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
