//! What outlives the process: maps and links pinned in bpffs, in one directory per instance and layout version. Reading the
//! counters there, and removing the directory, needs no program and no agent. It must never attach one. Called by `attach`,
//! `datapath`, `takeover`, the agent, and `sgctl` without an agent.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use sg_common::abi::VERSION;
use sg_host::lock_file::{is_trusted, user};

pub use super::counters::Counters;
use super::{
    KernelError, bpffs, clsact,
    device::{Device, name_of},
    object::Program,
    sys,
};

/// The names of the pinned maps.
pub(super) const MAPS: [&str; 31] = [
    "NIC_BY_IFINDEX",
    "NIC_BY_IFINDEX_OVERFLOW",
    "IMAGES_64K",
    "IMAGES_1M",
    "IMAGES_16M",
    "IMAGES_64M",
    "PENDING",
    "FLOWS_V6",
    "FLOWS_V4",
    "NIC_FLOWS",
    "EXCHANGES",
    "HALF_OPEN_V6",
    "HALF_OPEN_V4",
    "PLACES_V6",
    "PLACES_V4",
    "TICKETS",
    "SHARES",
    "CLOSED_V6",
    "CLOSED_V4",
    "FILTERED_SINCE",
    "FRAGMENTS",
    "REJECT_MARK",
    "DENIED_V6",
    "DENIED_V4",
    "DENIED",
    "DENIED_FREE",
    "DENIED_RING",
    "DENIED_NICS",
    "WATCH",
    "REPLACED_FLOWS",
    "COUNTERS",
];

/// The directory of an instance for this layout version: other versions never use these maps.
#[must_use]
pub fn directory(instance: &str) -> PathBuf {
    instance_directory(instance).join(format!("v{VERSION}"))
}

/// The directory of an instance, for all versions.
#[must_use]
pub fn instance_directory(instance: &str) -> PathBuf {
    bpffs::root().join("sgd").join(instance)
}

/// The layout of the pins in `directory`; `None` if they were set aside (`vN-1`): no catalog knows their numbers.
#[must_use]
pub fn layout_of(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()
}

/// The same, also for pins that were set aside.
#[must_use]
pub fn set_aside_layout_of(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix('v')?.split('-').next()?.parse().ok()
}

/// The name of a link's pin. It contains the device's index, because a device name may contain dots, which bpffs reserves.
pub(super) fn link_name(program: Program, device: u32) -> String {
    format!("{}{}", link_names(device), program.name())
}

/// The common prefix of the names of a device's links.
pub(super) fn link_names(device: u32) -> String {
    format!("link_{device}_")
}

/// Creates the directory, accessible only to this user; mounts bpffs if needed.
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

/// Denies everybody else access to the directory and those above it, up to bpffs. If bpffs has the kernel's default mode, anybody
/// may have created the first of them, and would then own what is pinned below.
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

/// Whether an earlier run left maps in `directory`.
#[must_use]
pub fn exist(directory: &Path) -> bool {
    directory.join("COUNTERS").exists()
}

/// Whether links are pinned in `directory`.
#[must_use]
pub fn hold_links(directory: &Path) -> bool {
    list(directory).is_ok_and(|paths| paths.iter().any(|path| is_link(path)))
}

/// A device in another network namespace than this process, filtered by one of our links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its interface index when it was in this namespace.
    pub device: u32,
    /// Its current index: a different one if its own was taken in the other namespace.
    pub now: u32,
}

/// The devices in other namespaces that links pinned in `directory` filter. The kernel leaves TCX and XDP links on a device that
/// moves (`__dev_change_net_namespace`, net/core/dev.c), and reports the index of a link's device while it exists.
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

/// The index in the name of a link's pin, see [`link_name`].
fn device_of(name: &str) -> Option<u32> {
    name.strip_prefix("link_")?.split('_').next()?.parse().ok()
}

/// The index of the device that a link is attached to, in that device's namespace; zero if it is gone.
fn device_filtered_by(link: &OwnedFd) -> Option<u32> {
    let said = fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd())).ok()?;
    said.lines().find_map(|line| line.strip_prefix("ifindex:")?.trim().parse().ok())
}

fn is_link(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link_"))
}

/// Detaches programs from `devices`, however they are attached, and removes `directory` with all pins in it.
///
/// # Errors
/// If the kernel refuses. Missing programs and pins are no error.
pub fn remove(directory: &Path, devices: &[Device]) -> Result<(), KernelError> {
    for device in devices {
        remove_filters(directory, device)?;
    }
    if !directory.exists() {
        return Ok(());
    }
    // Links first, so that a program never appears to run with half of its maps (it holds them anyway).
    let mut paths = list(directory)?;
    paths.sort_by_key(|path| !is_link(path));
    for path in &paths {
        if is_link(path) { remove_link(path) } else { remove_file(path) }?;
    }
    let failed = |source| KernelError::Path { doing: "remove directory", path: directory.into(), source };
    fs::remove_dir(directory).map_err(failed)
}

/// Removes the filters of the instance that pins in `directory` from `device`.
pub(super) fn remove_filters(directory: &Path, device: &Device) -> Result<(), KernelError> {
    let handle = clsact::handle(Some(directory));
    [Program::Ingress, Program::Egress]
        .into_iter()
        .try_for_each(|program| clsact::remove(program, device, handle))
}

/// The paths of the entries of `directory`; empty if it does not exist.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, KernelError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(KernelError::Path { doing: "list", path: directory.into(), source }),
    }
}

/// Removes a link's pin, and detaches the link before returning. It is no error if there is none.
pub(super) fn remove_link(path: &Path) -> Result<(), KernelError> {
    let link = open_link(path);
    remove_file(path)?;
    end(link, path);
    Ok(())
}

/// Moves the link pinned at `next` to the pin `path`, and detaches the link that was pinned there. It is no error if there is no
/// `next`.
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

/// The link pinned at `path`, if there is one.
fn open_link(path: &Path) -> Option<OwnedFd> {
    sys::open_pinned(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("open {}: {error}", path.display());
            }
        })
        .ok()
}

/// Detaches a link whose pin is gone. Without this it would end anyway, but some time later, or with this process.
fn end(link: Option<OwnedFd>, path: &Path) {
    if let Some(Err(error)) = link.map(|link| sys::detach_link(link.as_fd())) {
        tracing::warn!("{}: it is not taken off its device at once: {error}", path.display());
    }
}

/// Removes a pin. It is no error if there is none.
fn remove_file(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Path { doing: "remove pin", path: path.into(), source })
        }
        _ => Ok(()),
    }
}
