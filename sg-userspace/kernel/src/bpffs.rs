//! Finds bpffs, and determines how long pins there last: until the host reboots, or only as long as a container or a mount
//! namespace. `ip netns exec` gives a process a `/sys` of its own, without the host's bpffs; then the host's is used, through a
//! process that has the mounts of PID 1. It must never know what is pinned. `pins` and the agent's instances call it.

use std::{
    fs::{self, File, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::OnceLock,
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        stat::{major, minor},
        statfs::{BPF_FS_MAGIC, statfs},
    },
};

use super::KernelError;

/// The mount point of bpffs.
const PLACE: &str = "/sys/fs/bpf";
/// The inode number of the initial PID namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const HOST_PIDS: u64 = 0xEFFF_FFFC;

/// How long pins last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lasts {
    /// Until the host reboots: the filter outlives the agent.
    #[default]
    Host,
    /// At least as long as PID 1 of this container. Whether longer cannot be seen from inside.
    Container,
    /// As long as the mount namespace of this process: until its last process ends.
    Private,
}

impl Lasts {
    /// The word shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container => "container",
            Self::Private => "private",
        }
    }

    /// Why the filter may not outlive the agent, and what to do; `None` if it does.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Host => None,
            Self::Container => Some(
                "whether the bpffs here is the host's cannot be seen from this container: the filter may end with it. Share the \
                 host's namespace of processes, or mount /sys/fs/bpf of the host with propagation (rslave, HostToContainer), \
                 see docs/use/containers.md",
            ),
            Self::Private => Some(
                "bpffs is private to the mount namespace of sgd: the filter ends with the last process in it, in general with sgd. \
                 Enter a network namespace by `nsenter --net=`, or mount /sys/fs/bpf of the host here, see docs/use/containers.md",
            ),
        }
    }
}

/// The root of the bpffs in use, mounted or not yet.
#[must_use]
pub fn root() -> PathBuf {
    // Held open, because the process it was found through may end.
    static HOSTS: OnceLock<Option<File>> = OnceLock::new();
    let own = Path::new(PLACE);
    if is_bpffs(own) || is_where_first_is() {
        return own.into();
    }
    let hosts = HOSTS.get_or_init(of_first).as_ref();
    hosts.map_or_else(|| own.into(), |hosts| format!("/proc/self/fd/{}", hosts.as_raw_fd()).into())
}

/// The bpffs of PID 1. Reading PID 1's root takes rights that root may lack; any other process with the same mounts will do.
fn of_first() -> Option<File> {
    let first = root_mount("1")?;
    let processes =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut processes: Vec<u32> = processes.filter_map(|name| name.parse().ok()).collect();
    processes.sort_unstable();
    processes.into_iter().find_map(|process| {
        let path = format!("/proc/{process}/root{PLACE}");
        let found =
            OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&path).ok()?;
        (is_bpffs(Path::new(&path)) && root_mount(&process.to_string()) == Some(first)).then_some(found)
    })
}

/// Mounts bpffs at [`root`] unless it is mounted.
pub(super) fn mount_at(root: &Path) -> Result<(), KernelError> {
    if is_bpffs(root) {
        return Ok(());
    }
    tracing::info!("mounting bpffs on {PLACE}");
    mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .map_err(KernelError::call(format_args!("mount bpffs (by hand: mount -t bpf bpf {PLACE})")))
}

/// How long pins at [`root`] last, mounted or not yet.
#[must_use]
pub fn lasts() -> Lasts {
    let root = root();
    let device = if is_bpffs(&root) { fs::metadata(&root).ok().map(|found| found.dev()) } else { None };
    let mounts = |process: &str| fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    let is_of_host = fs::metadata("/proc/self/ns/pid").is_ok_and(|found| found.ino() == HOST_PIDS);
    let is_with_first = match device {
        Some(device) => mounted(&mounts("1"), device).is_some(),
        None => is_where_first_is(),
    };
    let comes_from_outside = || device.is_some_and(|device| mounted(&mounts("self"), device) == Some(true));
    if is_with_first && is_of_host || comes_from_outside() {
        Lasts::Host
    } else if is_with_first {
        Lasts::Container
    } else {
        Lasts::Private
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Whether this process has the mounts of PID 1. If that cannot be determined, it counts as having others: pins reported as
/// lasting must last.
fn is_where_first_is() -> bool {
    root_mount("1").is_some_and(|first| root_mount("self") == Some(first))
}

/// The mount ID of a process's root. The kernel gives every mount its own ID: a mount namespace copied from another has different
/// ones.
fn root_mount(process: &str) -> Option<u32> {
    let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        (words.nth(3)? == "/").then_some(number)
    })
}

/// Whether the bpffs `device` is among these mounts (`show_mountinfo`, `fs/proc_namespace.c`); if it is, whether one of them
/// receives propagation from another namespace, or is only a part of the file system: then it was mounted there.
fn mounted(mounts: &str, device: u64) -> Option<bool> {
    let number = format!("{}:{}", major(device), minor(device));
    let mut found = None;
    for line in mounts.lines() {
        // ID PARENT MAJOR:MINOR ROOT PLACE OPTIONS TAGS… - TYPE SOURCE OPTIONS
        let words: Vec<&str> = line.split(' ').collect();
        let Some(dash) = words.iter().position(|word| *word == "-") else { continue };
        if words.get(2) != Some(&number.as_str()) || words.get(dash + 1) != Some(&"bpf") {
            continue;
        }
        let receives = words[..dash].iter().skip(6).any(|tag| tag.starts_with("master:"));
        let is_part = words.get(3).is_some_and(|root| *root != "/");
        found = Some(found.unwrap_or(false) || receives || is_part);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_told_apart() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      33 22 0:53 / /sys/fs/bpf rw,nosuid - bpf bpf rw,mode=700\n\
                      34 22 0:54 / /mnt/bpf rw shared:3 master:7 - bpf bpf rw\n\
                      35 22 0:55 /sgd /mnt/part rw - bpf bpf rw\n\
                      36 22 0:56 / /tmp rw - tmpfs tmpfs rw\n";
        assert_eq!(mounted(mounts, 53), Some(false));
        assert_eq!(mounted(mounts, 54), Some(true));
        assert_eq!(mounted(mounts, 55), Some(true));
        assert_eq!(mounted(mounts, 56), None, "not bpffs");
        assert_eq!(mounted(mounts, 57), None);
        assert_eq!(mounted("", 53), None);
    }

    #[test]
    fn the_first_process_has_a_root() {
        assert!(root_mount("1").is_some() && root_mount("self").is_some());
        assert_eq!(root_mount("self"), root_mount(&std::process::id().to_string()));
        assert_eq!(root_mount("0"), None);
    }

    #[test]
    fn only_what_may_end_is_warned_of() {
        assert!(Lasts::Host.warning().is_none());
        for lasts in [Lasts::Container, Lasts::Private] {
            assert!(lasts.warning().unwrap().contains("docs/use/containers.md"));
        }
    }
}
