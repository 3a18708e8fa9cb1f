//! What outlives the process: maps and links pinned in a directory of bpffs, one directory an instance and layout
//! version. Reading the counters there and clearing it away needs no program and no agent.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use aya::maps::{Map, MapData, PerCpuArray};
use sg_common::abi::{Counter, VERSION};

use super::{
    KernelError, Program,
    attach::{Device, filter_handle, name_of, remove_filter},
    bpffs,
    datapath::{counter_error, read_counter},
    sys,
};
use crate::lock_file::{is_trusted, user};

/// The maps that are pinned, by name.
pub(super) const MAPS: [&str; 22] = [
    "NICS",
    "FAR_NICS",
    "IMAGES_64K",
    "IMAGES_1M",
    "IMAGES_16M",
    "IMAGES_64M",
    "FLOWS",
    "FLOWS_16",
    "NIC_FLOWS",
    "EXCHANGES",
    "HALF_OPEN",
    "HALF_OPEN_16",
    "PLACES",
    "PLACES_16",
    "TICKETS",
    "SHARES",
    "CLOSED",
    "CLOSED_16",
    "FILTERED_SINCE",
    "FRAGMENTS",
    "REJECT_MARK",
    "COUNTERS",
];

/// The directory of an instance, of this layout version: another version never meets these maps.
#[must_use]
pub fn directory(instance: &str) -> PathBuf {
    instance_directory(instance).join(format!("v{VERSION}"))
}

/// The directory of an instance, whatever the version.
#[must_use]
pub fn instance_directory(instance: &str) -> PathBuf {
    bpffs::root().join("sgd").join(instance)
}

/// The layout of the pins in `directory`; none where they were set aside (`vN-1`): no catalog knows their numbers.
#[must_use]
pub fn layout_of(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()
}

/// The same, also of pins that were set aside.
#[must_use]
pub fn set_aside_layout_of(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix('v')?.split('-').next()?.parse().ok()
}

/// The name of the pin of a link. By the number of the device: a name may hold dots, which bpffs keeps for itself.
pub(super) fn link_name(program: Program, device: u32) -> String {
    format!("{}{}", link_names(device), program.name())
}

/// What the names of the links of a device begin with.
pub(super) fn link_names(device: u32) -> String {
    format!("link_{device}_")
}

/// Makes the directory, for nobody but this user; mounts bpffs where it is not.
pub(super) fn make(directory: &Path) -> Result<(), KernelError> {
    let root = bpffs::root();
    if directory.starts_with(&root) {
        bpffs::mount_at(&root)?;
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(KernelError::call(format_args!("make directory {}", directory.display())))?;
    own(directory, &root)
}

/// Takes the directory and those above it, up to bpffs, from everybody else. Where bpffs has the mode that the kernel gives it,
/// anybody may have made the first of them: it would be theirs, with what is pinned below.
fn own(directory: &Path, root: &Path) -> Result<(), KernelError> {
    let below = |path: &&Path| path.starts_with(root) && *path != root;
    for path in directory.ancestors().take_while(below) {
        let failed = |doing| move |source| KernelError::Path { doing, path: path.into(), source };
        let found = fs::symlink_metadata(path).map_err(failed("look at"))?;
        if !found.is_dir() || !is_trusted(found.uid()) {
            return Err(KernelError::NotOurs { path: path.into(), owner: user(found.uid()) });
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed("change the mode of"))?;
        }
    }
    Ok(())
}

/// Whether an earlier run left something in `directory`.
#[must_use]
pub fn exist(directory: &Path) -> bool {
    directory.join("COUNTERS").exists()
}

/// Whether links are pinned in `directory`.
#[must_use]
pub fn hold_links(directory: &Path) -> bool {
    list(directory).is_ok_and(|paths| paths.iter().any(|path| is_link(path)))
}

/// A device that a link of ours filters, in another network namespace than this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its number when it was here.
    pub device: u32,
    /// Its number where it is: another one where its own was taken there.
    pub now: u32,
}

