//! What outlives the process: maps and links pinned in a directory of bpffs, one directory an instance and layout
//! version. Reading the counters there and clearing it away needs no program and no agent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::maps::{Map, MapData, PerCpuArray};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use sg_common::abi::{Counter, VERSION};

use super::{
    KernelError, Program,
    attach::{Device, remove_filter},
    datapath::read_counter,
};

/// Where bpffs is.
const BPFFS: &str = "/sys/fs/bpf";

/// The maps that are pinned, by name.
pub(super) const MAPS: [&str; 12] = [
    "NICS",
    "FAR_NICS",
    "IMAGES_64K",
    "IMAGES_1M",
    "IMAGES_16M",
    "IMAGES_64M",
    "FLOWS",
    "NIC_FLOWS",
    "HALF_OPEN",
    "FRAGMENTS",
    "COUNTERS",
    "SETTINGS",
];

/// The directory of an instance, of this layout version: another version never meets these maps.
#[must_use]
pub fn directory(instance: &str) -> PathBuf {
    instance_directory(instance).join(format!("v{VERSION}"))
}

/// The directory of an instance, whatever the version.
#[must_use]
pub fn instance_directory(instance: &str) -> PathBuf {
    Path::new(BPFFS).join("sgd").join(instance)
}

/// The name of the pin of a link. By the number of the device: a name may hold dots, which bpffs keeps for itself.
pub(super) fn link_name(program: Program, device: u32) -> String {
    format!("link_{device}_{}", program.name())
}

/// Makes the directory; mounts bpffs where it is not.
pub(super) fn make(directory: &Path) -> Result<(), KernelError> {
    if directory.starts_with(BPFFS) && !is_mounted() {
        log::info!("mounting bpffs on {BPFFS}");
        mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .map_err(KernelError::call(format_args!("mount bpffs (by hand: mount -t bpf bpf {BPFFS})")))?;
    }
    fs::create_dir_all(directory)
        .map_err(KernelError::call(format_args!("make directory {}", directory.display())))
}

/// Whether bpffs is mounted where it belongs.
fn is_mounted() -> bool {
    statfs(BPFFS).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Whether an earlier run left something in `directory`.
#[must_use]
pub fn exist(directory: &Path) -> bool {
    directory.join("COUNTERS").exists()
}

/// Takes programs off `devices`, whichever way they are attached, and removes `directory` with all pins in it.
///
/// # Errors
/// Where the kernel refuses. What is not there is no error.
pub fn remove(directory: &Path, devices: &[Device]) -> Result<(), KernelError> {
    for device in devices {
        for program in [Program::Ingress, Program::Egress] {
            remove_filter(program, device)?;
        }
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(KernelError::Path { doing: "list", path: directory.into(), source }),
    };
    // Links first: a program never runs with its maps half gone (it holds them anyway).
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_by_key(|path| {
        !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link_"))
    });
    for path in &paths {
        remove_file(path)?;
    }
    let failed = |source| KernelError::Path { doing: "remove directory", path: directory.into(), source };
    fs::remove_dir(directory).map_err(failed)
}

/// Removes a pin. No error where there is none.
pub(super) fn remove_file(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Path { doing: "remove pin", path: path.into(), source })
        }
        _ => Ok(()),
    }
}

/// The pinned counters, for readers that load no program.
pub struct Counters(PerCpuArray<MapData, Counter>);

impl Counters {
    /// Opens the counters in `directory`.
    ///
    /// # Errors
    /// Where there are none, or they may not be read.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        let path = directory.join("COUNTERS");
        let doing = format!("open the counters at {}", path.display());
        let map = MapData::from_pin(&path).map_err(KernelError::call(&doing))?;
        let map = Map::from_map_data(map).map_err(KernelError::call(&doing))?;
        PerCpuArray::try_from(map).map(Self).map_err(KernelError::call(&doing))
    }

    /// The counters `numbers`, summed over the CPUs, in the same order.
    ///
    /// # Errors
    /// Where a number is outside the table.
    pub fn read(&self, numbers: &[u32]) -> Result<Vec<Counter>, KernelError> {
        numbers.iter().map(|&number| read_counter(&self.0, number)).collect()
    }
}