/// The devices that links pinned in `directory` filter elsewhere. The kernel leaves TCX and XDP links on a device that moves
/// (`__dev_change_net_namespace`, net/core/dev.c), and says which number their device has, if it is still there.
#[must_use]
pub fn moved(directory: &Path) -> Vec<Moved> {
    let mut found: Vec<Moved> = Vec::new();
    for path in list(directory).unwrap_or_default() {
        let Some(device) = path.file_name().and_then(|name| device_of(name.to_str()?)) else { continue };
        let Some(now) = open_link(&path).and_then(|link| device_filtered_by(&link)) else { continue };
        let is_here = now == device && name_of(device).is_some();
        if now != 0 && !is_here && found.iter().all(|moved| moved.device != device) {
            found.push(Moved { device, now });
        }
    }
    found
}

/// The number in the name of the pin of a link, see [`link_name`].
fn device_of(name: &str) -> Option<u32> {
    name.strip_prefix("link_")?.split('_').next()?.parse().ok()
}

/// The number of the device that a link is on, in the namespace where that is; zero where it is no more.
fn device_filtered_by(link: &OwnedFd) -> Option<u32> {
    let said = fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd())).ok()?;
    said.lines().find_map(|line| line.strip_prefix("ifindex:")?.trim().parse().ok())
}

fn is_link(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link_"))
}

/// Takes programs off `devices`, whichever way they are attached, and removes `directory` with all pins in it.
///
/// # Errors
/// Where the kernel refuses. What is not there is no error.
pub fn remove(directory: &Path, devices: &[Device]) -> Result<(), KernelError> {
    for device in devices {
        remove_filters(directory, device)?;
    }
    if !directory.exists() {
        return Ok(());
    }
    // Links first: a program never runs with its maps half gone (it holds them anyway).
    let mut paths = list(directory)?;
    paths.sort_by_key(|path| !is_link(path));
    for path in &paths {
        if is_link(path) { remove_link(path) } else { remove_file(path) }?;
    }
    let failed = |source| KernelError::Path { doing: "remove directory", path: directory.into(), source };
    fs::remove_dir(directory).map_err(failed)
}

/// Takes the filters of those that pin in `directory` off `device`.
pub(super) fn remove_filters(directory: &Path, device: &Device) -> Result<(), KernelError> {
    let handle = filter_handle(Some(directory));
    [Program::Ingress, Program::Egress]
        .into_iter()
        .try_for_each(|program| remove_filter(program, device, handle))
}

/// The paths of what is in `directory`; nothing where there is none.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, KernelError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(KernelError::Path { doing: "list", path: directory.into(), source }),
    }
}

/// Removes the pin of a link, and takes the link off its device before it returns. No error where there is none.
pub(super) fn remove_link(path: &Path) -> Result<(), KernelError> {
    let link = open_link(path);
    remove_file(path)?;
    end(link, path);
    Ok(())
}

/// Lets the link that is pinned at `next` take the pin `path`, and takes off its device the one that had it. No error where
/// there is no `next`.
pub(super) fn move_link(next: &Path, path: &Path) -> Result<(), KernelError> {
    let former = open_link(path);
    match fs::rename(next, path) {
        Ok(()) => end(former, path),
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(KernelError::Path { doing: "move pin", path: next.into(), source });
        }
        Err(_) => {}
    }
    Ok(())
}

/// The link that is pinned at `path`, if there is one.
fn open_link(path: &Path) -> Option<OwnedFd> {
    sys::open_pinned(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("open {}: {error}", path.display());
            }
        })
        .ok()
}

/// Takes a link off its device whose pin is gone. Without this, too, it ends: some time later, or with this process.
fn end(link: Option<OwnedFd>, path: &Path) {
    if let Some(Err(error)) = link.map(|link| sys::detach_link(link.as_fd())) {
        log::warn!("{}: it is not taken off its device at once: {error}", path.display());
    }
}

/// Removes a pin. No error where there is none.
fn remove_file(path: &Path) -> Result<(), KernelError> {
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

    /// Copies what was counted into another table, as far as both go; returns how many counters counted anything.
    pub(super) fn carry(&self, into: &mut PerCpuArray<MapData, Counter>) -> Result<u32, KernelError> {
        let mut carried = 0;
        for number in 0..self.0.len().min(into.len()) {
            let counts = self.0.get(&number, 0).map_err(counter_error(number))?;
            if counts.iter().any(|count| *count != Counter::default()) {
                into.set(number, counts, 0).map_err(counter_error(number))?;
                carried += 1;
            }
        }
        Ok(carried)
    }
}
